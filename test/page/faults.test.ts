/**
 * The page while a member dies under load, comes back and is upgraded. What the page says, and when, is recorded in the page by an
 * observer of its own document; the moment of the deed comes from this process, by the same clock.
 */
import type { Page } from 'playwright-core';
import t, { type Test } from 'tap';
import { kill, loadFor, nothingLost, startOwing } from '../harness/under-load.js';
import type { Pair, Role } from '../harness/pair.js';
import { DEADLINE_MS, until } from '../harness/until.js';
import { openPage, startBrowser } from './browser.js';

/** What the issue promises. Beyond it the test fails, unless the machine was too busy to let the browser run at all. */
const TOLD_WITHIN_MS = 2_000;
const LOAD_SECONDS = 6;

interface Change {
  /** `data-agent`, `data-dns-proxy` or `data-level`. */
  readonly name: string;
  readonly value: string;
  /** Wall clock. */
  readonly atMs: number;
}

/** Has the page write down each change of the pair's state, and the longest time in which it could not run. */
async function record(page: Page): Promise<{ changes(): Promise<Change[]>; stallMs(): Promise<number> }> {
  await page.evaluate(() => {
    const kept = globalThis as unknown as { changes: unknown[]; stallMs: number };
    kept.changes = [];
    kept.stallMs = 0;
    new MutationObserver((mutations) => {
      for (const { attributeName } of mutations) kept.changes.push({ name: attributeName, value: document.body.getAttribute(attributeName ?? ''), atMs: Date.now() });
    }).observe(document.body, { attributes: true });
    let last = performance.now();
    setInterval(() => { kept.stallMs = Math.max(kept.stallMs, performance.now() - last); last = performance.now(); }, 20);
  });
  return {
    changes: () => page.evaluate(() => (globalThis as unknown as { changes: Change[] }).changes),
    stallMs: () => page.evaluate(() => (globalThis as unknown as { stallMs: number }).stallMs),
  };
}

/** The first time that the page said so after the moment. */
async function toldAt(recorded: { changes(): Promise<Change[]> }, name: string, value: string, afterMs: number): Promise<number> {
  const change = await until(`${name} to be ${value}`, DEADLINE_MS, async () => (await recorded.changes()).find((one) => one.name === name && one.value === value && one.atMs >= afterMs));
  return change.atMs;
}

async function eventsOf(page: Page): Promise<string> {
  return page.locator('#events').innerText();
}

const browser = await startBrowser();
t.teardown(() => browser.close());

async function killed(t: Test, pair: Pair, victim: Role, witness: Role): Promise<void> {
  const { page, context, faults } = await openPage(browser, pair, witness);
  t.teardown(() => context.close());
  await page.locator('body[data-level=good]').waitFor({ timeout: DEADLINE_MS });
  const recorded = await record(page);
  const load = loadFor(LOAD_SECONDS, pair);
  await until('load', DEADLINE_MS, async () => ((await pair.metric(victim, 'queries')) > 500 ? true : null));
  const killedAtMs = Date.now();
  await kill(pair, victim);
  const toldMs = (await toldAt(recorded, `data-${victim}`, 'gone', killedAtMs)) - killedAtMs;
  t.comment(`the page of ${witness} told of the death of ${victim} after ${String(toldMs)} ms`);
  const busyMs = await recorded.stallMs();
  t.ok(toldMs <= TOLD_WITHIN_MS + busyMs, `within ${String(TOLD_WITHIN_MS)} ms, and ${busyMs.toFixed(0)} ms in which nothing ran in the browser: ${String(toldMs)} ms`);
  t.match(await page.locator('#headline').textContent(), new RegExp(`^Not redundant: ${victim} is gone; ${witness} answers for it`));
  t.equal(await page.locator(`svg.pair .reads.role-${victim}.adopted`).count(), 1, 'the sockets of the dead one are drawn as read by the other');
  await nothingLost(t, pair, await load);

  const backAtMs = Date.now();
  pair.launch(victim, [], { sameHttp: true });
  await pair.ready(victim);
  await toldAt(recorded, 'data-level', 'good', backAtMs);
  const events = await eventsOf(page);
  t.match(events, new RegExp(`redundant again after[^]*${victim} was started anew[^]*${victim} is gone: its process died`), 'the newest first');
  for (const text of [`${witness} took over from ${victim}`, `${witness} reads the sockets of ${victim}`]) t.match(events, text);
  t.strictSame(faults, []);
}

t.test('a member that is killed under load is told of within two seconds, and when it is back', async (t) => {
  t.setTimeout(DEADLINE_MS * 4);
  const pair = await startOwing(t);
  await pair.redundant();
  await killed(t, pair, 'agent', 'dns-proxy');
  await killed(t, pair, 'dns-proxy', 'agent');
});

t.test('a page whose own member is killed says that it is that one which is silent, and goes on when it is back', async (t) => {
  const pair = await startOwing(t);
  await pair.redundant();
  const { page, context, faults } = await openPage(browser, pair, 'agent');
  t.teardown(() => context.close());
  await page.locator('body[data-level=good]').waitFor({ timeout: DEADLINE_MS });
  const recorded = await record(page);
  const killedAtMs = Date.now();
  await kill(pair, 'agent');
  t.comment(`its own member's death is told of after ${String((await toldAt(recorded, 'data-agent', 'silent', killedAtMs)) - killedAtMs)} ms`);
  t.match(await page.locator('#headline').textContent(), /^agent, which serves this page, does not answer/);
  t.equal(await page.getAttribute('body', 'data-dns-proxy'), 'unknown', 'nothing is claimed of the other');
  t.match(await page.locator('a#other').getAttribute('href'), `http://${pair.httpAddress('dns-proxy')}/`, 'whose page is named');
  pair.launch('agent', [], { sameHttp: true });
  await page.locator('body[data-level=good]').waitFor({ timeout: DEADLINE_MS });
  t.strictSame(faults, []);
});

t.test('a hung member is told from a dead one', async (t) => {
  const pair = await startOwing(t);
  await pair.redundant();
  const { page, context } = await openPage(browser, pair, 'dns-proxy');
  t.teardown(() => context.close());
  await page.locator('body[data-level=good]').waitFor({ timeout: DEADLINE_MS });
  const recorded = await record(page);
  const agent = pair.member('agent').process;
  const stoppedAtMs = Date.now();
  agent.kill('SIGSTOP');
  t.teardown(() => agent.kill('SIGCONT'));
  t.comment(`that the agent hangs is told after ${String((await toldAt(recorded, 'data-agent', 'silent', stoppedAtMs)) - stoppedAtMs)} ms`);
  await page.locator('#headline', { hasText: 'agent does not answer; dns-proxy answers for it' }).waitFor({ timeout: DEADLINE_MS });
  agent.kill('SIGCONT');
  await page.locator('body[data-level=good]').waitFor({ timeout: DEADLINE_MS });
});

t.test('an upgrade in order is shown as drain, end and a new start', async (t) => {
  const pair = await startOwing(t);
  await pair.redundant();
  const { page, context, faults } = await openPage(browser, pair, 'dns-proxy');
  t.teardown(() => context.close());
  await page.locator('body[data-level=good]').waitFor({ timeout: DEADLINE_MS });
  const recorded = await record(page);
  pair.member('agent').process.kill('SIGTERM');
  t.same(await pair.member('agent').exited, { code: 0, signal: null });
  await toldAt(recorded, 'data-agent', 'stopped', 0);
  t.match(await page.locator('#headline').textContent(), /agent is stopped; dns-proxy answers for it/);
  pair.launch('agent', [], { sameHttp: true });
  await page.locator('body[data-level=good]').waitFor({ timeout: DEADLINE_MS });
  t.match(await eventsOf(page), /redundant again after[^]*agent was started anew/);
  t.notMatch(await eventsOf(page), /died/);
  t.strictSame(faults, []);
});
