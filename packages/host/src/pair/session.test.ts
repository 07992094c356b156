import t, { type Test } from 'tap';
import type { AppError, Role, Settings, Snapshot } from '@tandem/core';
import { ACK_WITHIN_MS, MESSAGES_UNACKED_MAX, monoMs, snapshotHash } from '@tandem/core';
import { pairV1, type WireMessage } from '@tandem/proto';
import { DEADLINE_MS, until } from '../dataplane/testing/wait.js';
import type { Member } from '../member/member.js';
import { TestClock } from '../state/testing/cache-rig.js';
import { PairSession } from './session.js';
import { SpacedLog } from './spaced-log.js';
import { HELLO, mappingOf, Node, type RecordingLog, snapshotOf } from './testing/members.js';

/** The identity of a pod of another node. */
const FAR = 300;

interface Bench {
  readonly member: Member;
  readonly log: RecordingLog;
  readonly session: PairSession;
  readonly sent: WireMessage[];
  readonly ends: (AppError | null)[];
  /** What the session gave to be enforced. */
  readonly enforced: Snapshot[];
  readonly world: World;
  /** So much time passes. */
  readonly pass: (ms: number) => void;
}

interface World {
  /** What the transport says to the next message. */
  takes: boolean;
  nowMs: number;
  alarms: { readonly atMs: number; readonly callback: () => void }[];
}

function benchOf(t: Test, role: Role = 'agent', clock = new TestClock(), node = new Node(), changes: Partial<Settings> = {}): Bench {
  const { member, log } = node.member(role, changes, { clock });
  const sent: WireMessage[] = [];
  const ends: (AppError | null)[] = [];
  const enforced: Snapshot[] = [];
  const world: World = { takes: true, nowMs: 1000, alarms: [] };
  const session = new PairSession({
    member,
    spaced: new SpacedLog(log),
    send: (message) => {
      sent.push(message);
      return world.takes;
    },
    close: (error) => ends.push(error),
    onSnapshot: (snapshot) => {
      enforced.push(snapshot);
      return Promise.resolve();
    },
    clock: {
      nowMs: () => monoMs(world.nowMs),
      after: (delayMs, callback) => {
        const alarm = { atMs: world.nowMs + delayMs, callback };
        world.alarms.push(alarm);
        return () => {
          world.alarms = world.alarms.filter((other) => other !== alarm);
        };
      },
    },
  });
  const pass = (ms: number): void => {
    world.nowMs += ms;
    const due = world.alarms.filter(({ atMs }) => atMs <= world.nowMs);
    world.alarms = world.alarms.filter((alarm) => !due.includes(alarm));
    for (const { callback } of due) callback();
  };
  member.onExchange = () => session.pump();
  t.teardown(async () => {
    session.ended('the test is over');
    await member.stop();
    node.remove();
  });
  return { member, log, session, sent, ends, enforced, world, pass };
}

function changesIn({ sent }: Bench): number {
  return sent.filter(({ $case }) => $case === 'changes').length;
}

/** The peer has said Hello, and knows what this member knows: nothing. */
async function linked(t: Test): Promise<Bench> {
  const bench = benchOf(t);
  bench.session.receive({ $case: 'hello', value: HELLO });
  await until('the first revision', DEADLINE_MS, () => changesIn(bench) === 1);
  bench.session.receive({ $case: 'changesAck', value: { sequence: 1n } });
  return bench;
}

t.test('a peer that does not acknowledge in time loses the link, and the log says why', async (t) => {
  const { member, log, ends, pass } = await linked(t);
  pass(5);
  const merged = member.mappings.merge([mappingOf(1)]);
  pass(ACK_WITHIN_MS - 1);
  t.strictSame(ends, []);
  pass(1);
  t.match(ends, [{ code: 'LINK' }]);
  t.ok(log.has(/given up.*1 messages of changes without an answer for 10000 ms/));
  t.equal(member.peer.connected, false);
  await merged;
});

t.test('a peer that acknowledges each time may take as long as it likes altogether', async (t) => {
  const { member, session, ends, pass, world } = await linked(t);
  for (let i = 1; i <= 5; i++) {
    const merged = member.mappings.merge([mappingOf(i)]);
    pass(ACK_WITHIN_MS - 1);
    session.receive({ $case: 'changesAck', value: { sequence: BigInt(1 + i) } });
    await merged;
  }
  pass(10 * ACK_WITHIN_MS);
  t.strictSame(ends, []);
  t.equal(world.alarms.length, 0, 'nobody is waited for');
});

t.test('a transport that takes no more holds back, and what waits is bounded', async (t) => {
  const bench = await linked(t);
  bench.world.takes = false;
  const before = bench.sent.length;
  for (let i = 0; i < 20_000; i += 1000) void bench.member.mappings.merge(Array.from({ length: 1000 }, (_, n) => mappingOf(i + n)));
  t.equal(bench.sent.length, before + 1, 'one message to find out');
  t.ok(bench.member.lag >= 20_000);
  bench.world.takes = true;
  bench.session.resume();
  await until('all that may be unacknowledged', DEADLINE_MS, () => changesIn(bench) === 1 + MESSAGES_UNACKED_MAX);
  t.strictSame(bench.ends, []);
});

t.test('a message of changes is acknowledged when it is on disk, and cleans with it', async (t) => {
  const bench = await linked(t);
  await bench.member.mappings.merge([mappingOf(1)]);
  bench.session.receive({
    $case: 'changes',
    value: { sequence: 1n, revision: 7n, mappings: [], cleans: [{ matchPattern: '', endpointUid: mappingOf(1).endpointUid, atMs: mappingOf(1).lookupMs }] },
  });
  t.equal(bench.member.cache.size, 0);
  t.notOk(bench.sent.some(({ $case }) => $case === 'changesAck'), 'not at once');
  await until('acknowledged', DEADLINE_MS, () => bench.sent.some(({ $case }) => $case === 'changesAck'));
  t.strictSame(bench.member.replica.vector(), [{ incarnation: HELLO.incarnation, revision: 7 }]);
  t.notOk(bench.sent.some((message) => message.$case === 'changes' && message.value.cleans.length > 0), 'and does not go back');
});

t.test('the DNS proxy counts from when the agent last heard its source, not from when it last heard the agent', (t) => {
  const clock = new TestClock();
  const { member: { heard }, session } = benchOf(t, 'dns-proxy', clock);
  const heardMs = clock.monoMs - 5000;
  session.receive({ $case: 'hello', value: { ...HELLO, role: 'agent', sourceHeard: { isHeard: false, heardMs } } });
  t.match(heard, { isHeard: false, atMs: heardMs });
  clock.pass(1000);
  session.receive({ $case: 'sourceHeard', value: { isHeard: true, heardMs: clock.monoMs } });
  t.ok(heard.isHeard);
  clock.pass(1000);
  const lostMs = clock.monoMs;
  clock.pass(10);
  session.receive({ $case: 'sourceHeard', value: { isHeard: false, heardMs: lostMs } });
  clock.pass(1000);
  session.ended('it is over');
  t.match(heard, { isHeard: false, atMs: lostMs });
  t.end();
});

t.test('an agent of a version that does not tell of its source counts as one that hears it, for as long as the link is there', (t) => {
  const clock = new TestClock();
  const { member: { heard }, session } = benchOf(t, 'dns-proxy', clock);
  session.receive({ $case: 'hello', value: { ...HELLO, role: 'agent' } });
  t.ok(heard.isHeard);
  clock.pass(1000);
  session.ended('it is over');
  const endMs = clock.monoMs;
  clock.pass(1000);
  t.match(heard, { isHeard: false, atMs: endMs });
  t.end();
});

t.test('the agent tells when its source is away and when it is back, once each', async (t) => {
  const { member: { heard }, session, sent } = await linked(t);
  const told = (): unknown[] => sent.flatMap((message) => (message.$case === 'sourceHeard' ? [message.value.isHeard] : []));
  heard.heard();
  heard.heard();
  session.pump();
  t.strictSame(told(), [true]);
  heard.away();
  heard.away();
  t.strictSame(told(), [true, false]);
});

t.test('what is stored is enforced as it may be now: without the pods of other nodes once their source has been away for too long', async (t) => {
  const [role, limitSeconds, far] = ['dns-proxy', 100, '10.0.9.1'] as const;
  const content = { ...snapshotOf(1), identities: [{ identity: FAR, labels: ['k8s:app=far'], addresses: [far] }] };
  for (const [awaySeconds, addresses] of [[limitSeconds - 1, [far]], [limitSeconds, []]] as const) {
    const [node, clock, changes] = [new Node(), new TestClock(), { staleSourceLimitSeconds: limitSeconds }];
    const { member: former } = node.member(role, changes, { clock });
    former.heard.heard();
    await former.enforce({ ...content, hash: snapshotHash(content) });
    await former.stop();
    clock.pass(awaySeconds * 1000);
    const { member, session, enforced } = benchOf(t, role, clock, node, changes);
    t.ok(member.storedSnapshot());
    session.receive({ $case: 'hello', value: { ...HELLO, role: 'agent', sourceHeard: { isHeard: false, heardMs: undefined } } });
    t.strictSame(enforced.map(({ identities }) => identities.find(({ identity }) => identity === FAR)?.addresses), [addresses]);
  }
});

t.test('an agent that does not know when its source was heard takes the time from the DNS proxy', (t) => {
  const clock = new TestClock();
  const { member: { heard }, session } = benchOf(t, 'agent', clock);
  heard.away();
  t.equal(heard.atMs, null);
  session.receive({ $case: 'hello', value: { ...HELLO, sourceHeard: { isHeard: false, heardMs: 7 } } });
  t.equal(heard.atMs, 7);
  t.end();
});

t.test('what tells of the source is nothing to a member that does not know it', (t) => {
  const sourceHeard = { isHeard: true, heardMs: 5 };
  // Field 15 stands for one that is unknown here, as this one is there.
  const bytes = Buffer.from(pairV1.LinkResponse.encode({ message: { $case: 'sourceHeard', value: sourceHeard } }).finish());
  t.equal(bytes[0], (8 << 3) | 2);
  bytes[0] = (15 << 3) | 2;
  t.equal(pairV1.LinkResponse.decode(bytes).message, undefined);
  t.end();
});
