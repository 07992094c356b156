/**
 * Whatever breaks, no query of an enforced pod gets past the node unfiltered: judged by the DNS servers' own logs, while a pod asks all the time
 * for names that its policy does not allow, at the Service and at each server itself.
 */
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import type { Test } from 'tap';
import type { Child } from '../harness/child.js';
import { ROLES } from '../harness/pair.js';
import { DEADLINE_MS, until } from '../harness/until.js';
import { startEnforced, where } from './enforced.js';
import type { Enforced } from './enforced.js';
import { ofThisRun, type SetUp } from './scenarios/run.js';
import type { Lab } from './topology/lab.js';
import { loadProgram } from './topology/load.js';
import { KUBE_DNS } from './topology/plan.js';
import { namesPolicy } from './topology/policies.js';

/** For all of the file, on a machine that does much else. */
const FILE_DEADLINE_MS = 900_000;
const SET_UPS: readonly SetUp[] = [{ wiring: 'veth', nfCall: 1, family: 4 }, { wiring: 'veth', nfCall: 1, family: 6 }, { wiring: 'bridge', nfCall: 0, family: 4 }, { wiring: 'bridge', nfCall: 1, family: 6 }];
const ALLOWED = 'echo.k8s.intra';
const FORBIDDEN = 'secret.test';
const RATE = 100;
const PAST_SHOWN = 5;
const LOAD_SECONDS = 300;
/** For a bit of the askers' time to pass under a fault. */
const UNDER_FAULT_MS = 500;
const KILL_AFTER_MS = [30, 80, 150, 250, 350, 450, 550, 700, 900];

/** Asks for forbidden names at the Service and at each DNS server, over UDP and TCP, until it is stopped. */
class Askers {
  private readonly children: Child[];
  private readonly lab: Lab;
  private readonly told = new Set<string>();

  constructor(lab: Lab, pod: string) {
    this.lab = lab;
    const servers = [lab.address(KUBE_DNS.address), ...lab.dnsPods.map((one) => lab.addressOf(one))];
    this.children = servers.flatMap((server, index) => (['udp', 'tcp'] as const).map((protocol) => lab.spawn(pod, [
      loadProgram(protocol), '--server', server.includes(':') ? `[${server}]:53` : `${server}:53`, '--bind', lab.addressOf(pod), '--rate', String(RATE), '--seconds', String(LOAD_SECONDS),
      '--suffix', FORBIDDEN, '--prefix', `${protocol}${String(index)}-`, '--names', '1000', '--timeout-ms', '500',
    ])));
  }

  /** Names that reached a DNS server though no policy allows them, each told once; some of them where there are many. */
  past(): string[] {
    const past = new Set(this.lab.seenQueries().filter(({ name }) => name.endsWith(`.${FORBIDDEN}.`)).map(({ from, name }) => `${from} asked ${name}`));
    const fresh = [...past].filter((one) => !this.told.has(one));
    for (const one of fresh) this.told.add(one);
    return fresh.slice(0, PAST_SHOWN);
  }

  /** All still ask: else nothing is proven. */
  areAlive(): boolean {
    return this.children.every((child) => child.exit === null);
  }

  async stop(): Promise<void> {
    await Promise.all(this.children.map((child) => child.stop('SIGKILL')));
  }
}

/** DNS works for what is allowed, and refuses what is not. */
async function enforces({ stage }: Enforced): Promise<boolean> {
  const [allowed, refused] = await Promise.all([stage.lookUp('net1', ALLOWED), stage.lookUp('net1', `once.${FORBIDDEN}`)]);
  return allowed.status === 'NOERROR' && refused.status === 'REFUSED';
}

async function closed(t: Test, askers: Askers, during: string): Promise<void> {
  await pause(UNDER_FAULT_MS);
  t.ok(askers.areAlive(), 'the pod asks');
  t.strictSame(askers.past(), [], `${during}: nothing went past`);
}

async function mends(t: Test, enforced: Enforced, table?: string): Promise<void> {
  // DNS may never have noticed that it was away.
  if (table !== undefined) await until(`table ${table}`, DEADLINE_MS, async () => ((await rulesOf(enforced.lab, table)) > 0 ? true : null));
  await until('DNS to be enforced again', DEADLINE_MS, async () => ((await enforces(enforced)) ? true : null));
  t.pass('enforced again');
}

const tables = ['inet tandem', 'inet tandem-guard', 'bridge tandem', 'netdev tandem'];

/** Lines of its chains that are more than their heads. */
async function rulesOf(lab: Lab, table: string): Promise<number> {
  const listed = await lab.shell('node1', `nft list table ${table} 2>/dev/null || true`);
  return listed.split('\n').filter((line) => /\b(accept|drop|goto|jump|vmap)\b/.test(line) && !line.includes(' hook ')).length;
}

async function tablesThere(lab: Lab): Promise<string[]> {
  const listed = await lab.shell('node1', 'nft list tables');
  return tables.filter((table) => listed.split('\n').includes(`table ${table}`));
}

async function partByPart(t: Test, enforced: Enforced, askers: Askers): Promise<void> {
  const { lab, tandem } = enforced;
  for (const table of await tablesThere(lab)) {
    for (const verb of ['flush', 'delete']) {
      const pids = await Promise.all(ROLES.map((role) => tandem.pid(role)));
      // Both stand still, so that nobody repairs it.
      for (const pid of pids) process.kill(pid, 'SIGSTOP');
      try {
        await lab.shell('node1', `nft ${verb} table ${table}`);
        await closed(t, askers, `nft ${verb} table ${table}, nobody repairs`);
      } finally {
        for (const pid of pids) process.kill(pid, 'SIGCONT');
      }
      await mends(t, enforced, table);
      await lab.shell('node1', `nft ${verb} table ${table}`);
      await closed(t, askers, `nft ${verb} table ${table}, both alive`);
      await mends(t, enforced, table);
    }
  }
}

async function routing(t: Test, enforced: Enforced, askers: Askers): Promise<void> {
  const { lab } = enforced;
  const removals = ['ip rule', 'ip -6 rule'].map((rule) => `${rule} | grep 'lookup 10053' | cut -d: -f1 | while read -r priority; do ${rule} delete priority "$priority"; done`);
  for (const removal of [...removals, 'ip route flush table 10053', 'ip -6 route flush table 10053']) {
    await lab.shell('node1', removal);
    await closed(t, askers, removal.split(' | ')[0] + ' … removed');
    await mends(t, enforced);
  }
}

async function bothDead(t: Test, enforced: Enforced, askers: Askers): Promise<void> {
  const { tandem } = enforced;
  await Promise.all(ROLES.map((role) => tandem.end(role, 'SIGKILL')));
  await closed(t, askers, 'both dead');
  for (const [index, afterMs] of KILL_AFTER_MS.entries()) {
    const role = ROLES[index % ROLES.length];
    const child = tandem.launch(role);
    await pause(afterMs);
    child.kill('SIGKILL');
    t.ok(askers.areAlive(), 'the pod asks');
    t.strictSame(askers.past(), [], `${role} killed ${String(afterMs)} ms after its start: nothing went past`);
  }
  for (const role of ROLES) tandem.launch(role);
  await Promise.all(ROLES.map((role) => tandem.ready(role)));
  await mends(t, enforced);
}

t.setTimeout(FILE_DEADLINE_MS);

for (const how of ofThisRun(SET_UPS, false)) {
  t.test(`nothing gets past the node, over ${where(how)}`, async (t) => {
    const enforced = await startEnforced(t, { how, scenario: '1', policies: { 'policy-net.json': namesPolicy('net', { app: 'net' }, { dns: ['*.k8s.intra'] }) } });
    await until('DNS to be enforced', DEADLINE_MS, async () => ((await enforces(enforced)) ? true : null));
    const askers = new Askers(enforced.lab, 'net1');
    t.teardown(() => askers.stop());
    await t.test('while all is well', (t) => closed(t, askers, 'all well'));
    await t.test('with a table of ours flushed or deleted', (t) => partByPart(t, enforced, askers));
    await t.test('with rule or route of the redirect gone', (t) => routing(t, enforced, askers));
    await t.test('with both dead, or killed half-way through their start', (t) => bothDead(t, enforced, askers));
    t.ok(enforced.lab.seenQueries().some(({ name }) => name === `${ALLOWED}.`), 'and the logs are those of the servers that are asked');
    t.strictSame(enforced.stage.nothingPast(enforced.lab.addressOf('net1')), { seen: 'none', isSo: true });
  });
}
