import t from 'tap';
import { TYPE } from '@tandem/dns';
import { OPENING } from './learn.js';
import { A1, answerPacket, queryPacket, rawName, type Record } from './testing/packets.js';
import { Rig } from './testing/rig.js';

t.test('only what stands on the alias chain from the question is learned', (t) => {
  const cname = (owner: string, target: string, ttl: number): Record => [owner, TYPE.CNAME, ttl, rawName(target)];
  const cases: { says: string; records: readonly Record[]; learned: string[]; offChain: number }[] = [
    { says: 'chain', records: [cname('echo.k8s.intra.', 'b.test.', 5), ['b.test.', TYPE.A, 9, [1, 1, 1, 1]]], learned: ['1.1.1.1 5'], offChain: 0 },
    { says: 'order does not matter', records: [['b.test.', TYPE.A, 9, [1, 1, 1, 1]], cname('echo.k8s.intra.', 'B.test.', 50)], learned: ['1.1.1.1 9'], offChain: 0 },
    { says: 'other owner', records: [A1, ['evil.test.', TYPE.A, 9, [6, 6, 6, 6]]], learned: ['172.17.0.2 30'], offChain: 1 },
    { says: 'address at a link in between', records: [cname('echo.k8s.intra.', 'b.test.', 5), A1], learned: [], offChain: 1 },
    { says: 'loop', records: [cname('echo.k8s.intra.', 'b.test.', 5), cname('b.test.', 'echo.k8s.intra.', 5), A1], learned: [], offChain: 1 },
    { says: 'the other family', records: [['echo.k8s.intra.', TYPE.AAAA, 9, new Array<number>(16).fill(1)]], learned: [`${new Array(16).fill(1).join(':')} 9`], offChain: 0 },
    { says: 'a TTL of a year', records: [['echo.k8s.intra.', TYPE.A, 31_536_000, [1, 1, 1, 1]]], learned: ['1.1.1.1 604800'], offChain: 0 },
    { says: 'data of another length', records: [['echo.k8s.intra.', TYPE.A, 9, new Array<number>(16).fill(1)]], learned: [], offChain: 0 },
    { says: 'TTL with its highest bit set', records: [['echo.k8s.intra.', TYPE.A, 0x80000001, [1, 1, 1, 1]]], learned: ['1.1.1.1 0'], offChain: 0 },
  ];
  for (const { says, records, learned, offChain } of cases) {
    const rig = new Rig();
    rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
    rig.answer(answerPacket('echo.k8s.intra.', records));
    t.same(rig.learned.map((m) => `${m.address} ${m.ttlSeconds}`), learned, says);
    t.equal(rig.count('off_chain'), offChain, says);
    t.equal(rig.replies.length, 1, says);
  }
  const seventeen = Array.from({ length: 17 }, (_, i) => cname(i === 0 ? 'echo.k8s.intra.' : `n${i}.test.`, `n${i + 1}.test.`, 9));
  for (const [links, expected] of [[16, 1], [17, 0]]) {
    const rig = new Rig();
    rig.query('127.0.1.1', queryPacket('echo.k8s.intra.', { edns: true }));
    rig.answer(answerPacket('echo.k8s.intra.', [...seventeen.slice(0, links), [`n${links}.test.`, TYPE.A, 9, [1, 1, 1, 1]]]));
    t.equal(rig.learned.length, expected, `${links} links`);
  }
  t.end();
});

t.test('address hints of HTTPS records are learned', (t) => {
  const rig = new Rig();
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.', { type: TYPE.HTTPS }));
  const data = [0, 1, 0, 0, 4, 0, 8, 1, 1, 1, 1, 2, 2, 2, 2, 0, 6, 0, 16, ...new Array<number>(16).fill(9)];
  rig.answer(answerPacket('echo.k8s.intra.', [['echo.k8s.intra.', TYPE.HTTPS, 60, data]], { type: TYPE.HTTPS }));
  t.same(rig.learned.map((m) => m.address), ['1.1.1.1', '2.2.2.2', new Array(16).fill(9).join(':')]);
  t.end();
});

t.test('a mapping whose life grows is passed on again once in a sixth of its TTL, a second at least, half a minute at most', (t) => {
  for (const [ttlSeconds, dueMs] of [[30, 5000], [12, 2000], [2, 1000], [120, 20_000], [86_400, 30_000]]) {
    const rig = new Rig();
    const ask = () => {
      rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
      rig.answer(answerPacket('echo.k8s.intra.', [['echo.k8s.intra.', TYPE.A, ttlSeconds, [172, 17, 0, 2]]]));
    };
    ask();
    const beganMs = rig.nowMs;
    const passedMs: number[] = [];
    for (let n = 1; n <= 400; n++) {
      rig.nowMs = beganMs + (n * dueMs) / 100;
      const before = rig.learned.length;
      ask();
      if (rig.learned.length > before) passedMs.push(rig.nowMs);
    }
    t.equal(passedMs.length, 4, `TTL ${ttlSeconds}`);
    // The first time is the mapping's own moment, and the second one follows it.
    t.same([passedMs[2] - passedMs[1], passedMs[3] - passedMs[2]], [dueMs, dueMs]);
    t.same(rig.renewals, [false, true, true, true, true]);
    rig.path.forgetMappings(null);
    ask();
    t.equal(rig.learned.length, 6, `TTL ${ttlSeconds}`);
    t.equal(rig.renewals.at(-1), false);
  }
  t.end();
});

t.test('a mapping that the cache has no more is passed on again, no other', (t) => {
  const rig = new Rig();
  const ask = (): number => {
    rig.query('127.0.1.1', queryPacket('ECHO.k8s.intra.'));
    rig.answer(answerPacket('ECHO.k8s.intra.', [A1, ['echo.k8s.intra.', TYPE.A, 30, [172, 17, 0, 3]]]));
    return rig.learned.length;
  };
  t.equal(ask(), 2);
  t.equal(ask(), 2);
  const [{ endpointId }] = rig.learned;
  for (const [name, of, expected] of [['other.', endpointId, 2], ['echo.k8s.intra.', endpointId + 1, 2], ['echo.k8s.intra.', endpointId, 3]] as const) {
    rig.path.forgetMappings([{ endpointId: of, name, address: '172.17.0.2' }]);
    t.equal(ask(), expected, `${name} of ${String(of)}`);
  }
  t.equal(rig.learned[2].address, '172.17.0.2');
  t.end();
});

t.test('an answer waits for the datapath, but no longer than the deadline', (t) => {
  const rig = new Rig();
  rig.opening = OPENING.pending;
  const slot = rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  t.equal(rig.replies.length, 0);
  rig.path.onOpened(slot, rig.lastAnswer - 1);
  t.equal(rig.replies.length, 0, 'the opening of an earlier answer');
  rig.path.onOpened(slot, rig.lastAnswer);
  t.equal(rig.replies.length, 1);

  rig.path.forgetMappings(null);
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  rig.pass(99);
  t.equal(rig.replies.length, 1);
  rig.pass(1);
  t.equal(rig.replies.length, 2);
  t.equal(rig.count('hold_timeout'), 1);
  t.equal(rig.path.underWay, 0);
  t.end();
});

t.test('while an address is being opened, every answer with it waits for that', (t) => {
  const rig = new Rig();
  rig.opening = OPENING.pending;
  const first = rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  const firstAnswer = rig.lastAnswer;
  const second = rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  t.equal(rig.learned.length, 2);
  t.equal(rig.replies.length, 0);
  rig.path.onOpened(first, firstAnswer);
  t.equal(rig.replies.length, 1);
  rig.path.onOpened(second, rig.lastAnswer);
  t.equal(rig.replies.length, 2);

  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  t.equal(rig.replies.length, 3, 'it is open now');
  t.equal(rig.learned.length, 2);
  t.end();
});

t.test('an address that was not open in time is waited for again', (t) => {
  const rig = new Rig();
  rig.opening = OPENING.pending;
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  rig.pass(100);
  t.equal(rig.replies.length, 1);
  const slot = rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  t.equal(rig.replies.length, 1);
  rig.path.onOpened(slot, rig.lastAnswer);
  t.equal(rig.replies.length, 2);
  t.end();
});
