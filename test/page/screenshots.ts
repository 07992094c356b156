/**
 * Makes the pictures of docs/status-page.md from a pair on loopback: healthy, with the agent killed, and in the middle of the agent's
 * upgrade. `npm run screenshots [FOLDER]`; takes about three minutes, for plots want a past.
 */
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { ownAddress, ownPort } from '../harness/address.js';
import { UdpClient } from '../harness/clients.js';
import { dnsPolicy, namespace, pod } from '../harness/manifests.js';
import { Pair } from '../harness/pair.js';
import { repositoryRoot } from '../harness/repository.js';
import { DEADLINE_MS } from '../harness/until.js';
import { slowly, Upstream, type Asked } from '../harness/upstream.js';
import { addressA, buildAnswer, buildQuery, RCODE, TYPE } from '../harness/wire.js';
import { openPage, startBrowser } from './browser.js';

const BYTES_MAX = 200 * 1024;
const PAST_MS = 100_000;
const AFTER_MS = 8_000;
const TICK_MS = 20;
const SILENT = 'slow.shop.example';

const SHOP = ['www', 'api', 'img', 'cart', 'pay', 'cdn', 'search', 'login'].map((label) => `${label}.shop.example`);
const OTHERS = ['telemetry.vendor.example', 'updates.os.example', 'registry.mirror.example'];

const CLIENTS = [
  { name: 'web-7d9c5b6f4-x2m8q', app: 'web', address: '127.0.1.1', names: SHOP, share: 1 },
  { name: 'checkout-5f7b9d8c6-4kq2n', app: 'web', address: '127.0.1.2', names: SHOP.slice(0, 4), share: 0.6 },
  { name: 'batch-29401560-jv5tr', app: 'batch', address: '127.0.1.3', names: ['api.partner.example', ...OTHERS], share: 0.15 },
];

function zone({ query, question }: Asked): Buffer | null | Promise<Buffer> {
  if (question.name.startsWith(SILENT)) return null;
  if (question.name.startsWith('cdn.')) return slowly(buildAnswer(query, [addressA('198.51.100.40')]), 12);
  if (question.name.startsWith('login.')) return buildAnswer(query, [], { rcode: RCODE.nxDomain });
  return slowly(buildAnswer(query, [addressA(`198.51.100.${String(10 + (question.name.length % 20))}`)]), 1 + Math.round(3 * Math.random()));
}

function manifests(server: string): Record<string, object> {
  const inShop = (policy: object): object => ({ ...policy, metadata: { ...(policy as { metadata: object }).metadata, namespace: 'shop' } });
  return {
    'namespaces.json': { apiVersion: 'v1', kind: 'List', items: [namespace('shop'), namespace('kube-system')] },
    'pods.json': {
      apiVersion: 'v1', kind: 'List',
      items: [
        ...CLIENTS.map(({ name, app, address }) => pod({ name, namespace: 'shop', labels: { app }, addresses: [address] })),
        pod({ name: 'coredns-0', namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' }, addresses: [server], nodeName: 'node-2' }),
      ],
    },
    'web.json': inShop(dnsPolicy('web-egress', { app: 'web' }, ['*.shop.example'], ['*.shop.example'])),
    'batch.json': inShop(dnsPolicy('batch-egress', { app: 'batch' }, ['api.partner.example'], ['api.partner.example'])),
  };
}

/** Asks as the clients do, a little more and a little less, until it is told to end. Answers are not looked at. */
class Traffic {
  private readonly clients: readonly { readonly client: UdpClient; readonly names: readonly string[]; readonly share: number }[];
  private readonly timer: NodeJS.Timeout;
  private owed = 0;
  private asked = 0;

  private constructor(clients: Traffic['clients']) {
    this.clients = clients;
    this.timer = setInterval(() => { this.turn(); }, TICK_MS);
  }

  static async start(pair: Pair): Promise<Traffic> {
    // Several ports of each: the kernel spreads by port.
    const opened = CLIENTS.flatMap(({ address, names, share }) => Array.from({ length: 12 }, async () => ({ client: await UdpClient.open(address, pair.server), names, share })));
    return new Traffic(await Promise.all(opened));
  }

  silent(queries: number): void {
    for (let i = 0; i < queries; i++) this.clients[i % 20].client.send(buildQuery({ name: SILENT, type: TYPE.A }));
  }

  stop(): void {
    clearInterval(this.timer);
    for (const { client } of this.clients) client.close();
  }

  private turn(): void {
    const perSecond = 220 + 70 * Math.sin(Date.now() / 9_000) + 40 * Math.random();
    for (this.owed += (perSecond * TICK_MS) / 1000; this.owed >= 1; this.owed--) {
      const { client, names, share } = this.clients[this.asked++ % this.clients.length];
      if (Math.random() > share) continue;
      const name = names[Math.floor(names.length * Math.random() ** 1.7)];
      client.send(buildQuery({ name, type: Math.random() < 0.3 ? TYPE.AAAA : TYPE.A }));
    }
  }
}

async function shoot(page: Page, folder: string, name: string): Promise<void> {
  const path = join(folder, `status-${name}.png`);
  await page.evaluate(() => { scrollTo(0, 0); });
  await page.screenshot({ path });
  const { size } = statSync(path);
  if (size > BYTES_MAX) throw new Error(`${path} has ${String(size)} bytes; allowed: ${String(BYTES_MAX)}`);
  process.stdout.write(`${path}: ${String(Math.round(size / 1024))} KiB\n`);
}

async function main(folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const upstream = await Upstream.start(ownAddress, ownPort(), zone);
  const pair = await Pair.start({ upstreams: [upstream], manifests: manifests(upstream.address) });
  const browser = await startBrowser();
  const traffic = await Traffic.start(pair);
  try {
    await pair.redundant();
    const look = { viewport: { width: 1280, height: 900 } } as const;
    const { page, faults } = await openPage(browser, pair, 'dns-proxy', { ...look, colorScheme: 'light' });
    const dark = await openPage(browser, pair, 'dns-proxy', { ...look, colorScheme: 'dark' });
    await pause(PAST_MS);
    await page.locator('body[data-level=good]').waitFor({ timeout: DEADLINE_MS });
    await shoot(page, folder, 'healthy');

    pair.member('agent').process.kill('SIGKILL');
    await page.locator('body[data-agent=gone]').waitFor({ timeout: DEADLINE_MS });
    await pause(AFTER_MS);
    await shoot(dark.page, folder, 'agent-dead');
    pair.launch('agent', [], { sameHttp: true });
    await pair.ready('agent');
    await page.locator('body[data-level=good]').waitFor({ timeout: DEADLINE_MS });
    await pause(AFTER_MS);

    // What has no answer yet keeps the leaving agent for its promised time: long enough to be seen.
    traffic.silent(200);
    await pause(TICK_MS);
    pair.member('agent').process.kill('SIGTERM');
    await page.locator('body[data-agent=draining]').waitFor({ timeout: DEADLINE_MS });
    await shoot(page, folder, 'mid-upgrade');
    if (faults.length > 0) throw new Error(faults.join('\n'));
  } finally {
    traffic.stop();
    await browser.close();
    await pair.stop();
    upstream.close();
  }
}

await main(process.argv[2] ?? join(repositoryRoot, 'docs/images'));
