/** The workers of one member, in this process, without a peer. */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { getPriority } from 'node:os';
import { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import type { Settings, SocketAddress } from '@tandem/core';
import type { Gauges } from './data-plane.js';
import { DataPlanes, mergedGauges } from './data-planes.js';
import { bindListener, createListener, type Listener } from './listeners.js';
import { freeAddress } from '../testing/free-address.js';
import { UdpClient } from './testing/clients.js';
import { addressFor, query, read } from './testing/messages.js';
import { newDir, settingsOf, snapshotOf } from './testing/rig.js';
import { TestUpstream } from './testing/upstream.js';
import { DEADLINE_MS, until } from './testing/wait.js';

const PORTS = 64;
const REFUSED = 5;
const NO_ERROR = 0;

interface Started {
  readonly planes: DataPlanes;
  readonly applied: number[];
  readonly names: Set<string>;
}

async function settingsFor(t: Test, listen: readonly SocketAddress[], workers: number): Promise<Settings> {
  const upstream = await TestUpstream.start('127.0.0.1', (asked) => asked.answer(addressFor(asked.query)));
  const dir = newDir();
  t.teardown(async () => {
    await upstream.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  return { ...settingsOf(dir, listen, [upstream.address]), workers };
}

async function start(t: Test, settings: Settings, legacy: readonly (readonly Listener[])[] | null = null): Promise<Started> {
  const applied: number[] = [];
  const names = new Set<string>();
  const planes = await DataPlanes.start(settings, snapshotOf(1), {
    onMappings: (records) => { for (const { name } of records) names.add(name); },
    onPolicyApplied: (revision) => applied.push(revision),
    onCrash: (error) => { t.error(error); },
  }, { legacy, httpFd: null });
  t.teardown(() => planes.stop());
  return { planes, applied, names };
}

/** Asks from as many ports, each another name; the answers' codes. */
async function ask(server: SocketAddress, prefix: string): Promise<Set<number>> {
  const codes = await Promise.all(Array.from({ length: PORTS }, async (_, i) => {
    const client = await UdpClient.open('127.0.0.1');
    const { bytes } = await client.ask(query(`${prefix}${String(i)}.example.test`), server);
    client.close();
    return read(bytes).rcode;
  }));
  return new Set(codes);
}

t.test('all workers answer at one port, and what they count and learn is the member\'s', async (t) => {
  const { planes, names } = await start(t, await settingsFor(t, [await freeAddress()], 3));
  t.equal(planes.addresses.length, 1);
  t.same(await ask(planes.addresses[0], 'n'), new Set([NO_ERROR]));
  t.equal(planes.queries.length, 3);
  t.ok(planes.queries.every((count) => count > 0), planes.queries.join());
  t.equal(planes.counters.get('queries'), PORTS);
  t.equal(planes.counters.latencies('answered').buckets.reduce((sum, count) => sum + count), PORTS);
  await until('all mappings', DEADLINE_MS, () => names.size === PORTS);
  t.match(planes.gauges(), { underWay: 0, redundant: 0, peerWorkers: 0 });
});

/** Niceness of this process's threads: field 19 of their stat, counted behind the name (proc_pid_stat(5)). */
function nicenesses(): number[] {
  return readdirSync('/proc/self/task').flatMap((thread) => {
    try {
      const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8');
      return [Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])];
    } catch {
      // It has ended meanwhile.
      return [];
    }
  });
}

/** Whether a thread here may have a niceness below 0 (CAP_SYS_NICE). */
async function mayComeFirst(): Promise<boolean> {
  const worker = new Worker("const { setPriority } = require('node:os'); setPriority(0, -1);", { eval: true });
  return new Promise((resolve) => { worker.once('error', () => { resolve(false); }).once('exit', () => { resolve(true); }); });
}

t.test('data planes come before all other threads, where they may', async (t) => {
  const expected = await mayComeFirst() ? 2 : 0;
  // One that has been joined stays in the list for a moment.
  await until('the data planes of earlier tests to be gone', DEADLINE_MS, () => nicenesses().every((niceness) => niceness >= getPriority()));
  const others = nicenesses();
  await start(t, await settingsFor(t, [await freeAddress()], 2));
  const first = nicenesses().filter((niceness) => !others.includes(niceness));
  t.equal(first.length, expected, nicenesses().join());
  t.ok(first.every((niceness) => niceness < Math.min(...others)), first.join());
});

t.test('a policy is in force once every worker applies it, and is said once', async (t) => {
  const { planes, applied } = await start(t, await settingsFor(t, [await freeAddress()], 2));
  planes.setPolicy(snapshotOf(2));
  planes.setPolicy(snapshotOf(3, { denied: true }));
  await until('both', DEADLINE_MS, () => applied.length === 2);
  t.same(applied, [2, 3]);
  t.same(await ask(planes.addresses[0], 'n'), new Set([REFUSED]));
  t.same(applied, [2, 3]);
});

for (const [workers, predecessors] of [[1, 3], [2, 3], [3, 2]] as const) {
  t.test(`${String(workers)} workers read the sockets of a predecessor with ${String(predecessors)}`, async (t) => {
    const address = await freeAddress();
    const legacy = Array.from({ length: predecessors }, () => [bindListener(createListener(address))]);
    // What waits in them when the workers start is answered, too.
    const early = ask(address, 'early');
    const { planes } = await start(t, await settingsFor(t, [address], workers), legacy);
    t.same(await early, new Set([NO_ERROR]));
    t.same(await ask(address, 'n'), new Set([NO_ERROR]));
    t.equal(planes.counters.get('queries'), 2 * PORTS);
  });
}

t.test('an address that is not to be had ends them all', async (t) => {
  const at = await freeAddress();
  const taken = createSocket('udp4').bind(at.port, at.address);
  await once(taken, 'listening');
  const settings = await settingsFor(t, [at], 2);
  await t.rejects(start(t, settings), { code: 'UNAVAILABLE', message: /another program holds/ });
  taken.close();
  await once(taken, 'close');
  const { planes } = await start(t, settings);
  t.same(await ask(at, 'n'), new Set([NO_ERROR]));
  t.equal(planes.counters.get('queries'), PORTS);
});

const GAUGES: Gauges = {
  underWay: 1, tcpConnections: 2, freeSlots: 3, heartbeatMs: 1000, redundant: 1, adopted: 0, held: 1, draining: 0, peerHeartbeatMs: 900, openFailures: 0, peerWorkers: 2,
};

t.test('a member is as its workers together, and no better than the worst', (t) => {
  t.equal(mergedGauges([GAUGES]), GAUGES);
  t.same(mergedGauges([GAUGES, { ...GAUGES, underWay: 5, heartbeatMs: 990, redundant: 0, adopted: 1, held: 0, draining: 1, peerHeartbeatMs: 0, openFailures: 7 }]), {
    underWay: 6, tcpConnections: 4, freeSlots: 6, heartbeatMs: 990, redundant: 0, adopted: 1, held: 0, draining: 1, peerHeartbeatMs: 900, openFailures: 7, peerWorkers: 2,
  });
  const draining = (...each: number[]): number => mergedGauges(each.map((state) => ({ ...GAUGES, draining: state }))).draining;
  t.same([draining(0, 0), draining(1, 0), draining(2, 0), draining(2, 1), draining(2, 2)], [0, 1, 1, 1, 2]);
  t.end();
});
