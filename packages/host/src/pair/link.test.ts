import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstatSync, mkdirSync } from 'node:fs';
import { createServer as createHttp2Server } from 'node:http2';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { AppError, monoMs, type Role, type Snapshot } from '@tandem/core';
import { bootTimeMs } from 'node-reuseport';
import { DEADLINE_MS, until } from '../dataplane/testing/wait.js';
import type { Member } from '../member/member.js';
import { startPairClient } from './client.js';
import { pairSocketPath, startPairServer } from './server.js';
import { mappingOf, Node, type RecordingLog, snapshotOf } from './testing/members.js';

interface Side {
  readonly member: Member;
  readonly log: RecordingLog;
  readonly foreign: { readonly revision: number; readonly hash: string }[];
  stop(): Promise<void>;
}

/** A member of that role with its end of the link. */
async function started(t: Test, node: Node, role: Role, snapshot: Snapshot | null = null): Promise<Side> {
  const { member, log } = node.member(role);
  const foreign: { revision: number; hash: string }[] = [];
  // As the daemons do.
  member.storedSnapshot();
  if (snapshot !== null) await member.enforce(snapshot);
  let close: () => unknown;
  if (role === 'agent') {
    const options = {
      member,
      onForeignSnapshot: (revision: number, hash: string) => foreign.push({ revision, hash }),
      onSnapshot: (one: Snapshot) => member.enforce(one),
    };
    const server = await startPairServer(options);
    close = () => server.close();
  } else {
    const client = startPairClient({ member, onSnapshot: (one) => member.enforce(one) });
    close = () => client.close();
  }
  let stopped = false;
  const stop = async (): Promise<void> => {
    if (stopped) return;
    stopped = true;
    await close();
    await member.stop();
  };
  t.teardown(stop);
  return { member, log, foreign, stop };
}

function nodeOf(t: Test): Node {
  const node = new Node();
  t.teardown(() => node.remove());
  return node;
}

function linked(...sides: readonly Side[]): Promise<void> {
  return until('linked', DEADLINE_MS, () => sides.every(({ member }) => member.peer.connected));
}

function learn(side: Side, from: number, count: number): void {
  for (let i = from; i < from + count; i++) side.member.mappings.merge([mappingOf(i)]);
}

t.test('a snapshot of the agent is enforced, stored and acknowledged', async (t) => {
  const node = nodeOf(t);
  const [agent, proxy] = [await started(t, node, 'agent', snapshotOf(7)), await started(t, node, 'dns-proxy')];
  await until('taken', DEADLINE_MS, () => proxy.member.snapshot?.revision === 7);
  await until('acknowledged', DEADLINE_MS, () => agent.member.peer.revision === 7);
  t.match(agent.member.peer, { connected: true, incarnation: proxy.member.incarnation });
  t.match(proxy.member.peer, { connected: true, incarnation: agent.member.incarnation, revision: 7 });
  t.strictSame(node.member('dns-proxy').member.storedSnapshot(), snapshotOf(7), 'another process would find it');
  await agent.member.enforce(snapshotOf(8));
  agent.member.onExchange();
  await until('taken', DEADLINE_MS, () => agent.member.peer.revision === 8 && proxy.member.snapshot?.revision === 8);
});

t.test('a dial that was refused leaves no connection behind', async (t) => {
  const node = nodeOf(t);
  const { member, log } = node.member('dns-proxy');
  const refused = (): number => log.lines.reduce((sum, line) => sum + Number(/is not reached.*"times":(\d+)/.exec(line)?.[1] ?? 0), 0);
  const client = startPairClient({ member, onSnapshot: () => Promise.resolve() });
  await until('several refusals', DEADLINE_MS, () => refused() >= 4);
  const connections = new Set<Socket>();
  let most = 0;
  // It speaks HTTP/2, and answers no call.
  const agent = createHttp2Server();
  agent.on('connection', (socket: Socket) => {
    connections.add(socket);
    most = Math.max(most, connections.size);
    socket.on('close', () => connections.delete(socket));
  });
  agent.listen(pairSocketPath(node.dir));
  t.teardown(async () => {
    client.close();
    await member.stop();
    for (const socket of connections) socket.destroy();
    agent.close();
  });
  // Those that were left behind would have come by then.
  await until('its silence noticed', DEADLINE_MS, () => log.has(/no Hello in time/));
  t.equal(most, 1);
});

t.test('an agent that takes a connection and says nothing is left for one that answers', async (t) => {
  const node = nodeOf(t);
  const taken: Socket[] = [];
  const mute = createServer((socket) => taken.push(socket.on('error', () => undefined)));
  mute.listen(pairSocketPath(node.dir));
  t.teardown(() => taken.forEach((socket) => socket.destroy()));
  const proxy = await started(t, node, 'dns-proxy');
  await until('its connection', DEADLINE_MS, () => taken.length > 0);
  mute.close();
  const agent = await started(t, node, 'agent', snapshotOf(1));
  await linked(agent, proxy);
  t.notOk(taken[0].destroyed, 'the first attempt still hangs');
});

t.test('of many changes in a row the last one arrives', async (t) => {
  const node = nodeOf(t);
  const [agent, proxy] = [await started(t, node, 'agent', snapshotOf(1)), await started(t, node, 'dns-proxy')];
  await linked(agent, proxy);
  for (let revision = 2; revision <= 50; revision++) {
    await agent.member.enforce(snapshotOf(revision));
    agent.member.onExchange();
  }
  await until('the last one', DEADLINE_MS, () => agent.member.peer.revision === 50);
  t.strictSame(proxy.member.snapshot, snapshotOf(50));
});

t.test('an agent with an older policy does not send it, and is sent the newer one', async (t) => {
  const node = nodeOf(t);
  const proxy = await started(t, node, 'dns-proxy', snapshotOf(9));
  const agent = await started(t, node, 'agent', snapshotOf(3));
  await until('taken', DEADLINE_MS, () => agent.member.snapshot?.revision === 9);
  t.strictSame(proxy.member.snapshot, snapshotOf(9));
  t.notOk(agent.log.has(/refused a snapshot/));
  await agent.member.enforce(snapshotOf(10));
  await until('the next one', DEADLINE_MS, () => proxy.member.snapshot?.revision === 10);
});

t.test('a DNS proxy enforces what it has stored as soon as the agent has nothing better', async (t) => {
  for (const agents of [null, snapshotOf(3), snapshotOf(9)]) {
    const node = nodeOf(t);
    const former = node.member('dns-proxy').member;
    await former.enforce(snapshotOf(9));
    await former.stop();
    const agent = await started(t, node, 'agent', agents);
    const proxy = await started(t, node, 'dns-proxy');
    await until('enforced by both', DEADLINE_MS, () => proxy.member.snapshot?.revision === 9 && agent.member.snapshot?.revision === 9);
  }
});

t.test('a snapshot that the DNS proxy has already is not sent again; one that the agent does not know is told of', async (t) => {
  const node = nodeOf(t);
  const proxy = await started(t, node, 'dns-proxy', snapshotOf(9));
  const agent = await started(t, node, 'agent', snapshotOf(9));
  await linked(agent, proxy);
  t.strictSame(agent.foreign, []);
  await agent.stop();
  const later = await started(t, node, 'agent', snapshotOf(3));
  await until('told', DEADLINE_MS, () => later.foreign.length === 1);
  t.strictSame(later.foreign, [{ revision: 9, hash: snapshotOf(9).hash }]);
});

t.test('both hold what either had when the link came up, however much, and what is learned since', async (t) => {
  const node = nodeOf(t);
  const agent = await started(t, node, 'agent');
  learn(agent, 0, 25_000);
  const { member } = node.member('dns-proxy');
  for (let i = 50_000; i < 75_000; i++) member.mappings.merge([mappingOf(i)]);
  const client = startPairClient({ member, onSnapshot: (one) => member.enforce(one) });
  t.teardown(async () => {
    client.close();
    await member.stop();
  });
  await until('equal', 2 * DEADLINE_MS, () => agent.member.cache.size === 50_000 && member.cache.size === 50_000);
  const names = (one: Member): string[] => [...one.cache.everything()].map(({ name, address }) => `${name} ${address}`).sort();
  t.ok(names(agent.member).join() === names(member).join());
  await until('acknowledged', DEADLINE_MS, () => agent.member.lag === 0 && member.lag === 0);
});

t.test('a clean of either is made by both, also one that was made while they were apart', async (t) => {
  const node = nodeOf(t);
  const agent = await started(t, node, 'agent');
  const proxy = await started(t, node, 'dns-proxy');
  await linked(agent, proxy);
  for (const { member } of [agent, proxy]) member.mappings.merge([mappingOf(1, 'a.example.'), mappingOf(2, 'b.example.'), mappingOf(3, 'c.example.')]);
  t.equal(agent.member.mappings.clean('a.example.'), 1);
  await until('cleaned', DEADLINE_MS, () => proxy.member.cache.size === 2);
  t.equal(proxy.member.mappings.clean('b.*'), 1);
  await until('cleaned', DEADLINE_MS, () => agent.member.cache.size === 1);
  await agent.stop();
  t.equal(proxy.member.mappings.clean(null), 1);
  const later = await started(t, node, 'agent');
  later.member.mappings.merge([mappingOf(4, 'old.example.')]);
  await until('cleaned', DEADLINE_MS, () => later.member.cache.size === 0);
  later.member.mappings.merge([{ ...mappingOf(5), lookupMs: monoMs(Number.MAX_SAFE_INTEGER) }]);
  t.equal(later.member.cache.size, 1, 'what is looked up after the clean stays');
});

t.test('after either has restarted they are linked again, and the newcomer is told everything', async (t) => {
  const node = nodeOf(t);
  const first = { agent: await started(t, node, 'agent', snapshotOf(1)), proxy: await started(t, node, 'dns-proxy') };
  await linked(first.agent, first.proxy);
  learn(first.proxy, 0, 10);
  await first.agent.stop();
  await until('noticed', DEADLINE_MS, () => !first.proxy.member.peer.connected);
  t.equal(first.proxy.member.peer.incarnation, first.agent.member.incarnation, 'who it was is still known');
  const agent = await started(t, node, 'agent', snapshotOf(2));
  await until('told', DEADLINE_MS, () => first.proxy.member.snapshot?.revision === 2 && agent.member.cache.size === 10);
  await first.proxy.stop();
  await until('noticed', DEADLINE_MS, () => !agent.member.peer.connected);
  const proxy = await started(t, node, 'dns-proxy');
  await until('told', DEADLINE_MS, () => proxy.member.snapshot?.revision === 2 && proxy.member.cache.size === 10);
  t.equal(agent.member.peer.incarnation, proxy.member.incarnation);
});

t.test('whoever ends the link, both say why it is down', async (t) => {
  const why = ({ log }: Side): string | undefined => {
    const line = log.lines.find((one) => one.includes('the pair link is down'));
    return line === undefined ? undefined : (JSON.parse(line.slice(line.indexOf('{'))) as { readonly reason: string }).reason;
  };
  for (const [first, itsReason, others] of [['agent', 'this member ends it', /./], ['dns-proxy', 'this member ends it', /the DNS proxy ended it/]] as const) {
    const node = nodeOf(t);
    const members = { 'agent': await started(t, node, 'agent', snapshotOf(1)), 'dns-proxy': await started(t, node, 'dns-proxy') };
    await linked(members.agent, members['dns-proxy']);
    await members[first].stop();
    const other = members[first === 'agent' ? 'dns-proxy' : 'agent'];
    await until('noticed', DEADLINE_MS, () => other.log.has(/is down/));
    t.equal(why(members[first]), itsReason, first);
    t.match(why(other), others, `the other of ${first}`);
  }
});

t.test('while two peers are linked, the end of one link leaves the other whole', async (t) => {
  const node = nodeOf(t);
  const agent = await started(t, node, 'agent', snapshotOf(1));
  const [old, successor] = [await started(t, node, 'dns-proxy'), await started(t, node, 'dns-proxy')];
  await until('told', DEADLINE_MS, () => old.member.snapshot !== null && successor.member.snapshot !== null);
  await until('both links up', DEADLINE_MS, () => agent.log.lines.filter((line) => line.includes('is up')).length === 2);
  await old.stop();
  await until('noticed', DEADLINE_MS, () => agent.log.has(/is down/));
  t.equal(agent.member.peer.connected, true);
  for (const { member } of [agent, successor]) member.mappings.learned([{ endpointId: 1, name: `${member.settings.role}.example.`, address: '192.0.2.1', ttlSeconds: 60, lookupMs: monoMs(bootTimeMs()) }]);
  await until('both ways', DEADLINE_MS, () => agent.member.cache.size === 2 && successor.member.cache.size === 2);
});

t.test('the socket is its owner\'s alone', async (t) => {
  const node = nodeOf(t);
  await started(t, node, 'agent');
  t.equal(lstatSync(pairSocketPath(node.dir)).mode & 0o777, 0o600);
});

t.test('a socket that a killed process left behind is replaced', async (t) => {
  const node = nodeOf(t);
  const path = pairSocketPath(node.dir);
  const child = spawn(process.execPath, ['-e', `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`], {
    stdio: ['ignore', 'pipe', 'inherit'], env: {},
  });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  t.ok(lstatSync(path).isSocket(), 'it lies there');
  await linked(await started(t, node, 'agent'), await started(t, node, 'dns-proxy'));
});

t.test('a socket that cannot be made is an error that names it', async (t) => {
  const node = nodeOf(t);
  const { member } = node.member('agent');
  t.teardown(() => member.stop());
  mkdirSync(join(node.dir, 'pair.sock'));
  const options = { member, onForeignSnapshot: () => undefined, onSnapshot: () => Promise.resolve() };
  const error = await startPairServer(options).then(() => null, (reason: unknown) => reason);
  t.ok(error instanceof AppError);
  t.match(error, { code: 'UNAVAILABLE', message: pairSocketPath(node.dir) });
});

t.test('what one of two linked peers teaches reaches the other through the agent, cleans too', async (t) => {
  const node = nodeOf(t);
  const agent = await started(t, node, 'agent');
  const [old, successor] = [await started(t, node, 'dns-proxy'), await started(t, node, 'dns-proxy')];
  await linked(agent, old, successor);
  learn(old, 0, 3000);
  learn(successor, 5000, 1);
  await until('everywhere', DEADLINE_MS, () => [agent, old, successor].every(({ member }) => member.cache.size === 3001));
  t.equal(successor.member.mappings.clean(null), 3001);
  await until('clean everywhere', DEADLINE_MS, () => [agent, old, successor].every(({ member }) => member.cache.size === 0));
  await until('nothing owed', DEADLINE_MS, () => [agent, old, successor].every(({ member }) => member.lag === 0));
});

t.test('an agent that is not there is told of once, and again when it has been there in between', async (t) => {
  const node = nodeOf(t);
  const proxy = await started(t, node, 'dns-proxy');
  const unreached = (): string[] => proxy.log.lines.filter((line) => line.includes('the agent is not reached'));
  await until('told', DEADLINE_MS, () => unreached().length === 1);
  t.match(unreached()[0], /ENOENT.*pair\.sock/);
  const agent = await started(t, node, 'agent');
  await linked(agent, proxy);
  t.equal(unreached().length, 1);
  await agent.stop();
  await until('told again', DEADLINE_MS, () => unreached().length === 2);
});
