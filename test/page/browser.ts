/**
 * Debian's Chromium, headless, and pages in it that keep a record of what no page may do: break its Content-Security-Policy, write
 * errors to the console, or ask anybody but the member that serves it.
 */
import { existsSync } from 'node:fs';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import type { Pair, Role } from '../harness/pair.js';

const CHROMIUM = '/usr/bin/chromium';

export interface WatchedPage {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Violations, console errors, exceptions, requests to other origins; a failed request to a dead member is none. */
  readonly faults: string[];
}

export type Look = NonNullable<Parameters<Browser['newContext']>[0]>;

/** @throws Error naming the remedy where there is no Chromium. */
export function startBrowser(): Promise<Browser> {
  if (!existsSync(CHROMIUM)) throw new Error(`${CHROMIUM} is missing: apt-get install chromium, or run the tests by test/lab/run`);
  // Root has no sandbox; the pages come from this repository.
  return chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

/** The status page of a member, loaded. */
export async function openPage(browser: Browser, pair: Pair, role: Role, look: Look = {}): Promise<WatchedPage> {
  const origin = `http://${pair.httpAddress(role)}`;
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, ...look });
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('console', (message) => {
    // A browser logs each request that found nobody; that a member may be dead is what these tests are about.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) faults.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => faults.push(`exception: ${error.message}`));
  page.on('request', (request) => {
    if (!request.url().startsWith(`${origin}/`) && !request.url().startsWith('data:')) faults.push(`request to ${request.url()}`);
  });
  await page.exposeFunction('policyBroken', (what: string) => { faults.push(`policy: ${what}`); });
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
      (globalThis as unknown as { policyBroken(what: string): void }).policyBroken(`${violatedDirective} ${blockedURI}`);
    });
  });
  await page.goto(`${origin}/`);
  return { page, context, faults };
}
