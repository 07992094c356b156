import dnsPacket from 'dns-packet';
import t from 'tap';
import { AnswerView, scanAnswer } from './answer-view.js';
import { buildReply, buildTruncated } from './build.js';
import { EDE, FLAG, NO_EDE, RCODE, TYPE } from './constants.js';
import { QueryView, scanQuery } from './query-view.js';
import { SCAN } from './scan-code.js';
import { MessageWriter, hex, labelsOf, plainQuery } from './testing/message-writer.js';

const view = new QueryView();
const answerView = new AnswerView();

interface Reply {
  readonly out: Uint8Array;
  readonly length: number;
}

function reply(query: Uint8Array, rcode: number, ede: number, text: Uint8Array | null = null): Reply {
  scanQuery(query, 0, query.length, view);
  const out = new Uint8Array(600).fill(0xee);
  const length = buildReply(query, 0, view, rcode, ede, out, 7, 512, text);
  t.ok([...out.subarray(0, 7), ...out.subarray(7 + length)].every((byte) => byte === 0xee), 'nothing else is written');
  return { out: out.slice(7, 7 + length), length };
}

t.test('a reply without EDNS is header and question', (t) => {
  const query = plainQuery('wWw.Example.org', 28);
  const { out } = reply(query, RCODE.refused, EDE.blocked);
  t.equal(scanAnswer(out, 0, out.length, answerView), SCAN.ok);
  t.match(answerView, { id: 0x1234, rcode: RCODE.refused, type: 28, additionalCount: 0, hasEdns: false });
  t.equal(answerView.flags, FLAG.response | FLAG.recursionDesired | FLAG.recursionAvailable | RCODE.refused);
  t.same(out.subarray(12), query.subarray(12), 'the letter case is the client’s');
  t.end();
});

t.test('a reply with EDNS has an OPT record, the DO bit and the error option', (t) => {
  const query = new MessageWriter({ flags: 0x0130 }).question(labelsOf('x.org')).opt({ dnssecOk: true, udpSize: 4096 }).finish();
  const { out } = reply(query, RCODE.refused, EDE.blocked, hex('6e6f'));
  t.equal(scanAnswer(out, 0, out.length, answerView), SCAN.ok);
  t.match(answerView, { rcode: RCODE.refused, hasEdns: true, ednsUdpSize: 1232, ednsVersion: 0, ednsDnssecOk: true });
  t.equal(answerView.flags & FLAG.checkingDisabled, FLAG.checkingDisabled);
  t.equal(answerView.flags & FLAG.authenticData, 0);
  t.same(out.slice(answerView.ednsOffset + 11), hex('000f 0004 000f 6e6f'));
  const bare = reply(query, RCODE.servFail, NO_EDE).out;
  t.equal(scanAnswer(bare, 0, bare.length, answerView), SCAN.ok);
  t.equal(answerView.ednsEnd - answerView.ednsOffset, 11);
  t.end();
});

t.test('BADVERS is split over header and OPT', (t) => {
  const query = new MessageWriter().question(labelsOf('x.org')).opt({ version: 1 }).finish();
  const { out } = reply(query, RCODE.badVers, NO_EDE);
  t.equal(scanAnswer(out, 0, out.length, answerView), SCAN.ok);
  t.match(answerView, { rcode: RCODE.badVers, ednsVersion: 0 });
  t.equal(answerView.flags & FLAG.rcode, 0);
  const plain = reply(plainQuery('x.org'), RCODE.badVers, NO_EDE).out;
  scanAnswer(plain, 0, plain.length, answerView);
  t.equal(answerView.rcode, RCODE.servFail, 'without EDNS there is no room for it');
  t.end();
});

t.test('an unreadable question leaves a bare header, with the opcode kept', (t) => {
  const rows: [string, Uint8Array, number][] = [
    ['no question', hex('1234 0100 0000 0000 0000 0000'), RCODE.formErr],
    ['two questions', hex('1234 0100 0002 0000 0000 0000 00 0001 0001 00 0001 0001'), RCODE.formErr],
    ['truncated', hex('1234 0100 0001 0000 0000 0000 0361'), RCODE.formErr],
    ['notify', hex('1234 2400 0001 0000 0000 0000 00 0006 0001'), RCODE.notImp],
  ];
  for (const [what, query, rcode] of rows) {
    const { out, length } = reply(query, rcode, EDE.other);
    t.equal(length, 12, what);
    t.same(out.subarray(4), new Uint8Array(8), what);
    t.equal((out[2] << 8) | out[3], ((query[2] << 8) | query[3]) & 0x7900 | 0x8080 | rcode, what);
  }
  t.end();
});

t.test('a question that could be read is repeated even if a later record could not', (t) => {
  const query = hex('1234 0100 0001 0000 0000 0001 0161 00 0001 0001 00 0029');
  const { out } = reply(query, RCODE.formErr, NO_EDE);
  t.same(out.subarray(12), hex('0161 00 0001 0001'));
  t.end();
});

t.test('a reply may be written in place of its query', (t) => {
  const query = new MessageWriter().question(labelsOf('www.example.org')).opt({ dnssecOk: true }).finish();
  const expected = reply(query, RCODE.refused, EDE.prohibited).out;
  const slot = new Uint8Array(512);
  slot.set(query, 100);
  scanQuery(slot, 100, query.length, view);
  const length = buildReply(slot, 100, view, RCODE.refused, EDE.prohibited, slot, 100, 200);
  t.same(slot.slice(100, 100 + length), expected);
  t.end();
});

t.test('a reply that does not fit is not written', (t) => {
  const query = plainQuery('x.org');
  scanQuery(query, 0, query.length, view);
  const out = new Uint8Array(query.length);
  t.equal(buildReply(query, 0, view, 5, NO_EDE, out, 0), query.length);
  out.fill(0);
  t.equal(buildReply(query, 0, view, 5, NO_EDE, out, 1), 0);
  t.equal(buildReply(query, 0, view, 5, NO_EDE, out, 0, query.length - 1), 0);
  t.equal(buildReply(query, 0, view, 5, NO_EDE, out, 1, 500), 0, 'the array ends before the capacity');
  t.equal(buildReply(query, 0, view, 5, NO_EDE, out, -1, 500), 0);
  t.same(out, new Uint8Array(query.length));
  t.end();
});

t.test('dns-packet reads our replies', (t) => {
  const query = new MessageWriter().question(labelsOf('www.example.org')).opt({ dnssecOk: true }).finish();
  const packet = dnsPacket.decode(Buffer.from(reply(query, RCODE.refused, EDE.blocked).out));
  t.match(packet, { type: 'response', rcode: 'REFUSED', flag_ra: true, flag_rd: true, flag_aa: false });
  t.match(packet.questions, [{ name: 'www.example.org', type: 'A', class: 'IN' }]);
  t.match(packet.additionals, [{ type: 'OPT', udpPayloadSize: 1232, flag_do: true }]);
  t.end();
});

function largeAnswer(options: Uint8Array): Uint8Array {
  const writer = new MessageWriter({ flags: 0x8580 }).question(labelsOf('X.org'), TYPE.TXT);
  for (let i = 0; i < 40; i += 1) writer.record('answer', labelsOf('X.org'), { type: TYPE.TXT }, (w) => w.raw(new Uint8Array(40).fill(39)));
  return writer
    .record('authority', labelsOf('org'), { type: TYPE.NS }, (w) => w.name(labelsOf('ns.org')))
    .opt({ rcodeHigh: 1, udpSize: 1400, options })
    .record('additional', labelsOf('ns.org'), { type: TYPE.A }, (w) => w.u32(1))
    .finish();
}

t.test('a truncated answer is header, question and OPT, with true counts', (t) => {
  const answer = largeAnswer(hex('000a 0002 abcd'));
  t.equal(scanAnswer(answer, 0, answer.length, answerView), SCAN.ok);
  const out = new Uint8Array(512).fill(0xee);
  const length = buildTruncated(answer, 0, answer.length, answerView, out, 5);
  t.equal(length, 12 + 11 + 17);
  const short = out.slice(5, 5 + length);
  const shortView = new AnswerView();
  t.equal(scanAnswer(short, 0, length, shortView), SCAN.ok);
  t.match(shortView, { id: 0x1234, truncated: true, rcode: 16, recordCount: 0, authorityCount: 0, additionalCount: 1 });
  t.match(shortView, { ednsUdpSize: 1400, type: TYPE.TXT, flags: 0x8780 });
  t.same(short.subarray(12, 23), answer.subarray(12, 23));
  t.same(short.slice(-6), hex('000a 0002 abcd'));

  const inPlace = answer.slice();
  t.equal(buildTruncated(inPlace, 0, inPlace.length, answerView, inPlace, 0), length);
  t.same(inPlace.slice(0, length), short);
  t.end();
});

t.test('options that do not fit are left out of a truncated answer, then it is given up', (t) => {
  const answer = largeAnswer(hex(`000c 0080 ${'00'.repeat(128)}`));
  t.equal(scanAnswer(answer, 0, answer.length, answerView), SCAN.ok);
  const out = new Uint8Array(512);
  t.equal(buildTruncated(answer, 0, answer.length, answerView, out, 0, 100), 34);
  t.equal(scanAnswer(out, 0, 34, new AnswerView()), SCAN.ok);
  t.equal(buildTruncated(answer, 0, answer.length, answerView, out, 0, 34), 34);
  t.equal(buildTruncated(answer, 0, answer.length, answerView, out, 0, 33), 0);
  t.equal(buildTruncated(answer, 0, answer.length, answerView, out, 0, 20), 0);
  t.equal(buildTruncated(answer, 0, answer.length, answerView, out, 510), 0);
  t.equal(buildTruncated(answer, 0, 11, answerView, out, 0), 0);
  t.end();
});
