import t from 'tap';
import { AnswerView, RCODE, scanAnswer, TYPE } from '@tandem/dns';
import { DNS_COUNT_WORDS, DnsCounts } from './dns-counts.js';
import { A1, answerPacket } from './testing/packets.js';

function counts(): DnsCounts {
  return new DnsCounts(new Float64Array(DNS_COUNT_WORDS));
}

function answered(dns: DnsCounts, change: (view: AnswerView) => void = () => undefined): void {
  const view = new AnswerView();
  const packet = answerPacket('echo.k8s.intra.', [A1]);
  scanAnswer(packet, 0, packet.length, view);
  change(view);
  dns.answer(view);
}

t.test('questions are counted by type and verdict; a type on no list is other', (t) => {
  const dns = counts();
  for (const type of [TYPE.A, TYPE.A, TYPE.AAAA, 99, 65_280]) dns.allowed(type);
  dns.refused(TYPE.HTTPS);
  const seen = (which: 'allowed' | 'refused'): unknown => dns.questions(which).filter(({ count }) => count > 0);
  t.strictSame(seen('allowed'), [{ type: 'A', count: 2 }, { type: 'AAAA', count: 1 }, { type: 'other', count: 2 }]);
  t.strictSame(seen('refused'), [{ type: 'HTTPS', count: 1 }]);
  t.end();
});

t.test('an answer is counted by its code and addresses, its records by their types', (t) => {
  const dns = counts();
  answered(dns);
  answered(dns);
  answered(dns, (view) => { view.recordType[0] = TYPE.CNAME; });
  answered(dns, (view) => { view.recordCount = 0; view.rcode = RCODE.nxDomain; });
  dns.failure(TYPE.A, RCODE.servFail);
  t.strictSame(dns.answers(), [
    { type: 'A', rcode: 'No Error', addresses: 0, count: 1 },
    { type: 'A', rcode: 'No Error', addresses: 1, count: 2 },
    { type: 'A', rcode: 'Server Failure', addresses: 0, count: 1 },
    { type: 'A', rcode: 'Non-Existent Domain', addresses: 0, count: 1 },
  ]);
  t.strictSame(dns.records(), [{ type: 'A', questionType: 'A', count: 2 }, { type: 'CNAME', questionType: 'A', count: 1 }]);
  t.end();
});

t.test('no answer counts outside of its place: codes and addresses beyond the lists fall into the last one', (t) => {
  const dns = counts();
  answered(dns, (view) => { view.rcode = 4095; view.type = 65_535; view.recordCount = 200; view.recordType.fill(TYPE.AAAA); });
  t.strictSame(dns.answers(), [{ type: 'other', rcode: 'other', addresses: 16, count: 1 }]);
  t.strictSame(dns.records(), [{ type: 'AAAA', questionType: 'other', count: 200 }]);
  t.strictSame(dns.questions('allowed').filter(({ count }) => count > 0), []);
  t.end();
});
