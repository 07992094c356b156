/**
 * An answer seen in place: its question, its answer section's records, its OPT record.
 *
 * Invariant: `scanAnswer` allocates nothing, throws on no bytes, reads only [start, start + length), and does work
 * bounded by the length (each owner name costs at most 127 labels and 127 pointers). After `ok` (or `trailingBytes`)
 * every owner name, and the data of CNAME, DNAME, NS and PTR in the answer section, is a valid name inside the message,
 * so `nameEquals` may be let loose on them.
 * Does not know: which query it answers (`sameQuestion` compares), nor what other types' data means.
 *
 * | Rule | Source |
 * |---|---|
 * | QR = 1, opcode QUERY, one question | RFC 1035 §4.1.1, RFC 9619 §4 |
 * | all four sections walked, counts must be true | RFC 1035 §4.1 |
 * | owner names compressed or not, pointers strictly backwards | RFC 1035 §4.1.4 |
 * | name ≤ 255 bytes | RFC 1035 §2.3.4 |
 * | TTL is 32 bits here; a set top bit means 0 to who uses it | RFC 2181 §8 |
 * | ≤ 1 OPT, root owner, additional section; response code of 12 bits | RFC 6891 §6.1.1–3 |
 */
import {
  FLAG,
  HEADER_BYTES,
  MAX_ANSWER_RECORDS,
  MAX_LABEL_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_NAME_BYTES,
  MIN_UDP_BYTES,
  OPCODE,
  OPCODE_SHIFT,
  QUESTION_TAIL_BYTES,
  RECORD_FIXED_BYTES,
  TYPE,
} from './constants.js';
import { readEdns, resetEdns, type EdnsFields } from './edns.js';
import { SCAN } from './scan-code.js';
import { POINTER_BITS, skipName } from './wire-name.js';

/** How far the high part of the response code lies above its low 4 bits. */
const RCODE_HIGH_SHIFT = 4;

/** One per thread, used again for every answer. Name and EDNS offsets are absolute, those of records relative to the start. */
export class AnswerView implements EdnsFields {
  id = 0;
  /** The 16-bit flag word; masks in `FLAG`. */
  flags = 0;
  /** The response code, with EDNS's upper 8 bits. */
  rcode = 0;
  /** The TC bit. */
  truncated = false;
  questionCount = 0;
  answerCount = 0;
  authorityCount = 0;
  additionalCount = 0;
  /** The question name's first byte; 0 if the question could not be read. */
  nameStart = 0;
  nameEnd = 0;
  type = 0;
  class = 0;
  /** After the question; 0 if it could not be read. */
  questionEnd = 0;
  /** Records of the answer section in the arrays below; 0 unless the scan returned `ok` or `trailingBytes`. */
  recordCount = 0;
  /** Offset of the owner name, relative to the message's start. */
  readonly owner: Uint16Array = new Uint16Array(MAX_ANSWER_RECORDS);
  readonly recordType: Uint16Array = new Uint16Array(MAX_ANSWER_RECORDS);
  readonly recordClass: Uint16Array = new Uint16Array(MAX_ANSWER_RECORDS);
  /** Seconds, as sent. */
  readonly ttl: Uint32Array = new Uint32Array(MAX_ANSWER_RECORDS);
  /** Offset of the record's data, relative to the message's start. */
  readonly dataOffset: Uint16Array = new Uint16Array(MAX_ANSWER_RECORDS);
  /** Bytes of the record's data. Not compared with the type: an A record may have any length here. */
  readonly dataLength: Uint16Array = new Uint16Array(MAX_ANSWER_RECORDS);
  hasEdns = false;
  ednsUdpSize: number = MIN_UDP_BYTES;
  ednsVersion = 0;
  ednsDnssecOk = false;
  ednsRcodeHigh = 0;
  ednsOffset = 0;
  ednsEnd = 0;
}

/**
 * Scans the answer in [start, start + length) of `bytes` into `out`.
 *
 * @returns a code of `SCAN`; 0 is success. Header and question fields hold on errors as they do in `scanQuery`
 */
export function scanAnswer(bytes: Uint8Array, start: number, length: number, out: AnswerView): number {
  resetAnswer(out);
  if (!(start >= 0 && length <= MAX_MESSAGE_BYTES && start + length <= bytes.length)) return SCAN.badRange;
  if (length < HEADER_BYTES) return SCAN.tooShort;
  out.id = (bytes[start] << 8) | bytes[start + 1];
  out.flags = (bytes[start + 2] << 8) | bytes[start + 3];
  out.rcode = out.flags & FLAG.rcode;
  out.truncated = (out.flags & FLAG.truncated) !== 0;
  out.questionCount = (bytes[start + 4] << 8) | bytes[start + 5];
  out.answerCount = (bytes[start + 6] << 8) | bytes[start + 7];
  out.authorityCount = (bytes[start + 8] << 8) | bytes[start + 9];
  out.additionalCount = (bytes[start + 10] << 8) | bytes[start + 11];
  if ((out.flags & FLAG.response) === 0) return SCAN.wrongDirection;
  if ((out.flags & FLAG.opcode) >>> OPCODE_SHIFT !== OPCODE.query) return SCAN.opcode;
  if (out.questionCount !== 1) return out.questionCount === 0 ? SCAN.noQuestion : SCAN.manyQuestions;

  const end = start + length;
  const questionCode = readQuestion(bytes, start + HEADER_BYTES, end, out);
  if (questionCode !== SCAN.ok) return questionCode;
  if (out.answerCount > MAX_ANSWER_RECORDS) return SCAN.tooManyRecords;
  const code = walkRecords(bytes, start, end, out);
  if (code === SCAN.ok || code === SCAN.trailingBytes) out.recordCount = out.answerCount;
  if (out.hasEdns) out.rcode |= out.ednsRcodeHigh << RCODE_HIGH_SHIFT;
  return code;
}

/** Reads the question at `offset`: its labels are walked, not hashed. */
function readQuestion(bytes: Uint8Array, offset: number, end: number, out: AnswerView): number {
  let at = offset;
  for (;;) {
    if (at >= end) return SCAN.nameTruncated;
    const length = bytes[at];
    if (length > MAX_LABEL_BYTES) return length >= POINTER_BITS ? SCAN.namePointer : SCAN.labelType;
    at += length + 1;
    if (at - offset > MAX_NAME_BYTES) return SCAN.nameTooLong;
    if (length === 0) break;
  }
  if (at + QUESTION_TAIL_BYTES > end) return SCAN.questionTruncated;
  out.nameStart = offset;
  out.nameEnd = at;
  out.type = (bytes[at] << 8) | bytes[at + 1];
  out.class = (bytes[at + 2] << 8) | bytes[at + 3];
  out.questionEnd = at + QUESTION_TAIL_BYTES;
  return SCAN.ok;
}

/** Walks the three sections of records; those of the first go into the arrays. */
function walkRecords(bytes: Uint8Array, start: number, end: number, out: AnswerView): number {
  const answerCount = out.answerCount;
  const firstAdditional = answerCount + out.authorityCount;
  const recordCount = firstAdditional + out.additionalCount;
  let at = out.questionEnd;
  for (let record = 0; record < recordCount; record += 1) {
    const fixed = skipName(bytes, start, end, at);
    if (fixed === 0) return SCAN.recordName;
    const data = fixed + RECORD_FIXED_BYTES;
    if (data > end) return SCAN.recordTruncated;
    const dataLength = (bytes[fixed + 8] << 8) | bytes[fixed + 9];
    const next = data + dataLength;
    if (next > end) return SCAN.recordTruncated;
    const type = (bytes[fixed] << 8) | bytes[fixed + 1];
    if (type === TYPE.OPT) {
      if (record < firstAdditional) return SCAN.ednsMisplaced;
      if (out.hasEdns) return SCAN.ednsDuplicate;
      if (bytes[at] !== 0) return SCAN.ednsOwner;
      const code = readEdns(bytes, at, next, out);
      if (code !== SCAN.ok) return code;
    }
    if (record < answerCount) {
      if (isOneName(type) && skipName(bytes, start, next, data) !== next) return SCAN.recordData;
      out.owner[record] = at - start;
      out.recordType[record] = type;
      out.recordClass[record] = (bytes[fixed + 2] << 8) | bytes[fixed + 3];
      out.ttl[record] =
        (bytes[fixed + 4] << 24) | (bytes[fixed + 5] << 16) | (bytes[fixed + 6] << 8) | bytes[fixed + 7];
      out.dataOffset[record] = data - start;
      out.dataLength[record] = dataLength;
    }
    at = next;
  }
  return at === end ? SCAN.ok : SCAN.trailingBytes;
}

/** Types whose data is one name and nothing else, and which a chain of names may lead through. */
function isOneName(type: number): boolean {
  return type === TYPE.CNAME || type === TYPE.DNAME || type === TYPE.NS || type === TYPE.PTR;
}

/**
 * Whether two questions ask the same (RFC 5452 §9.1): name, type and class, `length` bytes each, are equal but for the letter case of
 * the name (RFC 4343). Neither name is compressed: a question is the first name of its message.
 */
export function sameQuestion(a: Uint8Array, aStart: number, b: Uint8Array, bStart: number, length: number): boolean {
  const nameBytes = length - QUESTION_TAIL_BYTES;
  for (let i = nameBytes; i < length; i += 1) {
    if (a[aStart + i] !== b[bStart + i]) return false;
  }
  for (let i = 0; i < nameBytes; i += 1) {
    const one = a[aStart + i];
    const other = b[bStart + i];
    // Bytes that differ in bit 5 only are one letter in two cases, if they are letters. Length bytes lie below them.
    if (one !== other && ((one ^ other) !== 0x20 || (one | 0x20) < 0x61 || (one | 0x20) > 0x7a)) return false;
  }
  return true;
}

function resetAnswer(out: AnswerView): void {
  out.id = 0;
  out.flags = 0;
  out.rcode = 0;
  out.truncated = false;
  out.questionCount = 0;
  out.answerCount = 0;
  out.authorityCount = 0;
  out.additionalCount = 0;
  out.nameStart = 0;
  out.nameEnd = 0;
  out.type = 0;
  out.class = 0;
  out.questionEnd = 0;
  out.recordCount = 0;
  resetEdns(out);
}
