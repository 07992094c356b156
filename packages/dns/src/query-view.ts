/**
 * A query seen in place: where its name, labels and OPT record lie, and a hash per suffix of the name.
 *
 * Invariant: `scanQuery` allocates nothing, throws on no bytes, reads only [start, start + length), and does work
 * bounded by the length. On any code but `ok` the header fields still hold if there were 12 bytes, and the question's
 * fields hold if `nameStart` is not 0, so that an error can be answered with what was understood.
 * Does not know: policy, sockets, or what to answer.
 *
 * | Rule | Source |
 * |---|---|
 * | 12-byte header, QR = 0 | RFC 1035 §4.1.1 |
 * | opcode QUERY, others reported apart | RFC 1035 §4.1.1 |
 * | exactly one question | RFC 9619 §4 |
 * | labels ≤ 63, name ≤ 255 bytes, any byte legal | RFC 1035 §2.3.4, RFC 2181 §11 |
 * | hash folds A–Z only | RFC 4343 §3 |
 * | records only walked, to find OPT | RFC 6891 §6.1.1 |
 * | ≤ 1 OPT, root owner, additional section | RFC 6891 §6.1.1–2 |
 * | UDP size below 512 counts as 512 | RFC 6891 §6.2.3 |
 */
import {
  FLAG,
  HEADER_BYTES,
  MAX_LABELS,
  MAX_LABEL_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_NAME_BYTES,
  MAX_QUERY_RECORDS,
  MIN_UDP_BYTES,
  OPCODE,
  OPCODE_SHIFT,
  QUESTION_TAIL_BYTES,
  RECORD_FIXED_BYTES,
  TYPE,
} from './constants.js';
import { readEdns, resetEdns, type EdnsFields } from './edns.js';
import { ROOT_HASH, mixLabel } from './hash.js';
import { SCAN } from './scan-code.js';
import { POINTER_BITS, skipName } from './wire-name.js';

/** One per thread, used again for every query. All offsets but `labelOffsets` are absolute in the scanned array. */
export class QueryView implements EdnsFields {
  id = 0;
  /** The 16-bit flag word; masks in `FLAG`. */
  flags = 0;
  opcode = 0;
  questionCount = 0;
  answerCount = 0;
  authorityCount = 0;
  additionalCount = 0;
  /** The question name's first byte; 0 if the question could not be read. */
  nameStart = 0;
  /** After the question name's root byte. */
  nameEnd = 0;
  type = 0;
  class = 0;
  /** After the question. */
  questionEnd = 0;
  /** Labels of the name, root not counted: 0–127. */
  labelCount = 0;
  /** [i] = offset of label i's length byte, relative to `nameStart`; [labelCount] = that of the root byte. */
  readonly labelOffsets: Uint8Array = new Uint8Array(MAX_LABELS + 1);
  /** [i] = hash of the name from label i to the root, as by `hashLabel`; [labelCount] = `ROOT_HASH`. */
  readonly suffixHashes: Uint32Array = new Uint32Array(MAX_LABELS + 2);
  hasEdns = false;
  ednsUdpSize: number = MIN_UDP_BYTES;
  ednsVersion = 0;
  ednsDnssecOk = false;
  ednsRcodeHigh = 0;
  ednsOffset = 0;
  ednsEnd = 0;
}

/**
 * Scans the query in [start, start + length) of `bytes` into `out`.
 *
 * @returns a code of `SCAN`; 0 is success
 */
export function scanQuery(bytes: Uint8Array, start: number, length: number, out: QueryView): number {
  resetQuery(out);
  if (!(start >= 0 && length <= MAX_MESSAGE_BYTES && start + length <= bytes.length)) return SCAN.badRange;
  if (length < HEADER_BYTES) return SCAN.tooShort;
  out.id = (bytes[start] << 8) | bytes[start + 1];
  out.flags = (bytes[start + 2] << 8) | bytes[start + 3];
  out.opcode = (out.flags & FLAG.opcode) >>> OPCODE_SHIFT;
  out.questionCount = (bytes[start + 4] << 8) | bytes[start + 5];
  out.answerCount = (bytes[start + 6] << 8) | bytes[start + 7];
  out.authorityCount = (bytes[start + 8] << 8) | bytes[start + 9];
  out.additionalCount = (bytes[start + 10] << 8) | bytes[start + 11];
  if ((out.flags & FLAG.response) !== 0) return SCAN.wrongDirection;
  if (out.opcode !== OPCODE.query) return SCAN.opcode;
  if (out.questionCount !== 1) return out.questionCount === 0 ? SCAN.noQuestion : SCAN.manyQuestions;

  const end = start + length;
  const nameCode = scanName(bytes, start + HEADER_BYTES, end, out);
  if (nameCode !== SCAN.ok) return nameCode;
  const nameEnd = out.nameEnd;
  if (nameEnd + QUESTION_TAIL_BYTES > end) {
    out.nameStart = 0;
    out.nameEnd = 0;
    out.labelCount = 0;
    return SCAN.questionTruncated;
  }
  out.type = (bytes[nameEnd] << 8) | bytes[nameEnd + 1];
  out.class = (bytes[nameEnd + 2] << 8) | bytes[nameEnd + 3];
  out.questionEnd = nameEnd + QUESTION_TAIL_BYTES;
  return walkRecords(bytes, start, end, out);
}

/**
 * Fills only the name's fields (`nameStart`, `nameEnd`, `labelCount`, `labelOffsets`, `suffixHashes`) from the
 * uncompressed wire name at absolute `offset`; reads nothing at or past `end`. For names that come from no query, as
 * those of `nameFromString`.
 *
 * @returns `ok`, `nameTruncated`, `nameTooLong`, `labelType` or `namePointer`; on an error the fields are 0
 */
export function scanName(bytes: Uint8Array, offset: number, end: number, out: QueryView): number {
  const labelOffsets = out.labelOffsets;
  const suffixHashes = out.suffixHashes;
  out.nameStart = 0;
  out.nameEnd = 0;
  out.labelCount = 0;
  let count = 0;
  let at = offset;
  for (;;) {
    if (at >= end) return SCAN.nameTruncated;
    const length = bytes[at];
    if (length > MAX_LABEL_BYTES) return length >= POINTER_BITS ? SCAN.namePointer : SCAN.labelType;
    const next = at + length + 1;
    if (next - offset > MAX_NAME_BYTES) return SCAN.nameTooLong;
    labelOffsets[count] = at - offset;
    at = next;
    if (length === 0) break;
    count += 1;
  }
  suffixHashes[count] = ROOT_HASH;
  let hash = ROOT_HASH;
  for (let label = count - 1; label >= 0; label -= 1) {
    hash = mixLabel(hash, bytes, offset + labelOffsets[label]);
    suffixHashes[label] = hash;
  }
  out.nameStart = offset;
  out.nameEnd = at;
  out.labelCount = count;
  return SCAN.ok;
}

/** Walks what follows the question, for OPT's sake and to know that the counts are true. */
function walkRecords(bytes: Uint8Array, start: number, end: number, out: QueryView): number {
  const firstAdditional = out.answerCount + out.authorityCount;
  const recordCount = firstAdditional + out.additionalCount;
  if (recordCount > MAX_QUERY_RECORDS) return SCAN.tooManyRecords;
  let at = out.questionEnd;
  for (let record = 0; record < recordCount; record += 1) {
    const fixed = skipName(bytes, start, end, at);
    if (fixed === 0) return SCAN.recordName;
    const data = fixed + RECORD_FIXED_BYTES;
    if (data > end) return SCAN.recordTruncated;
    const next = data + ((bytes[fixed + 8] << 8) | bytes[fixed + 9]);
    if (next > end) return SCAN.recordTruncated;
    if (((bytes[fixed] << 8) | bytes[fixed + 1]) === TYPE.OPT) {
      if (record < firstAdditional) return SCAN.ednsMisplaced;
      if (out.hasEdns) return SCAN.ednsDuplicate;
      if (bytes[at] !== 0) return SCAN.ednsOwner;
      const code = readEdns(bytes, at, next, out);
      if (code !== SCAN.ok) return code;
    }
    at = next;
  }
  return at === end ? SCAN.ok : SCAN.trailingBytes;
}

function resetQuery(out: QueryView): void {
  out.id = 0;
  out.flags = 0;
  out.opcode = 0;
  out.questionCount = 0;
  out.answerCount = 0;
  out.authorityCount = 0;
  out.additionalCount = 0;
  out.nameStart = 0;
  out.nameEnd = 0;
  out.type = 0;
  out.class = 0;
  out.questionEnd = 0;
  out.labelCount = 0;
  resetEdns(out);
}
