import t from 'tap';
import { EDE, RCODE, TYPE } from '@tandem/dns';
import { monoMs } from '../base/seams.js';
import { parseAddress } from '../base/socket-address.js';
import { TRY_TIMEOUT_MS } from './settings.js';
import { A1, answerPacket, idOf, queryPacket, rcodeOf } from './testing/packets.js';
import { Rig } from './testing/rig.js';

t.test('answers that differ in ID, port, server, server port or question are not the answer', (t) => {
  const rig = new Rig();
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  const packet = answerPacket('echo.k8s.intra.', [A1]);
  const id = idOf(rig.asks[0].bytes) ^ 1;
  rig.answer(packet, { id });
  rig.answer(packet, { port: rig.asks[0].port ^ 1 });
  rig.answer(packet, { from: '192.0.2.54' });
  rig.answer(packet, { fromPort: 53 });
  rig.answer(answerPacket('evil.k8s.intra.', [A1]));
  rig.answer(answerPacket('echo.k8s.intra.', [A1], { type: TYPE.AAAA }));
  rig.answer(packet.subarray(0, 11));
  t.equal(rig.replies.length, 0);
  t.equal(rig.count('upstream_unmatched'), 7);
  rig.answer(packet);
  t.equal(rig.replies.length, 1);
  rig.answer(packet);
  t.equal(rig.replies.length, 1, 'the second copy has no question any more');
  t.end();
});

t.test('a broken answer is not passed on; the true one is awaited', (t) => {
  const rig = new Rig();
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  const packet = answerPacket('echo.k8s.intra.', [A1]);
  rig.answer(packet.subarray(0, packet.length - 2));
  t.equal(rig.replies.length, 0);
  t.equal(rig.count('upstream_malformed'), 1);
  rig.answer(packet);
  t.equal(rig.replies.length, 1);
  t.end();
});

t.test('bytes behind an answer do no harm, and one that is cut with TC set sends the client to TCP', (t) => {
  const rig = new Rig();
  const packet = answerPacket('echo.k8s.intra.', [A1]);
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(Uint8Array.from([...packet, 0]));
  t.equal(rig.replies.length, 1);
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(packet.slice(0, packet.length - 2).map((byte, i) => (i === 2 ? byte | 2 : byte)));
  t.equal(rig.replies.length, 2);
  t.equal(rig.replies[1].bytes[2] & 2, 2, 'TC');
  t.same(rig.replies[1].bytes.subarray(12), queryPacket('echo.k8s.intra.').subarray(12), 'the question');
  t.same([...rig.replies[1].bytes.subarray(4, 12)], [0, 1, 0, 0, 0, 0, 0, 0]);
  t.equal(rig.learned.length, 1);
  t.end();
});

t.test('the answer to the first try counts while the second one is under way', (t) => {
  const upstreams = ['192.0.2.53', '192.0.2.54'].map((a) => ({ address: parseAddress(a)!, port: 53 }));
  const rig = new Rig({ upstreams });
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.pass(TRY_TIMEOUT_MS);
  const [first, second] = rig.asks;
  t.not(first.port, second.port);
  const packet = answerPacket('echo.k8s.intra.', [A1]);
  rig.answer(packet, { id: idOf(first.bytes), from: '192.0.2.54', port: first.port });
  rig.answer(packet, { id: idOf(first.bytes), from: '192.0.2.53', port: second.port });
  t.equal(rig.replies.length, 0, 'each try has its own server and port');
  rig.answer(packet, { id: idOf(first.bytes), from: '192.0.2.53', port: first.port });
  t.equal(rig.replies.length, 1);
  rig.answer(packet, { id: idOf(second.bytes), from: '192.0.2.54', port: second.port });
  t.equal(rig.replies.length, 1);
  t.equal(rig.path.underWay, 0);
  t.end();
});

t.test('an upstream that cannot be reached is passed over', (t) => {
  const upstreams = ['192.0.2.53', '192.0.2.54'].map((a) => ({ address: parseAddress(a)!, port: 53 }));
  const rig = new Rig({ upstreams });
  rig.path.setPorts([[], [7]]);
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  t.same(rig.asks.map((ask) => ask.upstream), ['192.0.2.54:53']);
  rig.path.setPorts([[], []]);
  rig.query('127.0.1.1', queryPacket('b.k8s.intra.'));
  t.equal(rig.asks.length, 1, 'nobody to ask');
  rig.pass(TRY_TIMEOUT_MS);
  rig.pass(TRY_TIMEOUT_MS);
  t.equal(rig.replies.length, 2, 'and still an answer');
  t.end();
});

t.test('an error answer without a question is passed on', (t) => {
  const rig = new Rig();
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(Uint8Array.from([0, 0, 0x81, 0x85, 0, 0, 0, 0, 0, 0, 0, 0]));
  t.equal(rcodeOf(rig.replies[0]), RCODE.refused);
  t.end();
});

t.test('a silent upstream is asked twice, elsewhere if possible, then the client gets SERVFAIL', (t) => {
  const upstreams = ['192.0.2.53', '192.0.2.54'].map((a) => ({ address: parseAddress(a)!, port: 53 }));
  const rig = new Rig({ upstreams });
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.', { edns: true }));
  rig.pass(TRY_TIMEOUT_MS - 1);
  t.equal(rig.asks.length, 1);
  rig.pass(1);
  t.same(rig.asks.map((ask) => ask.upstream), ['192.0.2.53:53', '192.0.2.54:53']);
  t.not(rig.asks[0].bytes.subarray(0, 2).join(), rig.asks[1].bytes.subarray(0, 2).join(), 'another ID');
  rig.pass(TRY_TIMEOUT_MS);
  t.equal(rcodeOf(rig.replies[0]), RCODE.servFail);
  t.same([...rig.replies[0].bytes.subarray(0, 2)], [0x12, 0x34]);
  t.equal(rig.replies[0].bytes.at(-1), EDE.noReachableAuthority);
  t.equal(rig.path.underWay, 0);
  t.equal(rig.path.nextDeadlineMs(), Infinity);
  t.end();
});

t.test('so it is for those of whom policy says nothing, and where it only audits', (t) => {
  const upstreams = ['192.0.2.53', '192.0.2.54', '192.0.2.55'].map((a) => ({ address: parseAddress(a)!, port: 53 }));
  const asked = (rig: Rig, client: string, name: string): string[] => {
    rig.query(client, queryPacket(name));
    rig.pass(TRY_TIMEOUT_MS);
    rig.pass(TRY_TIMEOUT_MS);
    t.same(rig.replies.map(rcodeOf), [RCODE.servFail]);
    return rig.asks.map((ask) => ask.upstream);
  };
  t.same(asked(new Rig({ upstreams, unknownEndpoint: 'allow' }), '127.0.9.9', 'a.example.'), ['192.0.2.53:53', '192.0.2.54:53']);
  t.same(asked(new Rig({ upstreams, auditMode: true }), '127.0.1.1', 'refused.example.'), ['192.0.2.53:53', '192.0.2.54:53']);
  const rig = new Rig({ upstreams, unknownEndpoint: 'allow' });
  rig.path.setPorts([[], [7], []]);
  t.same(asked(rig, '127.0.9.9', 'a.example.'), ['192.0.2.54:53', '192.0.2.54:53'], 'what cannot be reached is passed over');
  t.end();
});

t.test('a query that was taken over from a silent upstream gets its SERVFAIL in the same time; taken late it still has one try', (t) => {
  for (const [waitedMs, tries] of [[500, 2], [501, 1], [1900, 1]]) {
    const rig = new Rig();
    const slot = rig.place('127.0.1.1', queryPacket('echo.k8s.intra.'));
    rig.nowMs += waitedMs;
    rig.path.startBatch(monoMs(rig.nowMs));
    rig.path.onTaken(slot, { isGone: true, wasReading: false });
    for (let n = 0; n < tries; n++) {
      t.equal(rig.replies.length, 0);
      rig.pass(TRY_TIMEOUT_MS);
    }
    t.equal(rig.asks.length, tries, `taken after ${waitedMs} ms`);
    t.same(rig.replies.map(rcodeOf), [RCODE.servFail]);
    t.equal(rig.path.underWay, 0);
  }
  t.end();
});

t.test('a query that waited in its socket has both tries', (t) => {
  const rig = new Rig();
  const placed = (): number => {
    const slot = rig.place('127.0.1.1', queryPacket('echo.k8s.intra.'));
    rig.nowMs += 1400;
    rig.path.startBatch(monoMs(rig.nowMs));
    return slot;
  };
  const taken = placed();
  rig.path.onTaken(taken, { isGone: true, wasReading: false });
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  const slot = placed();
  t.equal(slot, taken, 'whoever had the slot before');
  rig.path.onQuery(slot);
  rig.pass(TRY_TIMEOUT_MS);
  t.equal(rig.asks.length, 3);
  t.equal(rig.replies.length, 1);
  t.end();
});

t.test('a broken stream to the upstream counts as a try', (t) => {
  const rig = new Rig();
  const slot = rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'), { tcp: true });
  rig.path.onAskFailed(slot, idOf(rig.asks[0].bytes));
  t.equal(rig.asks.length, 2);
  rig.path.onAskFailed(slot, idOf(rig.asks[0].bytes));
  t.equal(rig.replies.length, 0, 'the first ID is not asked under any more');
  rig.path.onAskFailed(slot, idOf(rig.asks[1].bytes));
  t.equal(rcodeOf(rig.replies[0]), RCODE.servFail);
  t.end();
});
