import t from 'tap';
import { EDE, RCODE } from '@tandem/dns';
import type { QueryLimits } from '../policy/snapshot.js';
import { A1, answerPacket, queryPacket, rcodeOf } from './testing/packets.js';
import { CLIENT_ID_KEPT, SLOT, slotWord } from './slots.js';
import { limitedSnapshot, Rig, SNAPSHOT } from './testing/rig.js';

function limited(limits: QueryLimits, settings: ConstructorParameters<typeof Rig>[0] = {}): Rig {
  const rig = new Rig(settings);
  rig.enforce(limitedSnapshot(limits));
  return rig;
}

/** Asks and has it answered, so that no slot stays taken; true if the question went out. */
function passes(rig: Rig, name = 'echo.k8s.intra.', from = '127.0.1.1'): boolean {
  const before = rig.asks.length;
  rig.query(from, queryPacket(name, { edns: true }));
  if (rig.asks.length === before) return false;
  rig.answer(answerPacket(name, []));
  return true;
}

function passed(rig: Rig, count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += Number(passes(rig));
  return sum;
}

/** Response code, and code and text of the Extended DNS Error. */
function refusalOf({ bytes }: { readonly bytes: Uint8Array }, text: string): unknown[] {
  const option = bytes.subarray(-text.length - 6);
  return [rcodeOf({ bytes }), option[1], option[5], String.fromCharCode(...option.subarray(6))];
}

t.test('a pod has its query rate, and a second of it at once; beyond it gets REFUSED with the reason', (t) => {
  const rig = limited({ queryRate: 20 });
  t.equal(passed(rig, 25), 20);
  t.same(refusalOf(rig.replies.at(-1)!, 'query rate limit'), [RCODE.refused, 15, EDE.blocked, 'query rate limit']);
  t.equal(rig.count('query_rate_refused'), 5);
  t.equal(rig.count('denied'), 5);
  t.equal(rig.count('allowed'), 20);
  rig.nowMs += 49;
  t.equal(passed(rig, 1), 0);
  rig.nowMs += 1;
  t.equal(passed(rig, 2), 1);
  rig.nowMs += 60_000;
  t.equal(passed(rig, 25), 20, 'no more is saved than a second has');
  t.end();
});

t.test('a low rate still lets ten queries pass at once', (t) => {
  const rig = limited({ queryRate: 1 });
  t.equal(passed(rig, 12), 10);
  rig.nowMs += 1000;
  t.equal(passed(rig, 2), 1);
  t.end();
});

t.test('a scope of grants alone is no limit to a question', (t) => {
  const rig = limited({ grantScope: 'endpoint' });
  t.equal(passed(rig, 30), 30);
  t.end();
});

t.test('what policy refuses takes nothing from the rate, and other pods have their own', (t) => {
  const rig = limited({ queryRate: 10 });
  for (let i = 0; i < 20; i++) passes(rig, 'bbc.co.uk.');
  t.equal(passed(rig, 12), 10);
  t.equal(rig.count('query_rate_refused'), 2);
  t.ok(passes(rig, 'echo.k8s.intra.', '127.0.1.2'));
  t.end();
});

t.test('a new snapshot does not refill the rate of a pod that stays, in whatever row', (t) => {
  const rig = limited({ queryRate: 10 });
  t.equal(passed(rig, 12), 10);
  const [a, b] = SNAPSHOT.endpoints;
  rig.enforce({ ...limitedSnapshot({ queryRate: 10 }), endpoints: [{ ...b, ruleSet: 0 }, a] });
  t.equal(passed(rig, 1), 0);
  t.ok(passes(rig, 'echo.k8s.intra.', '127.0.1.2'), 'the one that gets its limit now begins with a full one');
  rig.enforce(SNAPSHOT);
  t.equal(passed(rig, 30), 30, 'no limit any more');
  t.end();
});

t.test('a query taken over is not held to the rate again where its owner has let it pass, and is where it had not come to that', (t) => {
  const rig = limited({ queryRate: 10 });
  t.equal(passed(rig, 11), 10);
  const taken = (clientId: number): void => {
    const slot = rig.place('127.0.1.1', queryPacket('echo.k8s.intra.'));
    rig.memory.words[slotWord(rig.memory, slot) + SLOT.clientId] = clientId;
    rig.path.onTaken(slot, { isGone: false, wasReading: false });
  };
  taken(CLIENT_ID_KEPT | 0x1234);
  t.equal(rig.asks.length, 11);
  taken(0);
  t.equal(rig.asks.length, 11);
  t.equal(rcodeOf(rig.replies.at(-1)!), RCODE.refused);
  t.end();
});

t.test('a name with a label over the entropy limit is refused, and one at it is not', (t) => {
  const rig = limited({ labelEntropyBits: 24 });
  t.ok(passes(rig, 'abcdefgh.k8s.intra.'));
  t.ok(passes(rig, 'AbCdEfGhabcdefgh.k8s.intra.') === false);
  t.same(refusalOf(rig.replies.at(-1)!, 'label entropy limit'), [RCODE.refused, 15, EDE.blocked, 'label entropy limit']);
  t.equal(rig.count('label_entropy_refused'), 1);
  t.ok(passes(rig, `${'a'.repeat(63)}.k8s.intra.`), 'long is not random');
  t.ok(passes(rig, 'abcdefghijklmnopqrstuvwxyz.test.', '127.0.1.2'), 'another pod');
  t.end();
});

t.test('limits that are only to be audited, or under audit mode, count and let pass', (t) => {
  for (const rig of [
    limited({ queryRate: 10, labelEntropyBits: 24, auditRate: true, auditEntropy: true }),
    limited({ queryRate: 10, labelEntropyBits: 24 }, { auditMode: true }),
  ]) {
    t.equal(passed(rig, 12), 12);
    t.ok(passes(rig, 'abcdefghijklmnop.k8s.intra.'));
    t.equal(rig.count('query_rate_audited'), 3);
    t.equal(rig.count('label_entropy_audited'), 1);
    t.equal(rig.count('query_rate_refused') + rig.count('label_entropy_refused') + rig.count('denied'), 0);
  }
  t.end();
});

t.test('the reject code of policy is not that of a limit', (t) => {
  const rig = limited({ labelEntropyBits: 1 }, { rejectRcode: RCODE.nxDomain });
  passes(rig);
  t.equal(rcodeOf(rig.replies[0]), RCODE.refused);
  t.end();
});

t.test('a private address for a name that may not have one is kept from the client and not learned', (t) => {
  const rig = limited({ privateNames: [{ matchName: null, matchPattern: 'in*.k8s.intra.' }] });
  const slot = rig.query('127.0.1.1', queryPacket('eChO.k8s.intra.', { edns: true, id: 0x4321 }));
  rig.answer(answerPacket('eChO.k8s.intra.', [A1]));
  t.equal(rig.replies[0].slot, slot);
  t.same([...rig.replies[0].bytes.subarray(0, 2)], [0x43, 0x21], "the client's ID");
  t.same(refusalOf(rig.replies[0], 'private address'), [RCODE.refused, 15, EDE.blocked, 'private address']);
  t.equal(rig.count('private_address_refused'), 1);
  t.equal(rig.learned.length, 0);
  t.equal(rig.path.underWay, 0);
  rig.query('127.0.1.1', queryPacket('Inside.k8s.intra.'));
  rig.answer(answerPacket('Inside.k8s.intra.', [['inside.k8s.intra.', ...A1.slice(1)] as unknown as typeof A1]));
  t.equal(rcodeOf(rig.replies[1]), RCODE.noError, 'a pattern matches');
  t.equal(rig.learned.length, 1);
  rig.query('127.0.1.2', queryPacket('echo.k8s.intra.'));
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  t.equal(rcodeOf(rig.replies[2]), RCODE.noError, 'another pod');
  t.end();
});

t.test('an empty list lets no name have a private address; the answer is judged by the policy of its question', (t) => {
  const rig = limited({ privateNames: [] }, { rejectRcode: RCODE.nxDomain });
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.enforce(SNAPSHOT);
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  t.equal(rcodeOf(rig.replies[0]), RCODE.nxDomain);
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  t.equal(rcodeOf(rig.replies[1]), RCODE.noError);
  t.end();
});

t.test('audit mode passes private addresses on, counted; limits that are only audited do not', (t) => {
  const open = limited({ privateNames: [] }, { auditMode: true });
  const closed = limited({ privateNames: [], auditRate: true });
  for (const rig of [open, closed]) {
    rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
    rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  }
  t.same([rcodeOf(open.replies[0]), open.count('private_address_audited'), open.learned.length], [RCODE.noError, 1, 1]);
  t.same([rcodeOf(closed.replies[0]), closed.count('private_address_refused'), closed.learned.length], [RCODE.refused, 1, 0]);
  t.end();
});

t.test('a refused answer makes room for a query that waits for its turn', (t) => {
  const rig = limited({ privateNames: [] }, { concurrencyLimit: 1, concurrencyGraceMs: 200 });
  rig.query('127.0.1.1', queryPacket('a.k8s.intra.'));
  rig.query('127.0.1.1', queryPacket('b.k8s.intra.'));
  t.equal(rig.asks.length, 1);
  rig.answer(answerPacket('a.k8s.intra.', [['a.k8s.intra.', 1, 30, [10, 0, 0, 1]]]));
  t.equal(rig.asks.length, 2);
  t.end();
});
