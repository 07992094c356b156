/**
 * A million damaged packets through everything that reads bytes from the network.
 *
 * Each lies between guard bytes. It is read twice, with other guards the second time: a result that depends on them means
 * that something outside the range was read. What is written is looked at in the same way.
 */
import process from 'node:process';
import t from 'tap';
import { AnswerView, scanAnswer } from './answer-view.js';
import { buildReply, buildTruncated } from './build.js';
import { nameToString } from './name.js';
import { QueryView, scanQuery } from './query-view.js';
import { recompress } from './recompress.js';
import { SCAN } from './scan-code.js';
import { ServiceBindingHints, scanServiceBinding } from './service-binding.js';
import { Dice, damagedPacket } from './testing/arbitrary.js';
import { MessageWriter, hex, labelsOf } from './testing/message-writer.js';
import { nameEquals } from './wire-name.js';

const PACKETS = 1_000_000;
const SEED = 20_261_121;
const GUARD_BYTES = 600;
const MAX_PACKET_BYTES = 600;
/** Every byte after the guard's start is one of these: a label of 63, or a pointer to the first name. */
const GUARDS = [0x3f, 0xc0] as const;
/** Tenfold what an idle core needs. */
const LIMIT_MS = 20_000;
/** Processor time of this thread: what others take of the machine does not count. */
const ownMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};

function seeds(): Uint8Array[] {
  const www = labelsOf('www.Example.org');
  const queries = [
    new MessageWriter().question(www).finish(),
    new MessageWriter().question(labelsOf('a.b.c.d.e.f.g'), 28).opt({ dnssecOk: true, options: hex('000a 0008 0102030405060708') }).finish(),
    new MessageWriter().question(labelsOf('.'), 2).opt().finish(),
    new MessageWriter({ flags: 0x2800 }).question(www, 6).record('authority', www, { type: 6 }, (w) => w.name(www)).finish(),
    new MessageWriter().question(labelsOf('x'.repeat(63).concat('.').repeat(3)), 1).finish(),
  ];
  const answers = [
    new MessageWriter({ flags: 0x8180 })
      .question(www)
      .record('answer', www, { type: 5 }, (w) => w.name(labelsOf('web.example.org')))
      .record('answer', labelsOf('web.example.org'), { type: 1 }, (w) => w.u32(0xc0000201))
      .record('answer', labelsOf('web.example.org'), { type: 28 }, (w) => w.u32(1).u32(2).u32(3).u32(4))
      .record('authority', labelsOf('example.org'), { type: 2 }, (w) => w.name(labelsOf('ns.example.org')))
      .opt({ options: hex('000f 0002 0000') })
      .finish(),
    new MessageWriter({ flags: 0x8183 })
      .question(www)
      .record('authority', labelsOf('example.org'), { type: 6 }, (w) => w.name(www).name(labelsOf('m.Example.org')).u32(1).u32(2).u32(3).u32(4).u32(5))
      .finish(),
    new MessageWriter({ flags: 0x8580 })
      .question(www, 65)
      .record('answer', www, { type: 65 }, (w) => w.u16(1).u8(0).raw(hex('0001 0003 026832 0004 0008 c0000201 c0000202 0006 0010')).u32(1).u32(2).u32(3).u32(4))
      .record('answer', www, { type: 64 }, (w) => w.u16(0).name(www, false))
      .record('answer', www, { type: 33 }, (w) => w.u32(1).u16(53).name(www, false))
      .record('answer', www, { type: 15 }, (w) => w.u16(1).name(labelsOf('mx.Example.org')))
      .record('answer', www, { type: 35 }, (w) => w.u32(1).raw([1, 115, 0, 0]).name(www, false))
      .record('answer', www, { type: 46 }, (w) => w.raw(new Uint8Array(18)).name(www, false).u32(9))
      .opt()
      .finish(),
  ];
  return [...queries, ...answers];
}

const queryView = new QueryView();
const answerView = new AnswerView();
const hints = new ServiceBindingHints();
const out = new Uint8Array(MAX_PACKET_BYTES * 2);

/** Numbers of one packet's journey, folded into one. */
let digest = 0;
/** How many packets got past each gate: a fuzzer whose packets are all refused at the door finds nothing. */
const passed = { queries: 0, answers: 0, recompressed: 0, hints: 0, replies: 0 };

function note(value: number): void {
  digest = Math.imul(digest ^ value, 0x01000193);
}

function noteWritten(length: number): void {
  note(length);
  for (let i = 0; i < length; i += 1) note(out[i]);
}

function readQuery(bytes: Uint8Array, length: number): void {
  const code = scanQuery(bytes, GUARD_BYTES, length, queryView);
  note(code);
  note(queryView.id ^ (queryView.nameEnd << 8) ^ (queryView.questionEnd << 16) ^ queryView.type);
  note(queryView.ednsUdpSize ^ (queryView.ednsOffset << 8) ^ (queryView.ednsEnd << 16));
  if (queryView.questionEnd !== 0) {
    for (let label = 0; label <= queryView.labelCount; label += 1) {
      note(queryView.suffixHashes[label]);
      note(queryView.labelOffsets[label]);
    }
  }
  if (code === SCAN.tooShort || code === SCAN.wrongDirection) return;
  if (code === SCAN.ok) passed.queries += 1;
  noteWritten(buildReply(bytes, GUARD_BYTES, queryView, 5, 15, out, 0, 512));
  passed.replies += 1;
}

function readAnswer(bytes: Uint8Array, length: number): void {
  const code = scanAnswer(bytes, GUARD_BYTES, length, answerView);
  note(code);
  note(answerView.rcode ^ (answerView.questionEnd << 8) ^ (answerView.ednsEnd << 16) ^ answerView.recordCount);
  if (code === SCAN.ok) passed.answers += 1;
  for (let record = 0; record < answerView.recordCount; record += 1) {
    const dataOffset = answerView.dataOffset[record];
    const owner = GUARD_BYTES + answerView.owner[record];
    note(answerView.ttl[record] ^ answerView.recordType[record] ^ (answerView.recordClass[record] << 16));
    note(nameEquals(bytes, GUARD_BYTES, owner, bytes, GUARD_BYTES, answerView.nameStart) ? 1 : 0);
    const type = answerView.recordType[record];
    if (type === 5) note(nameEquals(bytes, GUARD_BYTES, GUARD_BYTES + dataOffset, bytes, GUARD_BYTES, owner) ? 1 : 0);
    const hintCode = scanServiceBinding(bytes, GUARD_BYTES, dataOffset, answerView.dataLength[record], hints);
    note(hintCode ^ (hints.ipv4Count << 8) ^ (hints.ipv6Count << 16) ^ hints.targetOffset);
    if (hints.ipv4Count > 0) {
      passed.hints += 1;
      const last = hints.ipv4Offsets[hints.ipv4Count - 1];
      note(last + 4 <= dataOffset + answerView.dataLength[record] ? last : -1);
    }
  }
  if (answerView.questionEnd !== 0) noteWritten(buildTruncated(bytes, GUARD_BYTES, length, answerView, out, 0, 512));
  const size = recompress(bytes, GUARD_BYTES, length, out, 0, MAX_PACKET_BYTES);
  if (size !== 0) passed.recompressed += 1;
  noteWritten(size);
}

function readNames(bytes: Uint8Array, length: number, offset: number): void {
  const text = nameToString(bytes, GUARD_BYTES, GUARD_BYTES + offset, GUARD_BYTES + length);
  note(text.length);
  if (text.length > 0) note(text.charCodeAt(text.length >>> 1));
}

/** The packet's bytes read wholly, between guards of one kind. */
function readAll(bytes: Uint8Array, length: number, offset: number): number {
  digest = 0x1505;
  readQuery(bytes, length);
  readAnswer(bytes, length);
  readNames(bytes, length, offset);
  return digest;
}

/** Sets the bytes around the packet and reads it; only the neighbourhood, since a read that strays, strays there first. */
function readBetween(guard: number, bytes: Uint8Array, packetLength: number, readLength: number, offset: number): number {
  bytes.fill(guard, GUARD_BYTES - 40, GUARD_BYTES);
  bytes.fill(guard, GUARD_BYTES + packetLength, Math.min(GUARD_BYTES + packetLength + 80, bytes.length));
  return readAll(bytes, readLength, offset);
}

t.test('the guards catch a reader that strays', (t) => {
  const dice = new Dice(SEED);
  const corpus = seeds();
  const bytes = new Uint8Array(GUARD_BYTES * 2 + MAX_PACKET_BYTES);
  let caught = 0;
  for (let packet = 0; packet < 1000; packet += 1) {
    const length = damagedPacket(dice, corpus, bytes, GUARD_BYTES, MAX_PACKET_BYTES);
    // The length given is a lie, so these reads do stray, wherever a packet was cut.
    const first = readBetween(GUARDS[0], bytes, length, length + 30, 0);
    if (readBetween(GUARDS[1], bytes, length, length + 30, 0) !== first) caught += 1;
  }
  t.ok(caught > 50, `${String(caught)} of 1000`);
  t.end();
});

t.test('a million damaged packets: nothing throws, nothing outside is read, time is bounded', (t) => {
  const dice = new Dice(SEED);
  const corpus = seeds();
  const bytes = new Uint8Array(GUARD_BYTES * 2 + MAX_PACKET_BYTES);
  const startMs = ownMs();
  let disagreements = 0;
  for (let packet = 0; packet < PACKETS; packet += 1) {
    const length = damagedPacket(dice, corpus, bytes, GUARD_BYTES, MAX_PACKET_BYTES);
    const offset = length === 0 ? 0 : dice.below(length);
    const first = readBetween(GUARDS[0], bytes, length, length, offset);
    if (readBetween(GUARDS[1], bytes, length, length, offset) !== first) {
      disagreements += 1;
      if (disagreements === 1) t.comment(`packet ${String(packet)}: ${Buffer.from(bytes.subarray(GUARD_BYTES, GUARD_BYTES + length)).toString('hex')}`);
    }
  }
  const tookMs = ownMs() - startMs;
  t.comment(`${String(Math.round(tookMs))} ms, each packet read twice; passed: ${JSON.stringify(passed)}`);
  t.equal(disagreements, 0);
  for (const [gate, count] of Object.entries(passed)) t.ok(count > PACKETS / 20, `${gate}: ${String(count)} got past it`);
  t.ok(tookMs < LIMIT_MS);
  t.end();
});

t.test('the worst packets we can think of take milliseconds', (t) => {
  const deepest = (): Uint8Array => {
    // One name of 127 labels, then as many records as fit whose owner is a pointer to it.
    const writer = new MessageWriter({ flags: 0x8180 }).question(labelsOf('a.'.repeat(127)));
    while (writer.bytes.length < 65535 - 12) writer.count('authority').u16(0xc00c).u16(1).u16(1).u32(1).u16(0);
    return writer.finish();
  };
  const chained = (): Uint8Array => {
    // A chain of 126 pointers, and records whose owner is its end.
    const writer = new MessageWriter({ flags: 0x8180 }).question(labelsOf('a'));
    writer.count('answer').u8(0).u16(99).u16(1).u32(1).u16(252);
    const chainStart = writer.bytes.length;
    for (let i = 0; i < 126; i += 1) writer.u16(0xc000 | (i === 0 ? 12 : chainStart + (i - 1) * 2));
    const last = chainStart + 125 * 2;
    while (writer.bytes.length < 65535 - 12) writer.count('additional').u16(0xc000 | last).u16(1).u16(1).u32(1).u16(0);
    return writer.finish();
  };
  const large = new Uint8Array(65535);
  for (const [what, bytes] of [
    ['deep names', deepest()],
    ['chained pointers', chained()],
  ] as const) {
    const startMs = ownMs();
    t.equal(scanAnswer(bytes, 0, bytes.length, answerView), SCAN.ok, what);
    const scannedMs = ownMs();
    t.ok(recompress(bytes, 0, bytes.length, large, 0, large.length) > 0, what);
    const doneMs = ownMs();
    t.comment(`${what}: scan ${(scannedMs - startMs).toFixed(1)} ms, recompress ${(doneMs - scannedMs).toFixed(1)} ms`);
    t.ok(doneMs - startMs < 1000, 'far from a stall');
  }
  t.end();
});
