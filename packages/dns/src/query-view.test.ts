import t from 'tap';
import { ROOT_HASH, hashLabel } from './hash.js';
import { nameFromString } from './name.js';
import { QueryView, scanName, scanQuery } from './query-view.js';
import { SCAN, scanCodeName } from './scan-code.js';
import { MessageWriter, hex, labelsOf, plainQuery } from './testing/message-writer.js';

const ROOT_OPT = '00 0029 04d0 00000000 0000';

/** A header with these counts, then `body`. */
function message(counts: [number, number, number, number], body: string, flags = '0100'): Uint8Array {
  const header = counts.map((count) => count.toString(16).padStart(4, '0')).join('');
  return hex(`1234 ${flags} ${header} ${body}`);
}

function scan(bytes: Uint8Array): { code: string; view: QueryView } {
  const view = new QueryView();
  return { code: scanCodeName(scanQuery(bytes, 0, bytes.length, view)), view };
}

t.test('a plain query is seen field by field', (t) => {
  const bytes = plainQuery('www.Example.org', 28);
  const { code, view } = scan(bytes);
  t.equal(code, 'ok');
  t.match(view, { id: 0x1234, flags: 0x0100, opcode: 0, questionCount: 1, type: 28, class: 1, labelCount: 3 });
  t.match(view, { nameStart: 12, nameEnd: 29, questionEnd: 33, hasEdns: false, ednsUdpSize: 512, ednsOffset: 0 });
  t.same([...view.labelOffsets.subarray(0, 4)], [0, 4, 12, 16]);
  t.end();
});

t.test('a suffix has the hash of the same name alone, in any letter case', (t) => {
  const { view } = scan(plainQuery('a.WWW.exAMple.org'));
  const other = new QueryView();
  for (const [label, name] of ['a.www.example.org', 'www.example.ORG', 'example.org', 'org', '.'].entries()) {
    const wire = nameFromString(name)!;
    t.equal(scanName(wire, 0, wire.length, other), SCAN.ok);
    t.equal(view.suffixHashes[label], other.suffixHashes[0], name);
  }
  t.equal(view.suffixHashes[4], ROOT_HASH);
  const org = nameFromString('org')!;
  t.equal(view.suffixHashes[3], hashLabel(ROOT_HASH, org, 0));
  t.end();
});

t.test('label boundaries count: a.b is not ab, nor is b.a', (t) => {
  const hashes = ['a.b', 'b.a', 'ab', 'a', 'b', 'a.a', 'aa', '.'].map((name) => scan(plainQuery(name)).view.suffixHashes[0]);
  t.equal(new Set(hashes).size, hashes.length);
  t.end();
});

t.test('hashes spread over low and high bits', (t) => {
  // 4096 names that differ in a digit or two, thrown into 4096 buckets: chance alone leaves about 1507 empty.
  for (const shift of [0, 20]) {
    const buckets = new Uint16Array(4096);
    for (let i = 0; i < 4096; i += 1) {
      const { view } = scan(plainQuery(`h${String(i)}.svc.cluster.local`));
      buckets[(view.suffixHashes[0] >>> shift) & 4095] += 1;
    }
    const empty = buckets.filter((count) => count === 0).length;
    t.ok(empty > 1400 && empty < 1610, `${String(empty)} empty`);
    t.ok(Math.max(...buckets) <= 10);
  }
  t.end();
});

t.test('the root may be asked', (t) => {
  const { code, view } = scan(plainQuery('.', 2));
  t.equal(code, 'ok');
  t.match(view, { nameStart: 12, nameEnd: 13, labelCount: 0, type: 2 });
  t.equal(view.suffixHashes[0], ROOT_HASH);
  t.end();
});

t.test('the longest names are taken', (t) => {
  const most = scan(plainQuery('a.'.repeat(127)));
  t.equal(most.code, 'ok');
  t.match(most.view, { labelCount: 127, nameEnd: 12 + 255 });
  t.equal(most.view.labelOffsets[127], 254);
  const long = 'a'.repeat(63);
  t.equal(scan(plainQuery(`${long}.${long}.${long}.${'b'.repeat(61)}`)).code, 'ok');
  t.equal(scan(plainQuery(`${long}.${long}.${long}.${'b'.repeat(62)}`)).code, 'nameTooLong');
  t.equal(scan(plainQuery('a.'.repeat(128))).code, 'nameTooLong');
  t.end();
});

t.test('each broken rule has its code', (t) => {
  const question = '0161 00 0001 0001';
  const rows: [string, Uint8Array][] = [
    ['tooShort', hex('')],
    ['tooShort', hex('1234 0100 0001 0000 0000 00')],
    ['wrongDirection', message([1, 0, 0, 0], question, '8100')],
    ['opcode', message([1, 0, 0, 0], question, '2800')],
    ['opcode', message([0, 0, 0, 0], '', '1000')],
    ['noQuestion', message([0, 0, 0, 0], '')],
    ['manyQuestions', message([2, 0, 0, 0], question + question)],
    ['manyQuestions', message([65535, 0, 0, 0], question)],
    ['nameTruncated', message([1, 0, 0, 0], '')],
    ['nameTruncated', message([1, 0, 0, 0], '0361')],
    ['nameTruncated', message([1, 0, 0, 0], '0161')],
    ['labelType', message([1, 0, 0, 0], '4161 00 0001 0001')],
    ['labelType', message([1, 0, 0, 0], 'bf61 00 0001 0001')],
    ['namePointer', message([1, 0, 0, 0], 'c00c 0001 0001')],
    ['namePointer', message([1, 0, 0, 0], '0161 c00c 0001 0001')],
    ['questionTruncated', message([1, 0, 0, 0], '0161 00')],
    ['questionTruncated', message([1, 0, 0, 0], '0161 00 0001 00')],
    ['tooManyRecords', message([1, 0, 0, 33], question)],
    ['tooManyRecords', message([1, 65535, 65535, 65535], question)],
    ['recordName', message([1, 0, 0, 1], question)],
    ['recordName', message([1, 0, 0, 1], `${question} c0ff 0001 0001 00000000 0000`)],
    ['recordTruncated', message([1, 0, 0, 1], `${question} 00 0029 04d0 00000000 00`)],
    ['recordTruncated', message([1, 0, 0, 1], `${question} 00 0029 04d0 00000000 0001`)],
    ['recordTruncated', message([1, 0, 1, 0], `${question} c00c 0006 0001 00000000 0009 00`)],
    ['ednsMisplaced', message([1, 1, 0, 0], `${question} ${ROOT_OPT}`)],
    ['ednsMisplaced', message([1, 0, 1, 0], `${question} ${ROOT_OPT}`)],
    ['ednsDuplicate', message([1, 0, 0, 2], `${question} ${ROOT_OPT} ${ROOT_OPT}`)],
    ['ednsOwner', message([1, 0, 0, 1], `${question} 0161 00 0029 04d0 00000000 0000`)],
    ['ednsOwner', message([1, 0, 0, 1], `${question} c00e 0029 04d0 00000000 0000`)],
    ['ednsOptions', message([1, 0, 0, 1], `${question} 00 0029 04d0 00000000 0003 000a00`)],
    ['ednsOptions', message([1, 0, 0, 1], `${question} 00 0029 04d0 00000000 0005 000a0002 00`)],
    ['trailingBytes', message([1, 0, 0, 0], `${question} 00`)],
    ['trailingBytes', message([1, 0, 0, 1], `${question} ${ROOT_OPT} ff`)],
    ['ok', message([1, 0, 0, 1], `${question} ${ROOT_OPT}`)],
    ['ok', message([1, 0, 1, 1], `${question} c00c 0006 0001 00000000 0002 abcd ${ROOT_OPT}`)],
    ['ok', message([1, 0, 0, 2], `${question} ${ROOT_OPT} 0161 00 00fa 00ff 00000000 0000`)],
  ];
  for (const [code, bytes] of rows) {
    const result = scan(bytes);
    t.equal(result.code, code, `${code} ${String(bytes.length)} bytes`);
    if (bytes.length >= 12) t.equal(result.view.id, 0x1234, 'the ID is there to answer');
    const readable = !['tooShort', 'wrongDirection', 'opcode', 'noQuestion', 'manyQuestions', 'nameTruncated', 'labelType', 'namePointer', 'questionTruncated'].includes(code);
    t.equal(result.view.questionEnd !== 0, readable, 'the question is there if it was readable');
    t.equal(result.view.nameStart !== 0, readable);
  }
  t.end();
});

t.test('EDNS fields are read, and small UDP sizes count as 512', (t) => {
  const query = (udpSize: number, version = 0): Uint8Array =>
    new MessageWriter().question(labelsOf('x.org')).opt({ udpSize, version, dnssecOk: true, options: hex('000a 0001 ff') }).finish();
  const { code, view } = scan(query(4096, 1));
  t.equal(code, 'ok');
  t.match(view, { hasEdns: true, ednsUdpSize: 4096, ednsVersion: 1, ednsDnssecOk: true, ednsOffset: 23, ednsEnd: 39 });
  t.equal(scan(query(100)).view.ednsUdpSize, 512);
  t.equal(scan(query(0)).view.ednsUdpSize, 512);
  t.end();
});

t.test('nothing of an earlier query stays in the view', (t) => {
  const view = new QueryView();
  const rich = new MessageWriter({ id: 7 }).question(labelsOf('a.b.c'), 28).opt({ dnssecOk: true, version: 1, rcodeHigh: 1 }).finish();
  t.equal(scanQuery(rich, 0, rich.length, view), SCAN.ok);
  t.equal(scanQuery(rich, 0, 3, view), SCAN.tooShort);
  const blank = new QueryView();
  for (const key of Object.keys(blank) as (keyof QueryView)[]) {
    if (typeof blank[key] !== 'object') t.equal(view[key], blank[key], key);
  }
  t.end();
});

t.test('a query in the middle of a buffer is read there and nowhere else', (t) => {
  const bytes = plainQuery('x.org');
  const buffer = new Uint8Array(100).fill(0xff);
  buffer.set(bytes, 40);
  const view = new QueryView();
  t.equal(scanQuery(buffer, 40, bytes.length, view), SCAN.ok);
  t.match(view, { nameStart: 52, nameEnd: 59, questionEnd: 63 });
  t.same([...view.labelOffsets.subarray(0, 3)], [0, 2, 6]);
  t.equal(scanQuery(buffer, 40, bytes.length - 1, view), SCAN.questionTruncated);
  t.equal(scanQuery(buffer, 40, bytes.length + 1, view), SCAN.trailingBytes);
  t.end();
});

t.test('a range outside the array is refused', (t) => {
  const bytes = plainQuery('x.org');
  const view = new QueryView();
  for (const [start, length] of [
    [-1, 20],
    [0, bytes.length + 1],
    [bytes.length, 1],
    [NaN, 12],
    [0, NaN],
    [0, 65536],
  ]) {
    t.equal(scanQuery(bytes, start, length, view), SCAN.badRange, `${String(start)} ${String(length)}`);
  }
  t.equal(scanQuery(bytes, 0, -5, view), SCAN.tooShort);
  t.end();
});
