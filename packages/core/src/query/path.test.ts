import t from 'tap';
import { EDE, RCODE, TYPE } from '@tandem/dns';
import { monoMs } from '../base/seams.js';
import { NO_FLOWS } from './flow-sink.js';
import { OPENING } from './learn.js';
import { QueryPath } from './path.js';
import { SLOT, slotWord } from './slots.js';
import { A1, answerPacket, queryPacket, rcodeOf, type Record } from './testing/packets.js';
import { PAYLOAD, Rig } from './testing/rig.js';

t.test('an allowed question goes out under another ID and its answer comes back under the client\'s', (t) => {
  const rig = new Rig();
  rig.query('127.0.1.1', queryPacket('eChO.k8s.intra.'));
  t.equal(rig.asks.length, 1);
  t.equal(rig.asks[0].upstream, '192.0.2.53:5353');
  t.same(rig.asks[0].bytes.subarray(2), queryPacket('eChO.k8s.intra.').subarray(2), 'letter case is kept');
  const packet = answerPacket('eChO.k8s.intra.', [A1]);
  rig.answer(packet);
  t.equal(rig.replies.length, 1);
  t.same(rig.replies[0].bytes.subarray(2), packet.subarray(2));
  t.same([...rig.replies[0].bytes.subarray(0, 2)], [0x12, 0x34]);
  t.same(rig.learned, [{ endpointId: 7, address: '172.17.0.2', ttlSeconds: 30 }]);
  t.equal(rig.path.underWay, 0);
  t.end();
});

t.test('a forbidden name is refused with an Extended DNS Error only for clients that speak EDNS', (t) => {
  const rig = new Rig();
  rig.query('127.0.1.1', queryPacket('bbc.co.uk.', { edns: true }));
  rig.query('127.0.1.1', queryPacket('bbc.co.uk.'));
  t.equal(rig.asks.length, 0);
  t.same(rig.replies.map(rcodeOf), [RCODE.refused, RCODE.refused]);
  t.same([...rig.replies[0].bytes.subarray(-6)], [0, 15, 0, 2, 0, EDE.blocked]);
  t.equal(rig.replies[1].bytes[11], 0, 'no additional record');
  t.equal(rig.count('denied'), 2);
  t.end();
});

t.test('the reject code is NXDOMAIN where the flag says so', (t) => {
  const rig = new Rig({ rejectRcode: RCODE.nxDomain });
  rig.query('127.0.1.1', queryPacket('bbc.co.uk.'));
  t.equal(rcodeOf(rig.replies[0]), RCODE.nxDomain);
  t.end();
});

t.test('strangers are refused, or let through where the flag says so', (t) => {
  const rig = new Rig();
  rig.query('127.0.1.99', queryPacket('echo.k8s.intra.'));
  t.equal(rcodeOf(rig.replies[0]), RCODE.refused);
  const open = new Rig({ unknownEndpoint: 'allow' });
  open.query('127.0.1.99', queryPacket('echo.k8s.intra.'));
  open.answer(answerPacket('echo.k8s.intra.', [A1]));
  t.equal(open.replies.length, 1);
  t.equal(open.learned.length, 0, 'nobody to learn for');
  t.end();
});

t.test('a pod without policy may ask anything, and without a snapshot nobody may', (t) => {
  const rig = new Rig();
  rig.query('127.0.1.2', queryPacket('bbc.co.uk.'));
  t.equal(rig.asks.length, 1);
  const blank = new Rig();
  const path = new QueryPath(
    blank.settings,
    { memory: blank.memory, wire: blank, sink: { learned: () => OPENING.open }, random: { int: () => 0 }, counters: blank.counters, flows: NO_FLOWS },
  );
  const packet = queryPacket('echo.k8s.intra.');
  blank.memory.words[SLOT.length] = packet.length;
  blank.memory.bytes.set(packet, PAYLOAD);
  path.onQuery(0);
  t.equal(rcodeOf(blank.replies[0]), RCODE.refused);
  t.equal(blank.count('no_snapshot'), 1);
  t.end();
});

t.test('audit mode lets refused questions through and counts them', (t) => {
  const rig = new Rig({ auditMode: true });
  rig.query('127.0.1.1', queryPacket('bbc.co.uk.'));
  t.equal(rig.asks.length, 1);
  t.equal(rig.count('audited'), 1);
  rig.query('127.0.1.99', queryPacket('echo.k8s.intra.'));
  t.equal(rig.asks.length, 2);
  t.equal(rig.count('audited'), 2, 'a stranger\'s, too');
  const open = new Rig({ auditMode: true, unknownEndpoint: 'allow' });
  open.query('127.0.1.99', queryPacket('echo.k8s.intra.'));
  t.equal(open.count('audited'), 0, 'but not where strangers may ask');
  t.end();
});

t.test('packets that are no question get FORMERR or NOTIMP, answers and scraps get nothing', (t) => {
  const rig = new Rig();
  const packet = queryPacket('echo.k8s.intra.');
  const change = (at: number, value: number) => packet.map((byte, i) => (i === at ? value : byte));
  rig.query('127.0.1.1', change(5, 2));
  rig.query('127.0.1.1', change(5, 0));
  rig.query('127.0.1.1', packet.subarray(0, 20));
  rig.query('127.0.1.1', change(2, 0x28));
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.', { type: TYPE.AXFR }));
  t.same(rig.replies.map(rcodeOf), [RCODE.formErr, RCODE.formErr, RCODE.formErr, RCODE.notImp, RCODE.notImp]);
  rig.query('127.0.1.1', change(2, 0x81));
  rig.query('127.0.1.1', packet.subarray(0, 11));
  t.equal(rig.replies.length, 5);
  t.equal(rig.drops.length, 2);
  t.end();
});

t.test('an answer larger than the client takes is cut, and whole over TCP', (t) => {
  const records = Array.from({ length: 60 }, (_, i): Record => ['echo.k8s.intra.', TYPE.A, 30, [10, 0, 0, i]]);
  const packet = answerPacket('echo.k8s.intra.', records);
  const rig = new Rig();
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(packet);
  t.ok((rig.replies[0].bytes[2] & 2) !== 0, 'TC');
  t.ok(rig.replies[0].bytes.length <= 512);
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.', { edns: true }));
  rig.answer(packet);
  t.equal(rig.replies[1].bytes[2] & 2, 0, 'compressed, it fits 1232 bytes');
  t.ok(rig.replies[1].bytes.length <= 1232);
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'), { tcp: true });
  rig.answer(packet);
  t.same(rig.replies[2].bytes.subarray(2), packet.subarray(2));
  const plain = new Rig({ dnsCompression: false });
  plain.query('127.0.1.1', queryPacket('echo.k8s.intra.', { edns: true }));
  plain.answer(packet);
  t.ok((plain.replies[0].bytes[2] & 2) !== 0, 'TC without compression');
  t.end();
});

t.test('over the concurrency limit a query waits for its grace period, then gets SERVFAIL', (t) => {
  const rig = new Rig({ concurrencyLimit: 1, concurrencyGraceMs: 200 });
  rig.query('127.0.1.1', queryPacket('a.k8s.intra.'));
  rig.query('127.0.1.1', queryPacket('b.k8s.intra.'));
  rig.query('127.0.1.1', queryPacket('c.k8s.intra.'));
  t.equal(rig.asks.length, 1);
  rig.nowMs += 100;
  rig.answer(answerPacket('a.k8s.intra.', [A1]));
  t.equal(rig.asks.length, 2, 'the longest waiting goes next');
  rig.query('127.0.1.1', queryPacket('d.k8s.intra.'));
  t.equal(rig.asks.length, 2, 'nobody overtakes');
  rig.pass(100);
  t.equal(rig.replies.length, 2);
  t.equal(rcodeOf(rig.replies[1]), RCODE.servFail);
  t.equal(rig.count('semaphore_rejected'), 1);
  const strict = new Rig({ concurrencyLimit: 1 });
  strict.query('127.0.1.1', queryPacket('a.k8s.intra.'));
  strict.query('127.0.1.1', queryPacket('b.k8s.intra.'));
  t.equal(rcodeOf(strict.replies[0]), RCODE.servFail);
  t.end();
});

t.test('when slots are short the heaviest client pays, and refusals still go out', (t) => {
  const rig = new Rig({ slotsForQueries: 4 });
  for (let i = 0; i < 4; i++) rig.query('127.0.1.1', queryPacket(`n${i}.k8s.intra.`, { id: i }));
  t.equal(rig.asks.length, 4);
  rig.query('127.0.1.2', queryPacket('polite.test.', { id: 100 }));
  t.equal(rig.asks.length, 5, 'the polite client is served');
  t.same([rcodeOf(rig.replies[0]), rig.replies[0].bytes[1]], [RCODE.servFail, 3], 'the heavy one loses the query that has waited least');
  rig.query('127.0.1.1', queryPacket('more.k8s.intra.', { id: 50 }));
  t.same([rcodeOf(rig.replies[1]), rig.replies[1].bytes[1]], [RCODE.servFail, 50], 'the heavy one gets no more');
  rig.query('127.0.1.1', queryPacket('bbc.co.uk.'));
  t.equal(rcodeOf(rig.replies[2]), RCODE.refused);
  t.end();
});

t.test('a query that has waited in the socket for too long is dropped, and counted; one that has waited a little less is answered', (t) => {
  const rig = new Rig();
  for (const [queuedMs, asks, drops] of [[1499, 1, 0], [1500, 1, 1]]) {
    const slot = rig.place('127.0.1.1', queryPacket('echo.k8s.intra.'));
    rig.nowMs += queuedMs;
    rig.path.startBatch(monoMs(rig.nowMs));
    rig.path.onQuery(slot);
    t.same([rig.asks.length, rig.drops.length, rig.counters.get('overdue')], [asks, drops, drops], `${String(queuedMs)} ms`);
  }
  t.same(rig.replies, []);
  t.end();
});

t.test('a query taken over is asked anew under its own ID; one that may kill, or that has outlived two owners, is answered unread', (t) => {
  const rig = new Rig();
  const taken = (deaths: number, isGone: boolean, wasReading: boolean) => {
    const slot = rig.place('127.0.1.1', queryPacket('echo.k8s.intra.', { id: 0x4321 }));
    const word = slotWord(rig.memory, slot);
    rig.memory.words[word + SLOT.deaths] = deaths;
    rig.memory.words[word + SLOT.clientId] = 0x1_1234;
    rig.path.onTaken(slot, { isGone, wasReading });
    return slot;
  };
  taken(0, true, false);
  t.equal(rig.asks.length, 1);
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  t.same([...rig.replies[0].bytes.subarray(0, 2)], [0x12, 0x34]);
  taken(0, true, true);
  taken(1, true, false);
  t.equal(rig.asks.length, 1);
  t.same(rig.replies.slice(1).map((r) => [...r.bytes]), new Array(2).fill([0x12, 0x34, 0x80, 2, 0, 0, 0, 0, 0, 0, 0, 0]));
  taken(5, false, false);
  t.equal(rig.asks.length, 2, 'an owner that is only slow says nothing against a query');
  t.equal(rig.count('taken'), 4);
  t.equal(rig.count('taken_unparsed'), 2);
  t.end();
});
