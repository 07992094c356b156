import t from 'tap';
import { AnswerView, sameQuestion, scanAnswer } from './answer-view.js';
import { FLAG, HEADER_BYTES, MAX_ANSWER_RECORDS, TYPE } from './constants.js';
import { nameToString } from './name.js';
import { scanCodeName } from './scan-code.js';
import { MessageWriter, hex, labelsOf, plainQuery } from './testing/message-writer.js';

const RESPONSE = FLAG.response | FLAG.recursionDesired | FLAG.recursionAvailable;

function scan(bytes: Uint8Array): { code: string; view: AnswerView } {
  const view = new AnswerView();
  return { code: scanCodeName(scanAnswer(bytes, 0, bytes.length, view)), view };
}

/** A response header with these counts, the question x.org A (17 bytes from 12), then `body`. */
function answer(counts: [number, number, number], body: string): Uint8Array {
  const header = counts.map((count) => count.toString(16).padStart(4, '0')).join('');
  return hex(`1234 8180 0001 ${header} 0178 036f7267 00 0001 0001 ${body}`);
}

const A_RECORD = 'c00c 0001 0001 0000012c 0004 c0000201';
const OPT = '00 0029 04d0 00000000 0000';

t.test('a chain of records is seen field by field', (t) => {
  const bytes = new MessageWriter({ id: 9, flags: RESPONSE | 3 })
    .question(labelsOf('www.example.org'))
    .record('answer', labelsOf('www.example.org'), { type: TYPE.CNAME, ttlSeconds: 60 }, (w) => w.name(labelsOf('web.example.org')))
    .record('answer', labelsOf('web.example.org'), { type: TYPE.A, ttlSeconds: 0xffff_fffe }, (w) => w.raw([192, 0, 2, 1]))
    .record('authority', labelsOf('example.org'), { type: TYPE.NS }, (w) => w.name(labelsOf('ns.example.org')))
    .record('additional', labelsOf('ns.example.org'), { type: TYPE.A }, (w) => w.raw([192, 0, 2, 53]))
    .opt({ udpSize: 1400, rcodeHigh: 1, dnssecOk: true })
    .finish();
  const { code, view } = scan(bytes);
  t.equal(code, 'ok');
  t.match(view, { id: 9, rcode: 19, truncated: false, type: 1, class: 1, nameStart: 12, nameEnd: 29, questionEnd: 33 });
  t.match(view, { questionCount: 1, answerCount: 2, authorityCount: 1, additionalCount: 2, recordCount: 2 });
  t.match(view, { hasEdns: true, ednsUdpSize: 1400, ednsDnssecOk: true, ednsEnd: bytes.length, ednsOffset: bytes.length - 11 });
  t.same([...view.recordType.subarray(0, 2)], [TYPE.CNAME, TYPE.A]);
  t.same([...view.recordClass.subarray(0, 2)], [1, 1]);
  t.same([...view.ttl.subarray(0, 2)], [60, 0xffff_fffe]);
  t.equal(nameToString(bytes, 0, view.owner[0]), 'www.example.org.');
  t.equal(nameToString(bytes, 0, view.dataOffset[0]), 'web.example.org.');
  t.equal(nameToString(bytes, 0, view.owner[1]), 'web.example.org.');
  t.equal(view.dataLength[1], 4);
  t.same([...bytes.subarray(view.dataOffset[1], view.dataOffset[1] + 4)], [192, 0, 2, 1]);
  t.end();
});

t.test('each broken rule has its code', (t) => {
  const rows: [string, Uint8Array][] = [
    ['tooShort', hex('1234 8180')],
    ['wrongDirection', plainQuery('x.org')],
    ['opcode', hex('1234 a800 0001 0000 0000 0000')],
    ['noQuestion', hex('1234 8181 0000 0000 0000 0000')],
    ['manyQuestions', hex('1234 8180 0002 0000 0000 0000')],
    ['nameTruncated', hex('1234 8180 0001 0000 0000 0000 0161')],
    ['labelType', hex('1234 8180 0001 0000 0000 0000 4161 00 0001 0001')],
    ['namePointer', hex('1234 8180 0001 0000 0000 0000 c000 0001 0001')],
    ['questionTruncated', hex('1234 8180 0001 0000 0000 0000 00 0001')],
    ['nameTooLong', hex(`1234 8180 0001 0000 0000 0000 ${'0161'.repeat(128)} 00 0001 0001`)],
    ['tooManyRecords', answer([4097, 0, 0], '')],
    ['recordName', answer([1, 0, 0], '')],
    ['recordName', answer([1, 0, 0], 'c017 0001 0001 0000012c 0004 c0000201')],
    ['recordName', answer([0, 0, 1], '40 0001 0001 0000012c 0004 c0000201')],
    ['recordTruncated', answer([1, 0, 0], 'c00c 0001 0001 0000012c 0004 c00002')],
    ['recordTruncated', answer([0, 1, 0], 'c00c 0001 0001 0000012c 00')],
    ['recordName', answer([2, 0, 0], A_RECORD)],
    ['recordData', answer([1, 0, 0], 'c00c 0005 0001 0000012c 0001 03')],
    ['recordData', answer([1, 0, 0], 'c00c 0005 0001 0000012c 0003 c00c 00')],
    ['recordData', answer([1, 0, 0], 'c00c 0005 0001 0000012c 0002 c023')],
    ['recordData', answer([1, 0, 0], 'c00c 0027 0001 0000012c 0000')],
    ['ednsMisplaced', answer([1, 0, 0], OPT)],
    ['ednsMisplaced', answer([0, 1, 0], OPT)],
    ['ednsDuplicate', answer([0, 0, 2], OPT + OPT)],
    ['ednsOwner', answer([0, 0, 1], 'c012 0029 04d0 00000000 0000')],
    ['ednsOptions', answer([0, 0, 1], '00 0029 04d0 00000000 0001 00')],
    ['trailingBytes', answer([1, 0, 0], `${A_RECORD} 00`)],
    ['ok', answer([0, 0, 0], '')],
    ['ok', answer([1, 0, 0], A_RECORD)],
    ['ok', answer([1, 1, 2], A_RECORD + A_RECORD + OPT + A_RECORD)],
    // An A record may have any length here, and data that is no name outside the answer section harms nobody.
    ['ok', answer([1, 0, 0], 'c00c 0001 0001 0000012c 0001 ff')],
    ['ok', answer([0, 1, 0], 'c00c 0002 0001 0000012c 0001 ff')],
  ];
  for (const [code, bytes] of rows) {
    const result = scan(bytes);
    t.equal(result.code, code, `${code} ${String(bytes.length)} bytes`);
    if (bytes.length >= 12) t.equal(result.view.id, 0x1234);
    if (code !== 'ok' && code !== 'trailingBytes') t.equal(result.view.recordCount, 0, 'no record of a malformed answer');
  }
  t.equal(scan(answer([1, 0, 0], `${A_RECORD} 00`)).view.recordCount, 1, 'all was read before the trailing byte');
  t.end();
});

t.test('the header alone is known when there is no question, as in an old server’s FORMERR', (t) => {
  const { code, view } = scan(hex('1234 8381 0000 0000 0000 0000'));
  t.equal(code, 'noQuestion');
  t.match(view, { id: 0x1234, rcode: 1, truncated: true, questionEnd: 0 });
  t.end();
});

t.test('as many records as the view holds are taken', (t) => {
  const writer = new MessageWriter({ flags: RESPONSE }).question(labelsOf('x'));
  for (let i = 0; i < MAX_ANSWER_RECORDS; i += 1) writer.record('answer', labelsOf('x'), { type: TYPE.A }, (w) => w.u32(i));
  const bytes = writer.finish().slice(0, 65535);
  t.equal(bytes.length, 65535, 'more than a message');
  const count = Math.floor((65535 - 19) / 16);
  bytes[6] = count >>> 8;
  bytes[7] = count & 0xff;
  const { code, view } = scan(bytes);
  t.equal(code, 'trailingBytes');
  t.equal(view.recordCount, count);
  const end = view.dataOffset[count - 1];
  t.same([...bytes.subarray(end, end + 4)], [0, 0, (count - 1) >>> 8, (count - 1) & 0xff]);

  const small = new MessageWriter({ flags: RESPONSE }).question(labelsOf('x'));
  for (let i = 0; i < MAX_ANSWER_RECORDS; i += 1) small.record('answer', labelsOf('x'), { type: TYPE.TXT }, (w) => w);
  t.equal(scan(small.finish()).view.recordCount, MAX_ANSWER_RECORDS);
  t.equal(scan(small.record('answer', [], { type: TYPE.TXT }, (w) => w).finish()).code, 'tooManyRecords');
  t.end();
});

t.test('questions are compared by name, type and class', (t) => {
  const asked = new MessageWriter().question(labelsOf('www.Example.org'), 1, 1).finish();
  const length = asked.length - HEADER_BYTES;
  const rows: [string, number, number, boolean][] = [
    ['www.Example.org', 1, 1, true],
    ['WWW.example.org', 1, 1, true],
    ['www.example.org', 28, 1, false],
    ['www.example.org', 0x0101, 1, false],
    ['www.Example.org', 1, 3, false],
    ['www.Example.org', 1, 0x21, false],
    ['www.Example.com', 1, 1, false],
    ['www.Example.or', 1, 1, false],
    ['wwwwExample.org', 1, 1, false],
    ['www.Ezample.org', 1, 1, false],
  ];
  for (const [name, type, klass, same] of rows) {
    const bytes = new Uint8Array(300).fill(0xaa);
    bytes.set(new MessageWriter({ flags: RESPONSE }).question(labelsOf(name), type, klass).finish(), 77);
    t.equal(sameQuestion(asked, HEADER_BYTES, bytes, 77 + HEADER_BYTES, length), same, `${name} ${type} ${klass}`);
  }
  t.end();
});

t.test('of bytes that differ in one bit only letters are the same in both cases', (t) => {
  const question = (byte: number): Uint8Array => Uint8Array.of(1, byte, 0, 0, 1, 0, 1);
  for (let byte = 0; byte < 256; byte++) {
    for (let bit = 1; bit < 256; bit <<= 1) {
      const other = byte ^ bit;
      const isSame = /^[a-z]{2}$/i.test(String.fromCharCode(byte, other)) && bit === 0x20;
      if (sameQuestion(question(byte), 0, question(other), 0, 7) !== isSame) t.fail(`${byte} and ${other}`);
    }
  }
  t.end();
});
