import t from 'tap';
import { LATENCY_BUCKETS_MS, type LatencyName, wholeUs } from './counters.js';
import { OPENING } from './learn.js';
import { TRY_TIMEOUT_MS } from './settings.js';
import { setReceivedAtMs } from './slots.js';
import { A1, answerPacket, queryPacket } from './testing/packets.js';
import { Rig } from './testing/rig.js';

/** How many were timed, and their sum. */
function timed(rig: Rig, name: LatencyName): [count: number, sumMs: number] {
  const { buckets, sumMs } = rig.counters.latencies(name);
  return [buckets.reduce((sum, count) => sum + count, 0), sumMs];
}

function ask(rig: Rig): void {
  const slot = rig.place('127.0.1.1', queryPacket('echo.k8s.intra.'), {});
  setReceivedAtMs(rig.memory, slot, rig.nowMs);
  rig.pass(0);
  rig.path.onQuery(slot);
}

t.test('an answer is timed from its query, and from the question to the upstream', (t) => {
  const rig = new Rig();
  ask(rig);
  rig.pass(7);
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  t.strictSame(timed(rig, 'answered'), [1, 7]);
  t.strictSame(timed(rig, 'upstream'), [1, 7]);
  t.equal(rig.counters.latencies('answered').buckets[LATENCY_BUCKETS_MS.indexOf(10)], 1, 'in the bucket that ends above it');
  for (const name of ['held', 'queued', 'timedOut'] as const) t.strictSame(timed(rig, name), [0, 0], name);
  t.end();
});

t.test('a second try counts with the first, and a silent upstream until SERVFAIL', (t) => {
  const rig = new Rig();
  ask(rig);
  rig.pass(TRY_TIMEOUT_MS);
  t.equal(rig.asks.length, 2);
  rig.pass(3);
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  t.strictSame(timed(rig, 'upstream'), [1, TRY_TIMEOUT_MS + 3]);
  ask(rig);
  rig.pass(TRY_TIMEOUT_MS);
  rig.pass(TRY_TIMEOUT_MS);
  t.strictSame(timed(rig, 'timedOut'), [1, 2 * TRY_TIMEOUT_MS]);
  t.strictSame(timed(rig, 'answered'), [1, TRY_TIMEOUT_MS + 3], 'which is no answer');
  t.end();
});

t.test('waits for the datapath and for a turn are timed apart', (t) => {
  const rig = new Rig({ concurrencyLimit: 1, concurrencyGraceMs: 50 });
  rig.opening = OPENING.pending;
  ask(rig);
  ask(rig);
  t.equal(rig.asks.length, 1, 'the second waits for its turn');
  rig.pass(20);
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  t.strictSame(timed(rig, 'queued'), [1, 20]);
  t.equal(rig.replies.length, 0, 'the first waits for the datapath');
  rig.pass(rig.settings.responseMaxDelayMs);
  t.strictSame(timed(rig, 'held'), [1, rig.settings.responseMaxDelayMs]);
  t.strictSame(timed(rig, 'upstream'), [1, 20], 'neither wait is the upstream\'s');
  t.strictSame(timed(rig, 'answered'), [1, 20 + rig.settings.responseMaxDelayMs]);
  t.end();
});

t.test('every question and every answer is counted by type, refusals and failures among them', (t) => {
  const rig = new Rig();
  ask(rig);
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  rig.query('127.0.1.1', queryPacket('bbc.co.uk.'));
  rig.query('127.0.1.99', queryPacket('echo.k8s.intra.'));
  ask(rig);
  rig.pass(TRY_TIMEOUT_MS);
  rig.pass(TRY_TIMEOUT_MS);
  t.match(rig.counters.dns.questions('allowed')[0], { type: 'A', count: 2 });
  t.match(rig.counters.dns.questions('refused')[0], { type: 'A', count: 2 });
  t.strictSame(rig.counters.dns.answers(), [
    { type: 'A', rcode: 'No Error', addresses: 1, count: 1 }, { type: 'A', rcode: 'Server Failure', addresses: 0, count: 1 },
  ]);
  t.end();
});

t.test('a time that is too long to count in microseconds is the longest, not a negative one', (t) => {
  t.equal(wholeUs(0.0006), 1);
  t.equal(wholeUs(3_600_000), 2 ** 31 - 1);
  t.equal(wholeUs(400 * 86_400_000), 2 ** 31 - 1);
  t.end();
});
