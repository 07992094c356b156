import t, { type Test } from 'tap';
import type { AppError} from '@tandem/core';
import { ACK_WITHIN_MS, MESSAGES_UNACKED_MAX, monoMs } from '@tandem/core';
import type { WireMessage } from '@tandem/proto';
import { DEADLINE_MS, until } from '../dataplane/testing/wait.js';
import type { Member } from '../member/member.js';
import { PairSession } from './session.js';
import { SpacedLog } from './spaced-log.js';
import { HELLO, mappingOf, Node, type RecordingLog } from './testing/members.js';

interface Bench {
  readonly member: Member;
  readonly log: RecordingLog;
  readonly session: PairSession;
  readonly sent: WireMessage[];
  readonly ends: (AppError | null)[];
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

function benchOf(t: Test): Bench {
  const node = new Node();
  const { member, log } = node.member('agent');
  const sent: WireMessage[] = [];
  const ends: (AppError | null)[] = [];
  const world: World = { takes: true, nowMs: 1000, alarms: [] };
  const session = new PairSession({
    member,
    spaced: new SpacedLog(log),
    send: (message) => {
      sent.push(message);
      return world.takes;
    },
    close: (error) => ends.push(error),
    onSnapshot: () => Promise.resolve(),
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
    session.ended();
    await member.stop();
    node.remove();
  });
  return { member, log, session, sent, ends, world, pass };
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
