import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import t, { type Test } from 'tap';
import type { Snapshot } from '@tandem/core';
import { mappingToWire, type pairV1 } from '@tandem/proto';
import { DEADLINE_MS, until, within } from '../dataplane/testing/wait.js';
import type { Member } from '../member/member.js';
import { startPairClient } from './client.js';
import { pairSocketPath, startPairServer } from './server.js';
import { HELLO, mappingOf, Node, RawAgent, RawPeer, type RecordingLog, snapshotOf } from './testing/members.js';

const CHANGES: pairV1.Changes = { sequence: 1n, revision: 0n, mappings: [], cleans: [] };

interface Agent {
  readonly node: Node;
  readonly member: Member;
  readonly log: RecordingLog;
}

async function agentOf(t: Test): Promise<Agent> {
  const node = new Node();
  const { member, log } = node.member('agent');
  await member.enforce(snapshotOf(1));
  const options = { member, onForeignSnapshot: () => undefined, onSnapshot: (one: Snapshot) => member.enforce(one) };
  const server = await startPairServer(options);
  t.teardown(async () => {
    await server.close();
    await member.stop();
    node.remove();
  });
  return { node, member, log };
}

function peerOf(t: Test, { node }: Agent): RawPeer {
  const peer = new RawPeer(node.dir);
  t.teardown(() => peer.close());
  return peer;
}

/** The agent is none the worse: a peer that keeps to the rules is linked. */
async function stillServes(t: Test, agent: Agent): Promise<void> {
  const peer = peerOf(t, agent);
  peer.say({ $case: 'hello', value: HELLO });
  await until('a snapshot', DEADLINE_MS, () => peer.received.some(({ $case }) => $case === 'snapshot'));
}

const RUDE: readonly [string, (peer: RawPeer) => void, RegExp][] = [
  ['says it is an agent, too', (peer) => peer.say({ $case: 'hello', value: { ...HELLO, role: 'agent' } }), /role/],
  ['has no role', (peer) => peer.say({ $case: 'hello', value: { ...HELLO, role: '' } }), /role/],
  ['speaks another version', (peer) => peer.say({ $case: 'hello', value: { ...HELLO, protocol: 3, protocolMin: 2 } }), /protocol is versions 2 to 3, allowed is version 1/],
  ['says Hello twice', (peer) => {
    peer.say({ $case: 'hello', value: HELLO });
    peer.say({ $case: 'hello', value: HELLO });
  }, /Hello twice/],
  ['speaks before its Hello', (peer) => peer.say({ $case: 'changes', value: CHANGES }), /before its Hello/],
  ['answers a snapshot that it was not sent', (peer) => {
    peer.say({ $case: 'hello', value: HELLO });
    peer.say({ $case: 'snapshotResult', value: { requestId: '99', revision: 1n, refusal: '' } });
  }, /was not sent/],
  ['sends a mapping out of range', (peer) => {
    peer.say({ $case: 'hello', value: HELLO });
    peer.say({ $case: 'changes', value: { ...CHANGES, mappings: [{ ...mappingToWire(mappingOf(1)), name: 'no-dot' }] } });
  }, /name/],
  ['sends too many mappings in one message', (peer) => {
    peer.say({ $case: 'hello', value: HELLO });
    peer.say({ $case: 'changes', value: { ...CHANGES, mappings: Array.from({ length: 513 }, (_, i) => mappingToWire(mappingOf(i))) } });
  }, /at most 512/],
  ['sends a clean with a pattern that is none', (peer) => {
    peer.say({ $case: 'hello', value: HELLO });
    peer.say({ $case: 'changes', value: { ...CHANGES, mappings: [mappingToWire(mappingOf(1))], cleans: [{ matchPattern: 'a[b', endpointUid: '', atMs: 1 }] } });
  }, /pattern/],
  ['sends more than is acknowledged', (peer) => {
    peer.say({ $case: 'hello', value: HELLO });
    peer.say({ $case: 'changes', value: { ...CHANGES, sequence: 17n } });
  }, /sequence is 17, allowed is at most 16/],
  ['asks with too few digests', (peer) => {
    peer.say({ $case: 'hello', value: HELLO });
    peer.say({ $case: 'digests', value: { pass: 1, words: [1, 2, 3] } });
  }, /words is 3 words/],
  ['answers a question that it was not asked', (peer) => {
    peer.say({ $case: 'hello', value: HELLO });
    peer.say({ $case: 'buckets', value: { pass: 9, buckets: [] } });
  }, /pass is 9/],
  ['sends bytes that are no message', (peer) => peer.sayBytes(Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f)), /./],
];

for (const [what, say, why] of RUDE) {
  t.test(`a peer that ${what} loses its link, and is told why`, async (t) => {
    const agent = await agentOf(t);
    const peer = peerOf(t, agent);
    say(peer);
    const { code, details } = await within('the end of the link', DEADLINE_MS, peer.ended);
    t.not(code, 0);
    t.match(details, why);
    t.equal(agent.member.cache.size, 0, 'nothing of it is kept');
    await until('the link down', DEADLINE_MS, () => !agent.member.peer.connected);
    await stillServes(t, agent);
  });
}

t.test('a peer that says nothing is given up', async (t) => {
  const agent = await agentOf(t);
  const peer = peerOf(t, agent);
  const { details } = await within('the end of the link', DEADLINE_MS, peer.ended);
  t.match(details, /no Hello in time/);
  await stillServes(t, agent);
});

t.test('a peer that goes without a word is noticed at once', async (t) => {
  const agent = await agentOf(t);
  const peer = new RawPeer(agent.node.dir);
  peer.say({ $case: 'hello', value: HELLO });
  await until('linked', DEADLINE_MS, () => agent.member.peer.connected);
  peer.close();
  await until('noticed', DEADLINE_MS, () => !agent.member.peer.connected);
  await stillServes(t, agent);
});

t.test('what is no HTTP/2 ends its connection only', async (t) => {
  const agent = await agentOf(t);
  const socket = connect(pairSocketPath(agent.node.dir));
  socket.on('error', () => undefined);
  socket.write('GET / HTTP/1.1\r\n\r\n'.repeat(100));
  socket.resume();
  await within('closed', DEADLINE_MS, once(socket, 'close'));
  await stillServes(t, agent);
});

t.test('connections on which nobody calls are ended, so their places are free again', async (t) => {
  const agent = await agentOf(t);
  const sessions = Array.from({ length: 4 }, () => connectHttp2('http://localhost', { createConnection: () => connect(pairSocketPath(agent.node.dir)) }));
  for (const session of sessions) session.on('error', () => undefined);
  await Promise.all(sessions.map((session) => within('closed', DEADLINE_MS, once(session, 'close'))));
  await stillServes(t, agent);
});

t.test('more connections than a pair can have are closed', async (t) => {
  const agent = await agentOf(t);
  const sockets = Array.from({ length: 10 }, () => connect(pairSocketPath(agent.node.dir)));
  let closed = 0;
  for (const socket of sockets) {
    socket.on('error', () => undefined);
    socket.on('close', () => closed++);
    socket.resume();
  }
  await until('the surplus closed', DEADLINE_MS, () => closed === 6);
  for (const socket of sockets) socket.destroy();
  await until('all closed', DEADLINE_MS, () => closed === 10);
  await stillServes(t, agent);
});

t.test('mappings of a peer are merged and acknowledged', async (t) => {
  const agent = await agentOf(t);
  const peer = peerOf(t, agent);
  peer.say({ $case: 'hello', value: HELLO });
  peer.say({ $case: 'changes', value: { ...CHANGES, mappings: [mappingToWire(mappingOf(1)), mappingToWire(mappingOf(2))] } });
  await until('acknowledged', DEADLINE_MS, () => peer.received.some((message) => message.$case === 'changesAck' && message.value.sequence === 1n));
  t.strictSame([...agent.member.cache.mappings()], [mappingOf(1), mappingOf(2)]);
});

t.test('a snapshot that the peer refuses is told to the log, and the link stays', async (t) => {
  const agent = await agentOf(t);
  const peer = peerOf(t, agent);
  peer.say({ $case: 'hello', value: HELLO });
  await until('a snapshot', DEADLINE_MS, () => peer.received.some(({ $case }) => $case === 'snapshot'));
  const offered = peer.received.find((message) => message.$case === 'snapshot')!.value;
  peer.say({ $case: 'snapshotResult', value: { requestId: offered.requestId, revision: 1n, refusal: 'it does not please me' } });
  await until('in the log', DEADLINE_MS, () => agent.log.has(/refused a snapshot.*it does not please me/));
  t.match(agent.member.peer, { connected: true, revision: null });
  await agent.member.enforce(snapshotOf(2));
  agent.member.onExchange();
  await until('the next one offered', DEADLINE_MS, () => peer.received.filter(({ $case }) => $case === 'snapshot').length === 2);
});

async function proxyOf(t: Test): Promise<{ agent: RawAgent; member: Member; log: RecordingLog }> {
  const node = new Node();
  const agent = await RawAgent.start(node.dir);
  const { member, log } = node.member('dns-proxy');
  await member.enforce(snapshotOf(1));
  const client = startPairClient({ member, onSnapshot: (one) => member.enforce(one) });
  t.teardown(async () => {
    client.close();
    agent.close();
    await member.stop();
    node.remove();
  });
  await until('dialled', DEADLINE_MS, () => agent.received.some(({ $case }) => $case === 'hello'));
  return { agent, member, log };
}

const snapshotBytes = (snapshot: unknown): Buffer => Buffer.from(JSON.stringify(snapshot));
const good = snapshotOf(5);
const REFUSED: readonly [string, { revision?: bigint; hash?: string; content: Buffer }][] = [
  ['is no JSON', { content: Buffer.from('{') }],
  ['is no snapshot', { content: snapshotBytes({ revision: 5 }) }],
  ['has a wrong hash inside', { content: snapshotBytes({ ...good, hash: '00' }) }],
  ['has a wrong hash beside it', { hash: '00', content: snapshotBytes(good) }],
  ['was changed on the way', { content: snapshotBytes({ ...good, nodeName: 'another' }) }],
];

t.test('a snapshot that cannot be used is refused with a reason, and the former one stays', async (t) => {
  const { agent, member, log } = await proxyOf(t);
  agent.say({ $case: 'hello', value: { ...HELLO, role: 'agent', snapshotRevision: 5n, snapshotHash: good.hash } });
  for (const [i, [what, { revision = 5n, hash = good.hash, content }]] of REFUSED.entries()) {
    const requestId = `r${i}`;
    agent.say({ $case: 'snapshot', value: { requestId, revision, hash, content } });
    const results = (): string[] => agent.received.flatMap((message) =>
      message.$case === 'snapshotResult' && message.value.requestId === requestId ? [message.value.refusal] : []);
    await until(what, DEADLINE_MS, () => results().length === 1);
    t.not(results()[0], '', what);
  }
  t.strictSame(member.snapshot, snapshotOf(1));
  t.equal(log.lines.filter((line) => line.includes('a snapshot was refused; the former one stays')).length, REFUSED.length);
  t.equal(member.peer.connected, true, 'the link stays');
  agent.say({ $case: 'snapshot', value: { requestId: 'good', revision: 5n, hash: good.hash, content: snapshotBytes(good) } });
  await until('taken', DEADLINE_MS, () => member.snapshot?.revision === 5);
});

t.test('a snapshot that is older than the policy in force is refused, and the newer one offered', async (t) => {
  const { agent, member } = await proxyOf(t);
  await member.enforce(snapshotOf(7));
  agent.say({ $case: 'hello', value: { ...HELLO, role: 'agent', snapshotRevision: 9n, snapshotHash: 'another' } });
  agent.say({ $case: 'snapshot', value: { requestId: 'older', revision: 5n, hash: good.hash, content: snapshotBytes(good) } });
  await until('refused', DEADLINE_MS, () => agent.received.some((message) => message.$case === 'snapshotResult' && message.value.refusal.includes('5 is older than 7')));
  await until('offered', DEADLINE_MS, () => agent.received.some((message) => message.$case === 'snapshot' && message.value.revision === 7n));
  t.strictSame(member.snapshot, snapshotOf(7));
});

t.test('an agent that speaks only other versions is refused, which is said once, and the policy stays in force', async (t) => {
  const { agent, member, log } = await proxyOf(t);
  const refusals = (): string[] => log.lines.filter((line) => line.includes('given up'));
  for (let links = 1; links <= 3; links++) {
    await until('dialled', DEADLINE_MS, () => agent.links === links && agent.received.filter(({ $case }) => $case === 'hello').length === links);
    agent.say({ $case: 'hello', value: { ...HELLO, role: 'agent', protocol: 9, protocolMin: 8 } });
  }
  await until('dialled once more', DEADLINE_MS, () => agent.links === 4);
  t.equal(refusals().length, 1);
  t.match(refusals()[0], /^error .*protocol is versions 8 to 9, allowed is version 1: update the older member/);
  t.notOk(log.has(/not reached/));
  t.equal(member.peer.connected, false);
  t.strictSame(member.snapshot, snapshotOf(1));
});

t.test('an agent of a wrong role is left, and dialled again with pauses', async (t) => {
  const { agent, member, log } = await proxyOf(t);
  agent.say({ $case: 'hello', value: { ...HELLO, role: 'dns-proxy' } });
  await until('given up', DEADLINE_MS, () => log.has(/given up.*role/));
  t.equal(member.peer.connected, false);
  await until('dialled again', DEADLINE_MS, () => agent.links >= 2);
  agent.say({ $case: 'hello', value: { ...HELLO, role: 'agent' } });
  await until('linked', DEADLINE_MS, () => member.peer.connected);
});
