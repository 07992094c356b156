/**
 * Each member killed, stopped and replaced while a pod asks 3,000 queries a second through the Service's address, redirected and translated as on a real
 * node: nothing is lost. The server behind takes 5 ms, so that there is always something to lose.
 */
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { peerOf, ROLES } from '../harness/pair.js';
import type { Role } from '../harness/pair.js';
import { until } from '../harness/until.js';
import { startEnforced, where } from './enforced.js';
import { ofThisRun, type SetUp } from './scenarios/run.js';
import { isClean, Load, shown, startSlowServer } from './topology/load.js';
import { namesPolicy } from './topology/policies.js';
import type { Tandem } from './topology/tandem.js';

const RATE = 3_000;
const TCP_RATE = 200;
const LOAD_SECONDS = 300;
const HANG_MS = 400;
const SOON_MS = 10_000;
/** For all of the file, on a machine that does much else. */
const FILE_DEADLINE_MS = 900_000;
const SET_UPS: readonly SetUp[] = [{ wiring: 'veth', nfCall: 1, family: 4 }, { wiring: 'bridge', nfCall: 0, family: 6 }, { wiring: 'bridge', nfCall: 1, family: 4 }];

async function kill(tandem: Tandem, role: Role): Promise<void> {
  await tandem.end(role, 'SIGKILL');
}

async function restart(tandem: Tandem, role: Role): Promise<void> {
  tandem.launch(role);
  await tandem.ready(role);
  await tandem.redundant();
}

/** The peer has taken over from the member that stands still, which then goes on. */
async function hang(tandem: Tandem, role: Role): Promise<void> {
  const before = await tandem.metric(peerOf(role), 'takeovers');
  const pid = await tandem.pid(role);
  process.kill(pid, 'SIGSTOP');
  try {
    await pause(HANG_MS); // the fault itself
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await until(`${peerOf(role)} to have taken over`, SOON_MS, async () => ((await tandem.metric(peerOf(role), 'takeovers')) > before ? true : null));
  await tandem.redundant();
}

/** The successor first, which is given all sockets; then the predecessor is told to end. */
async function surge(tandem: Tandem, role: Role): Promise<void> {
  const before = await tandem.pid(role);
  tandem.launch(role);
  await until(`the successor of ${role}`, SOON_MS * 2, async () => ((await tandem.pid(role)) !== before ? true : null));
  process.kill(before, 'SIGTERM');
  await tandem.ready(role);
  await tandem.redundant();
}

const faults: readonly { readonly title: string; readonly stage: (tandem: Tandem, role: Role) => Promise<void> }[] = [
  { title: 'killed and started again', stage: async (tandem, role) => { await kill(tandem, role); await restart(tandem, role); } },
  { title: `stopped for ${String(HANG_MS)} ms`, stage: hang },
  { title: 'drained and started again', stage: async (tandem, role) => { await tandem.end(role, 'SIGTERM'); await restart(tandem, role); } },
  { title: 'replaced by a successor that starts first', stage: surge },
];

t.setTimeout(FILE_DEADLINE_MS);

for (const how of ofThisRun(SET_UPS, false)) {
  t.test(`through TPROXY, over ${where(how)}`, async (t) => {
    const { lab, tandem } = await startEnforced(t, { how, scenario: '3', policies: { 'policy-crawler.json': namesPolicy('crawler', { app: 'crawler' }, { dns: ['*'] }) } });
    await startSlowServer(lab);
    await tandem.redundant();
    await t.test('both members answer', async (t) => {
      const before = await Promise.all(ROLES.map((role) => tandem.metric(role, 'queries')));
      const load = await Load.start(lab, 'crawler', { rate: RATE, seconds: LOAD_SECONDS });
      await load.flowing(2 * RATE);
      const result = await load.stop();
      t.comment(shown(result));
      t.ok(isClean(result), 'all answered, once and rightly', { result });
      const queries = (await Promise.all(ROLES.map((role) => tandem.metric(role, 'queries')))).map((count, index) => count - before[index]);
      t.ok(queries.every((count) => count > result.sent / 10), `agent and dns-proxy had ${queries.join(' and ')}`);
      // One that was taken over from a member that was late counts twice.
      t.ok(queries[0] + queries[1] >= result.sent, 'every query went through one of the two');
    });
    for (const { title, stage } of faults) {
      for (const role of ROLES) {
        await t.test(`${role} ${title}: no query is lost`, async (t) => {
          const load = await Load.start(lab, 'crawler', { rate: RATE, seconds: LOAD_SECONDS });
          await load.flowing();
          await stage(tandem, role);
          await load.flowing();
          const result = await load.stop();
          t.comment(shown(result));
          t.ok(isClean(result), 'all answered, once and rightly', { result });
        });
      }
    }
    for (const role of ROLES) {
      await t.test(`${role} killed: no TCP connection is lost`, async (t) => {
        const load = await Load.start(lab, 'crawler', { rate: TCP_RATE, seconds: LOAD_SECONDS, protocol: 'tcp' });
        await load.flowing(100);
        await kill(tandem, role);
        await load.flowing(100);
        const result = await load.stop();
        t.comment(shown(result));
        t.ok(isClean(result), 'all answered, once and rightly', { result });
        await restart(tandem, role);
      });
    }
  });
}
