import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { existsSync } from 'node:fs';
import type { FqdnCache, LoggedPacket, Settings } from '@tandem/core';
import t, { type Test } from 'tap';
import { LOG_GROUP } from '../names.js';
import { logPrefix } from '../packet-log/prefix.js';
import { NO_LOG, staysAlive, until } from '../testing/kernel-test.js';
import { enterOwnNamespace } from '../testing/namespace.js';
import { cacheOf, inKernel, mappingOf, setsOf, settingsOf, snapshotOf } from '../testing/open-sets.js';
import { lockPath } from './leadership.js';
import { NodeDatapath } from './node-datapath.js';

enterOwnNamespace();

staysAlive(t);

const SNAPSHOT = snapshotOf(['*.one.']);
const [SET] = setsOf(SNAPSHOT);

interface Member {
  readonly datapath: NodeDatapath;
  readonly cache: FqdnCache;
  readonly told: { reopened: number; readonly packets: LoggedPacket[] };
}

async function member(t: Test, runDir: string, role: Settings['role'], enableHubble = false): Promise<Member> {
  const settings: Settings = { ...settingsOf('mode', 'transparent', 'enable-hubble', String(enableHubble)), role, runDir };
  const cache = cacheOf(settings);
  const datapath = await NodeDatapath.start({ settings, log: NO_LOG });
  t.teardown(() => { datapath.close(); });
  const told: Member['told'] = { reopened: 0, packets: [] };
  datapath.attach({
    cache, onDiverted: () => undefined, onDisplaced: () => undefined, onReopened: () => told.reopened++,
    onPackets: (packets) => told.packets.push(...packets), onPacketsLost: () => undefined,
  });
  return { datapath, cache, told };
}

function isThere(): boolean {
  try {
    execFileSync('nft', ['list', 'table', 'inet', 'tandem'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

t.test('a member without a policy does not lead, so it keeps nobody from writing one', async (t) => {
  const runDir = t.testdir();
  await member(t, runDir, 'dns-proxy');
  t.notOk(existsSync(lockPath(runDir)));
  const agent = await member(t, runDir, 'agent');
  await agent.datapath.enforce(SNAPSHOT);
  t.ok(isThere(), 'when it is said to be enforced, the tables are there');
  t.ok(agent.datapath.counts.isLeader);
});

t.test('what only the follower has learned is open again after the leader made the tables anew', async (t) => {
  const runDir = t.testdir();
  const [agent, proxy] = [await member(t, runDir, 'agent'), await member(t, runDir, 'dns-proxy')];
  await agent.datapath.enforce(SNAPSHOT);
  await proxy.datapath.enforce(SNAPSHOT);
  t.strictSame([agent.datapath.counts.isLeader, proxy.datapath.counts.isLeader], [true, false]);
  // As while the link between them is cut.
  const mapping = mappingOf('a.one.', '192.0.2.1');
  proxy.cache.merge(mapping);
  proxy.datapath.taught([mapping]);
  t.ok(await until(() => inKernel(SET).has('192.0.2.1')));
  const before = proxy.told.reopened;
  execFileSync('nft', ['delete', 'table', 'inet', 'tandem']);
  t.ok(await until(() => isThere() && inKernel(SET).has('192.0.2.1')), 'open');
  t.equal(agent.datapath.counts.repairs, 1);
  t.equal(proxy.told.reopened, before + 1, 'its data plane takes nothing for open that may be closed');
});

t.test('when the leader ends the other leads, and the one that ended does not come back', async (t) => {
  const runDir = t.testdir();
  const [agent, proxy] = [await member(t, runDir, 'agent'), await member(t, runDir, 'dns-proxy')];
  await agent.datapath.enforce(SNAPSHOT);
  await proxy.datapath.enforce(SNAPSHOT);
  // A change that is under way when it closes.
  const changing = agent.datapath.enforce(snapshotOf(['*.one.', '*.two.']));
  agent.datapath.close();
  await changing;
  t.ok(await until(() => proxy.datapath.counts.isLeader));
  t.notOk(agent.datapath.counts.isLeader);
  t.ok(isThere());
});

t.test('an heir writes everything anew but what has been opened: what it does not know stays open, what is not ours in the table goes', async (t) => {
  const runDir = t.testdir();
  const [agent, proxy] = [await member(t, runDir, 'agent'), await member(t, runDir, 'dns-proxy')];
  await agent.datapath.enforce(SNAPSHOT);
  await proxy.datapath.enforce(SNAPSHOT);
  // As by a data plane that has not told of it yet; the second as one that is told of while it is written.
  const nft = (text: string): void => { execFileSync('nft', ['-f', '-'], { input: text }); };
  nft(`add element inet tandem ${SET} { 192.0.2.1 timeout 60s, 192.0.2.2 timeout 60s }`);
  nft('add chain inet tandem foreign\nadd rule inet tandem foreign accept\nadd set inet tandem foreigners { type ipv4_addr; }\nadd rule inet tandem leaving jump foreign');
  const mapping = mappingOf('b.one.', '192.0.2.2');
  proxy.cache.merge(mapping);
  proxy.datapath.taught([mapping]);
  const wasOpen = { always: true };
  const watching = setInterval(() => { wasOpen.always &&= inKernel(SET).has('192.0.2.1'); }, 5);
  t.teardown(() => { clearInterval(watching); });
  const { changes } = proxy.datapath.counts;
  agent.datapath.close();
  t.ok(await until(() => proxy.datapath.counts.changes > changes));
  clearInterval(watching);
  t.ok(wasOpen.always && inKernel(SET).has('192.0.2.1') && inKernel(SET).has('192.0.2.2'));
  const table = execFileSync('nft', ['list', 'table', 'inet', 'tandem'], { encoding: 'utf8' });
  t.notMatch(table, /foreign/);
  t.equal(proxy.datapath.counts.failures, 0);
});

t.test('what the tables of a dead leader log is read by its heir until its own tables are there, and no longer', async (t) => {
  const runDir = t.testdir();
  const [agent, proxy] = [await member(t, runDir, 'agent', true), await member(t, runDir, 'dns-proxy', true)];
  await agent.datapath.enforce(SNAPSHOT);
  await proxy.datapath.enforce(SNAPSHOT);
  // As a rule of the agent's tables, in a table that stays.
  const prefix = logPrefix({ direction: 'egress', verdict: 'denied', ruleSet: null, rule: null });
  const port = 7001;
  execFileSync('nft', ['-f', '-'], { input: `table inet former { chain out { type filter hook output priority 0; udp dport ${String(port)} log prefix "${prefix}" group ${String(LOG_GROUP.agent)} accept; }; }` });
  t.teardown(() => execFileSync('nft', ['delete', 'table', 'inet', 'former']));
  const socket = createSocket('udp4');
  t.teardown(() => { socket.close(); });
  const send = (): void => { socket.send('x', port, '127.0.0.1'); };
  const seen = (member: Member): number => member.told.packets.filter(({ destinationPort }) => destinationPort === port).length;
  send();
  t.ok(await until(() => seen(agent) === 1));
  agent.datapath.close();
  t.ok(await until(() => proxy.datapath.counts.isLeader));
  send();
  t.ok(await until(() => seen(proxy) === 1));
  const successor = await member(t, runDir, 'agent', true);
  await successor.datapath.enforce(SNAPSHOT);
  proxy.datapath.close();
  t.ok(await until(() => successor.datapath.counts.isLeader));
  t.ok(await until(() => successor.datapath.problems.length === 0), 'the group is its own again');
  send();
  t.ok(await until(() => seen(successor) === 1));
});
