/** What the query path tells of each query: one record, whatever became of it. */
import t from 'tap';
import { RCODE } from '@tandem/dns';
import { parseAddress } from '../base/socket-address.js';
import { ALLOW_NO_POLICY, deniedBy, DENY } from '../policy/decide.js';
import { OUTCOME } from './flow-sink.js';
import { A1, answerPacket, queryPacket } from './testing/packets.js';
import { type FlowNote, limitedSnapshot, Rig, SNAPSHOT } from './testing/rig.js';

const POD_A = '127.0.1.1';
const POD_B = '127.0.1.2';

function last(rig: Rig): FlowNote {
  const { all } = rig.notes;
  t.equal(all.length, rig.replies.length, 'one per answer');
  t.same(all.at(-1)!.bytes, rig.replies.at(-1)!.bytes, 'the answer as it left');
  return all.at(-1)!;
}

function rcodeIn(note: FlowNote): number {
  return note.bytes[3] & 15;
}

t.test('an answered query: who asked whom, which rule allowed it, and the answer as it left', (t) => {
  const rig = new Rig();
  rig.query(POD_A, queryPacket('eChO.k8s.intra.'));
  t.equal(rig.notes.all.length, 0, 'nothing before it is over');
  rig.nowMs += 7;
  rig.answer(answerPacket('eChO.k8s.intra.', [A1]));
  const record = last(rig);
  t.match(record, { outcome: OUTCOME.answered, endpointId: 7, rule: 0, revision: 1, atMs: rig.nowMs });
  t.end();
});

t.test('a refused one: the rule says why', (t) => {
  const rig = new Rig();
  rig.query(POD_A, queryPacket('bbc.co.uk.'));
  t.match(last(rig), { outcome: OUTCOME.refused, endpointId: 7, rule: DENY });
  t.equal(rcodeIn(last(rig)), RCODE.refused);
  t.end();
});

t.test('of several upstreams that are all refused, the first one\'s rule', (t) => {
  const rig = new Rig({ upstreams: ['192.0.2.1', '192.0.2.2'].map((text) => ({ address: parseAddress(text)!, port: 53 })) });
  const [{ rules: [rule] }] = SNAPSHOT.ruleSets;
  const identities = [{ identity: 300, labels: [], addresses: ['192.0.2.1'] }];
  rig.enforce({ ...SNAPSHOT, identities, ruleSets: [{ key: 'x', rules: [{ ...rule, deny: true, identities: [300], dnsPatterns: null }] }] });
  rig.query(POD_A, queryPacket('echo.k8s.intra.'));
  t.match(last(rig), { outcome: OUTCOME.refused, rule: deniedBy(0) });
  t.end();
});

t.test('audit mode: the verdict that it would have been', (t) => {
  const rig = new Rig({ auditMode: true });
  rig.query(POD_A, queryPacket('bbc.co.uk.'));
  rig.answer(answerPacket('bbc.co.uk.', [A1]));
  t.match(last(rig), { outcome: OUTCOME.answered, rule: DENY });
  rig.query('10.9.9.9', queryPacket('bbc.co.uk.'));
  rig.answer(answerPacket('bbc.co.uk.', [A1]));
  t.match(last(rig), { outcome: OUTCOME.answered, endpointId: 0, rule: DENY });
  t.end();
});

t.test('a pod without policy, a stranger, one that may ask, and what is no question', (t) => {
  const rig = new Rig();
  rig.query(POD_B, queryPacket('bbc.co.uk.'));
  rig.answer(answerPacket('bbc.co.uk.', [A1]));
  t.match(last(rig), { outcome: OUTCOME.answered, endpointId: 8, rule: ALLOW_NO_POLICY });
  rig.query('10.9.9.9', queryPacket('bbc.co.uk.'));
  t.match(last(rig), { outcome: OUTCOME.stranger, endpointId: 0 });
  const cut = queryPacket('bbc.co.uk.').slice(0, 20);
  rig.query(POD_A, cut);
  t.match(last(rig), { outcome: OUTCOME.malformed, endpointId: 0 });
  t.equal(rcodeIn(last(rig)), RCODE.formErr);
  const open = new Rig({ unknownEndpoint: 'allow' });
  open.query('10.9.9.9', queryPacket('bbc.co.uk.'));
  open.answer(answerPacket('bbc.co.uk.', [A1]));
  t.match(last(open), { outcome: OUTCOME.answered, endpointId: 0 });
  t.end();
});

t.test('a silent upstream: the request, and a SERVFAIL', (t) => {
  const rig = new Rig();
  rig.query(POD_A, queryPacket('echo.k8s.intra.'));
  for (let i = 0; i < 3; i++) rig.pass(1000);
  t.match(last(rig), { outcome: OUTCOME.upstreamTimeout, rule: 0 });
  t.equal(rcodeIn(last(rig)), RCODE.servFail);
  t.end();
});

t.test('a limit and a private address have reasons of their own', (t) => {
  const rig = new Rig();
  rig.enforce(limitedSnapshot({ labelEntropyBits: 1 }));
  rig.query(POD_A, queryPacket('echo.k8s.intra.'));
  t.match(last(rig), { outcome: OUTCOME.labelEntropy, rule: 0 });
  rig.enforce(limitedSnapshot({ queryRate: 1 }));
  for (let i = 0; i < 11; i++) {
    rig.query(POD_A, queryPacket('echo.k8s.intra.'));
    if (rig.path.underWay > 0) rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  }
  t.match(last(rig), { outcome: OUTCOME.queryRate });
  rig.enforce(limitedSnapshot({ privateNames: [] }));
  rig.query(POD_A, queryPacket('echo.k8s.intra.'));
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  t.match(last(rig), { outcome: OUTCOME.privateAddress });
  t.end();
});

t.test('a limit that only counts, and audit mode: the query goes on, and says what it would have been refused for', (t) => {
  const rig = new Rig();
  rig.enforce(limitedSnapshot({ labelEntropyBits: 1, auditEntropy: true }));
  rig.query(POD_A, queryPacket('echo.k8s.intra.'));
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  t.match(last(rig), { outcome: OUTCOME.answered, audited: OUTCOME.labelEntropy });
  const audit = new Rig({ auditMode: true });
  audit.enforce(limitedSnapshot({ privateNames: [] }));
  audit.query(POD_A, queryPacket('echo.k8s.intra.'));
  audit.answer(answerPacket('echo.k8s.intra.', [A1]));
  t.match(last(audit), { outcome: OUTCOME.answered, audited: OUTCOME.privateAddress });
  audit.enforce(limitedSnapshot({ queryRate: 1_000 }));
  audit.query(POD_A, queryPacket('echo.k8s.intra.'));
  audit.answer(answerPacket('echo.k8s.intra.', [A1]));
  t.match(last(audit), { outcome: OUTCOME.answered, audited: OUTCOME.answered });
  t.end();
});

t.test('a query that may have ended its owner: unread', (t) => {
  const rig = new Rig();
  rig.path.onTaken(rig.place(POD_A, queryPacket('echo.k8s.intra.')), { isGone: true, wasReading: true });
  t.match(last(rig), { outcome: OUTCOME.unparsed });
  t.end();
});
