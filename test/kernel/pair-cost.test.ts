/**
 * What the whole pair costs on a large node: 500 pods, 20 selectors, 100 addresses each in shared sets. From start to the tables' being there, at rest
 * against explicit mode, and when one pod more comes. The figures in docs/decisions/datapath-program.md are printed by this.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { pod as podObject } from '../harness/manifests.js';
import { Pair, ROLES, type Role } from '../harness/pair.js';
import { DEADLINE_MS, until } from '../harness/until.js';

const INSIDE = 'TANDEM_PAIR_COST_NAMESPACE';
const PODS = 500;
const SELECTORS = 20;
const ADDRESSES = 100;
/** So long V8 tidies up what the start left behind. */
const SETTLED_AFTER_MS = 15_000;
const REST_SECONDS = 20;
const UPDATES = 9;
/** What an update costs behind it: the other member's part, a state file, a look at connections. */
const SETTLE_MS = 1_500;
const PROGRAMMED_MS_MAX = 2_000;
const BEYOND_EXPLICIT_PERCENT_MAX = 1;
const TICKS_PER_SECOND = 100;

// Links, routes and tables are those of a namespace that goes with this process.
if (process.env[INSIDE] === undefined) {
  const again = ['unshare', '--net', '--mount', '--', 'sh', '-c', 'ip link set lo up && mount -t sysfs sysfs /sys && exec "$0" "$@"', process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  process.execve!('/usr/bin/unshare', again, { ...process.env, [INSIDE]: '1' });
}

t.setTimeout(300_000);

const addressOf = (n: number): string => `10.1.${String(n >> 8)}.${String(n & 255)}`;
const nameOf = (selector: number): string => `n${String(selector)}.test`;
const uidOf = (n: number): string => `uid-p${String(n)}`;
const pod = (n: number): object => podObject({ name: `p${String(n)}`, labels: { app: `a${String(n % SELECTORS)}` }, addresses: [addressOf(n)] });

function policy(selector: number): object {
  const dns = { toPorts: [{ ports: [{ port: '53', protocol: 'ANY' }], rules: { dns: [{ matchPattern: '*' }] } }] };
  return {
    apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy', metadata: { name: `s${String(selector)}`, namespace: 'default' },
    spec: { endpointSelector: { matchLabels: { app: `a${String(selector)}` } }, egress: [dns, { toFQDNs: [{ matchName: nameOf(selector) }], toPorts: [{ ports: [{ port: '443', protocol: 'TCP' }] }] }] },
  };
}

const list = (items: readonly object[]): object => ({ apiVersion: 'v1', kind: 'List', items });
const all = <T>(count: number, make: (n: number) => T): T[] => Array.from({ length: count }, (_, n) => make(n));
const manifests = { 'pods.json': list(all(PODS, pod)), 'policies.json': list(all(SELECTORS, policy)) };

function addLinks(first: number, last: number): void {
  const lines: string[] = [];
  for (let n = first; n <= last; n++) {
    lines.push(`link add v${String(n)} type veth peer name w${String(n)}`, `link set v${String(n)} up`, `link set w${String(n)} up`, `route add ${addressOf(n)}/32 dev v${String(n)}`);
  }
  execFileSync('ip', ['-batch', '-'], { input: lines.join('\n') });
}

/** User and system time, of children that were waited for, too: nft is one. */
function cpuTicks(pid: number): number {
  const fields = readFileSync(`/proc/${String(pid)}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ');
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
}

async function pidOf(pair: Pair, role: Role): Promise<number> {
  return (await pair.status(role)).pid;
}

/** Of one CPU, by role. */
async function percentAtRest(pair: Pair): Promise<number[]> {
  await pause(SETTLED_AFTER_MS);
  const pids = await Promise.all(ROLES.map((role) => pidOf(pair, role)));
  const before = pids.map(cpuTicks);
  await pause(REST_SECONDS * 1_000);
  return pids.map((pid, i) => ((cpuTicks(pid) - before[i]) / TICKS_PER_SECOND / REST_SECONDS) * 100);
}

const opened = (): number => {
  const listed = JSON.parse(execFileSync('nft', ['-j', 'list', 'sets', 'inet'], { encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'ignore'] })) as { readonly nftables: readonly { readonly set?: { readonly name: string; readonly elem?: readonly unknown[] } }[] };
  return listed.nftables.reduce((sum, { set }) => sum + (set?.name.startsWith('fqdn4-') === true ? set.elem?.length ?? 0 : 0), 0);
};

function mappingsFile(pair: Pair): string {
  const now = new Date().toISOString();
  const later = new Date(Date.now() + 7_200_000).toISOString();
  const entries = all(SELECTORS, (selector) => ({
    'fqdn': `${nameOf(selector)}.`, 'lookup-time': now, 'expiration-time': later, 'ttl': 7200, 'ips': all(ADDRESSES, (n) => `20.${String(selector)}.0.${String(n)}`), 'endpoint-uid': uidOf(selector),
  }));
  const path = join(pair.folder, 'mappings.json');
  writeFileSync(path, JSON.stringify(entries));
  return path;
}

/** One pod after another comes, each in a file of its own: milliseconds to the policy of both members, and of CPU by role. */
async function addPods(pair: Pair, isThere: (address: string) => boolean): Promise<{ readonly tookMs: number; readonly cpuMs: readonly number[] }[]> {
  const pids = await Promise.all(ROLES.map((role) => pidOf(pair, role)));
  const results: { readonly tookMs: number; readonly cpuMs: readonly number[] }[] = [];
  for (let n = PODS; n < PODS + UPDATES; n++) {
    const { hash } = (await pair.status('agent')).policy;
    const ticks = pids.map(cpuTicks);
    const from = performance.now();
    pair.writeManifest(`pod-${String(n)}.json`, pod(n));
    await until('the pod', DEADLINE_MS, async () => {
      const [a, b] = (await Promise.all(ROLES.map((role) => pair.status(role)))).map(({ policy }) => policy.hash);
      return a === b && a !== hash && isThere(addressOf(n)) ? true : null;
    });
    const tookMs = performance.now() - from;
    await pause(SETTLE_MS);
    results.push({ tookMs, cpuMs: pids.map((pid, i) => (cpuTicks(pid) - ticks[i]) * (1_000 / TICKS_PER_SECOND)) });
  }
  return results;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1];

/** In explicit mode: at rest, and for a pod more. */
async function explicitCosts(): Promise<{ readonly rest: number[]; readonly updates: Awaited<ReturnType<typeof addPods>> }> {
  const pair = await Pair.start({ upstreams: [{ address: '127.0.0.1', port: 9 }], manifests });
  try {
    return { rest: await percentAtRest(pair), updates: await addPods(pair, () => true) };
  } finally {
    await pair.stop();
  }
}

t.test('a large node is programmed in time, costs next to nothing at rest, and a pod more costs a pod', async (t) => {
  addLinks(0, PODS + UPDATES - 1);
  const explicit = await explicitCosts();
  const begun = performance.now();
  const pair = await Pair.start({ upstreams: [], listen: [{ address: '127.0.0.153', port: 53 }, { address: 'fd53::1', port: 53 }], manifests, flags: ['--mode', 'transparent'] });
  t.teardown(() => pair.stop());
  t.comment(`from the start of both to both ready and in touch: ${(performance.now() - begun).toFixed(0)} ms`);
  const imported = await pair.cli('cache', 'import', mappingsFile(pair));
  t.equal(imported.code, 0, imported.output);
  await until('all addresses in the kernel', DEADLINE_MS, () => (opened() === SELECTORS * ADDRESSES ? true : null));

  // Somebody takes everything away: the leader finds out, and programs all of it, with all that is open.
  const repairMs: number[] = [];
  for (let round = 0; round < 3; round++) {
    const from = performance.now();
    execFileSync('nft', ['delete', 'table', 'inet', 'tandem']);
    await until('the tables', DEADLINE_MS, () => { try { return opened() === SELECTORS * ADDRESSES ? true : null; } catch { return null; } });
    repairMs.push(performance.now() - from);
    await pause(500);
  }
  t.comment(`deleted, found out, and programmed again: ${repairMs.map((ms) => ms.toFixed(0)).join(', ')} ms`);
  t.ok(Math.min(...repairMs) <= PROGRAMMED_MS_MAX);

  const transparent = await percentAtRest(pair);
  ROLES.forEach((role, i) => {
    const beyond = transparent[i] - explicit.rest[i];
    t.comment(`${role} at rest: ${explicit.rest[i].toFixed(2)} % in explicit mode, ${transparent[i].toFixed(2)} % enforcing`);
    t.ok(beyond <= BEYOND_EXPLICIT_PERCENT_MAX, `${role}: ${beyond.toFixed(2)} % more`);
  });

  const updates = await addPods(pair, (address) => execFileSync('nft', ['list', 'map', 'inet', 'tandem', 'from4'], { encoding: 'utf8' }).includes(` ${address} `));
  const cpuMs = [explicit.updates, updates].map((ones) => ROLES.map((_, i) => median(ones.map((one) => one.cpuMs[i]))));
  t.comment(`one pod more: ${median(updates.map(({ tookMs }) => tookMs)).toFixed(0)} ms from its manifest to the tables (${median(explicit.updates.map(({ tookMs }) => tookMs)).toFixed(0)} to the policy in explicit mode)`);
  ROLES.forEach((role, i) => { t.comment(`one pod more, ${role}: ${cpuMs[0][i].toFixed(0)} ms of CPU in explicit mode, ${cpuMs[1][i].toFixed(0)} enforcing`); });
});
