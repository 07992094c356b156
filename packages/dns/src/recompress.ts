/**
 * A whole message emitted again with its names compressed, for answers that would else be truncated.
 *
 * Invariant: the result decodes to the same header, question and records in the same order, letter case included (names
 * are shared only if equal byte for byte). Bounded: the dictionary takes `MAX_SUFFIXES` entries and `MAX_PROBES` looks per
 * name suffix, then names are written out in full. Nothing is allocated.
 * Does not know: which size is wanted; what is left out when even this is too large.
 *
 * | Data of | is | Source |
 * |---|---|---|
 * | NS MD MF CNAME MB MG MR PTR, MINFO, MX, SOA | compressed | RFC 1035 §3.3, RFC 3597 §4 |
 * | RP AFSDB RT SIG PX NXT KX NAPTR SRV DNAME RRSIG NSEC SVCB HTTPS | decompressed, never compressed | RFC 3597 §4, RFC 2782, RFC 6672 §2.5, RFC 4034 §3.1.7, RFC 9460 §2.2 |
 * | any other | copied | RFC 3597 §4 |
 */
import {
  HEADER_BYTES,
  MAX_LABELS,
  MAX_MESSAGE_BYTES,
  POINTER_LIMIT,
  QUESTION_TAIL_BYTES,
  RECORD_FIXED_BYTES,
  TYPE,
} from './constants.js';
import { ROOT_HASH, mixLabel } from './hash.js';
import { POINTER_BITS, followPointers, nameEqualsExact, skipName } from './wire-name.js';

/** Slots of the dictionary, a power of two. */
const DICTIONARY_SLOTS = 4096;
/** Half the slots, so that probes stay short; far more suffixes than a message below 16 KiB has in practice. */
const MAX_SUFFIXES = 2048;
/** Looks before a suffix counts as new: names chosen to collide cost size, not time. */
const MAX_PROBES = 16;

/** How a type's data is laid out: bytes to copy, names, then bytes to copy up to the end. */
interface DataLayout {
  readonly prefixBytes: number;
  readonly nameCount: number;
  /** Bytes after the names, or −1 for as many as there are. */
  readonly suffixBytes: number;
  readonly compress: boolean;
}

const ANY_SUFFIX = -1;
const ONE_NAME: DataLayout = { prefixBytes: 0, nameCount: 1, suffixBytes: 0, compress: true };

const LAYOUTS = new Map<number, DataLayout>([
  [TYPE.NS, ONE_NAME],
  [TYPE.MD, ONE_NAME],
  [TYPE.MF, ONE_NAME],
  [TYPE.CNAME, ONE_NAME],
  [TYPE.MB, ONE_NAME],
  [TYPE.MG, ONE_NAME],
  [TYPE.MR, ONE_NAME],
  [TYPE.PTR, ONE_NAME],
  [TYPE.MINFO, { prefixBytes: 0, nameCount: 2, suffixBytes: 0, compress: true }],
  [TYPE.MX, { prefixBytes: 2, nameCount: 1, suffixBytes: 0, compress: true }],
  [TYPE.SOA, { prefixBytes: 0, nameCount: 2, suffixBytes: 20, compress: true }],
  [TYPE.DNAME, { prefixBytes: 0, nameCount: 1, suffixBytes: 0, compress: false }],
  [TYPE.RP, { prefixBytes: 0, nameCount: 2, suffixBytes: 0, compress: false }],
  [TYPE.AFSDB, { prefixBytes: 2, nameCount: 1, suffixBytes: 0, compress: false }],
  [TYPE.RT, { prefixBytes: 2, nameCount: 1, suffixBytes: 0, compress: false }],
  [TYPE.KX, { prefixBytes: 2, nameCount: 1, suffixBytes: 0, compress: false }],
  [TYPE.PX, { prefixBytes: 2, nameCount: 2, suffixBytes: 0, compress: false }],
  [TYPE.SRV, { prefixBytes: 6, nameCount: 1, suffixBytes: 0, compress: false }],
  [TYPE.NXT, { prefixBytes: 0, nameCount: 1, suffixBytes: ANY_SUFFIX, compress: false }],
  [TYPE.NSEC, { prefixBytes: 0, nameCount: 1, suffixBytes: ANY_SUFFIX, compress: false }],
  [TYPE.SIG, { prefixBytes: 18, nameCount: 1, suffixBytes: ANY_SUFFIX, compress: false }],
  [TYPE.RRSIG, { prefixBytes: 18, nameCount: 1, suffixBytes: ANY_SUFFIX, compress: false }],
  [TYPE.SVCB, { prefixBytes: 2, nameCount: 1, suffixBytes: ANY_SUFFIX, compress: false }],
  [TYPE.HTTPS, { prefixBytes: 2, nameCount: 1, suffixBytes: ANY_SUFFIX, compress: false }],
]);

/** NAPTR: order and preference, then three strings that each begin with their length, then the name (RFC 3403 §4.1). */
const NAPTR_FIXED_BYTES = 4;
const NAPTR_STRINGS = 3;

/** The message being read and the one being written: one at a time, since nothing here waits. */
let input: Uint8Array = new Uint8Array(0);
let inputStart = 0;
let inputEnd = 0;
let output: Uint8Array = input;
let outputStart = 0;
let outputEnd = 0;
let suffixCount = 0;
/** Offset of a written name, relative to the output's start; 0 is an empty slot. */
const slotOffset = new Uint16Array(DICTIONARY_SLOTS);
const slotHash = new Int32Array(DICTIONARY_SLOTS);
/** Of the name being written: absolute offset of each label in the input, and the hash of the name from there on. */
const labelAt = new Int32Array(MAX_LABELS + 1);
const labelHash = new Int32Array(MAX_LABELS + 1);
/** Of the name being written: offset of each label in the output, relative to its start. */
const labelTo = new Int32Array(MAX_LABELS + 1);
const NOTHING = new Uint8Array(0);

/**
 * Writes the message in [start, start + length) of `answer` to `out` at `outStart`, compressed. The two ranges must not
 * overlap. Bytes after the last record are left out.
 *
 * @param outCapacity bytes that may be written
 * @returns bytes written; 0 if the message is malformed or the result does not fit (the range is then undefined)
 */
export function recompress(
  answer: Uint8Array,
  start: number,
  length: number,
  out: Uint8Array,
  outStart: number,
  outCapacity: number,
): number {
  if (!(start >= 0 && length >= HEADER_BYTES && length <= MAX_MESSAGE_BYTES && start + length <= answer.length)) return 0;
  if (!(outStart >= 0 && outCapacity >= HEADER_BYTES && outStart + HEADER_BYTES <= out.length)) return 0;
  input = answer;
  inputStart = start;
  inputEnd = start + length;
  output = out;
  outputStart = outStart;
  outputEnd = Math.min(outStart + outCapacity, out.length, outStart + MAX_MESSAGE_BYTES);
  suffixCount = 0;
  slotOffset.fill(0);
  const written = writeMessage();
  // Both arrays may be large and short-lived; nothing here keeps them.
  input = NOTHING;
  output = NOTHING;
  return written;
}

function writeMessage(): number {
  const questionCount = readU16(inputStart + 4);
  const recordCount = readU16(inputStart + 6) + readU16(inputStart + 8) + readU16(inputStart + 10);
  for (let i = 0; i < HEADER_BYTES; i += 1) output[outputStart + i] = input[inputStart + i];
  let from = inputStart + HEADER_BYTES;
  let to = outputStart + HEADER_BYTES;
  for (let question = 0; question < questionCount; question += 1) {
    const tail = skipName(input, inputStart, inputEnd, from);
    if (tail === 0 || tail + QUESTION_TAIL_BYTES > inputEnd) return 0;
    to = writeName(from, to, true);
    if (to === 0) return 0;
    to = copyRange(tail, tail + QUESTION_TAIL_BYTES, to);
    if (to === 0) return 0;
    from = tail + QUESTION_TAIL_BYTES;
  }
  for (let record = 0; record < recordCount; record += 1) {
    const fixed = skipName(input, inputStart, inputEnd, from);
    if (fixed === 0 || fixed + RECORD_FIXED_BYTES > inputEnd) return 0;
    const data = fixed + RECORD_FIXED_BYTES;
    const next = data + readU16(fixed + 8);
    if (next > inputEnd) return 0;
    to = writeName(from, to, true);
    if (to === 0) return 0;
    const dataTo = copyRange(fixed, data, to);
    if (dataTo === 0) return 0;
    to = writeData(readU16(fixed), data, next, dataTo);
    if (to === 0) return 0;
    const dataBytes = to - dataTo;
    output[dataTo - 2] = dataBytes >>> 8;
    output[dataTo - 1] = dataBytes;
    from = next;
  }
  return to - outputStart;
}

/** Writes a record's data; returns the offset after it, 0 if malformed or full. */
function writeData(type: number, data: number, end: number, to: number): number {
  if (type === TYPE.NAPTR) return writeNaptr(data, end, to);
  const layout = LAYOUTS.get(type);
  // An update's or a query's record may be without data (RFC 2136 §2.4), whatever its type.
  if (layout === undefined || data === end) return copyRange(data, end, to);
  let from = data + layout.prefixBytes;
  if (from > end) return 0;
  let at = copyRange(data, from, to);
  for (let name = 0; name < layout.nameCount && at !== 0; name += 1) {
    const after = skipName(input, inputStart, end, from);
    if (after === 0) return 0;
    at = writeName(from, at, layout.compress);
    from = after;
  }
  if (at === 0) return 0;
  if (layout.suffixBytes !== ANY_SUFFIX && from + layout.suffixBytes !== end) return 0;
  return copyRange(from, end, at);
}

function writeNaptr(data: number, end: number, to: number): number {
  if (data === end) return to;
  let from = data + NAPTR_FIXED_BYTES;
  for (let text = 0; text < NAPTR_STRINGS; text += 1) {
    if (from >= end) return 0;
    from += input[from] + 1;
  }
  if (from >= end || skipName(input, inputStart, end, from) !== end) return 0;
  const at = copyRange(data, from, to);
  return at === 0 ? 0 : writeName(from, at, false);
}

/**
 * Writes the name at `from`, which has been checked; returns the offset after it, 0 if it does not fit. A name that must
 * not be compressed is not pointed at, either: no reader has to look for names in such data.
 */
function writeName(from: number, to: number, compress: boolean): number {
  const labelCount = readLabels(from, compress);
  let at = to;
  let label = 0;
  let known = 0;
  while (label < labelCount) {
    const source = labelAt[label];
    known = compress ? findSuffix(source, labelHash[label]) : 0;
    if (known !== 0) break;
    labelTo[label] = at - outputStart;
    at = copyRange(source, source + input[source] + 1, at);
    if (at === 0) return 0;
    label += 1;
  }
  const tailBytes = known === 0 ? 1 : 2;
  if (at + tailBytes > outputEnd) return 0;
  if (known === 0) {
    output[at] = 0;
  } else {
    output[at] = POINTER_BITS | (known >>> 8);
    output[at + 1] = known;
  }
  // Only now, for a suffix is compared with what is written, and an unfinished name must not be found.
  if (compress) for (let i = 0; i < label; i += 1) addSuffix(labelTo[i], labelHash[i]);
  return at + tailBytes;
}

/** Fills `labelAt`, and `labelHash` if wanted, for the name at `from`, which has been checked; returns its label count. */
function readLabels(from: number, hashed: boolean): number {
  let count = 0;
  let floor = from - inputStart;
  let at = followPointers(input, inputStart, from, floor);
  while (at >= 0 && count < MAX_LABELS && input[at] !== 0) {
    labelAt[count] = at;
    count += 1;
    if (at < inputStart + floor) floor = at - inputStart;
    at = followPointers(input, inputStart, at + input[at] + 1, floor);
  }
  let hash = ROOT_HASH | 0;
  for (let label = hashed ? count - 1 : -1; label >= 0; label -= 1) {
    hash = mixLabel(hash, input, labelAt[label]);
    labelHash[label] = hash;
  }
  return count;
}

/** Relative offset in the output of a name equal to the input's from `inputAt` on; 0 if none is known. */
function findSuffix(inputAt: number, hash: number): number {
  let slot = hash & (DICTIONARY_SLOTS - 1);
  for (let probe = 0; probe < MAX_PROBES; probe += 1) {
    const known = slotOffset[slot];
    if (known === 0) return 0;
    if (
      slotHash[slot] === hash &&
      nameEqualsExact(input, inputStart, inputAt, output, outputStart, outputStart + known)
    ) {
      return known;
    }
    slot = (slot + 1) & (DICTIONARY_SLOTS - 1);
  }
  return 0;
}

/** Makes the name at the output's relative `offset` known, unless a pointer cannot reach it or the dictionary is full. */
function addSuffix(offset: number, hash: number): void {
  if (offset >= POINTER_LIMIT || suffixCount >= MAX_SUFFIXES) return;
  let slot = hash & (DICTIONARY_SLOTS - 1);
  for (let probe = 0; probe < MAX_PROBES; probe += 1) {
    if (slotOffset[slot] === 0) {
      slotOffset[slot] = offset;
      slotHash[slot] = hash;
      suffixCount += 1;
      return;
    }
    slot = (slot + 1) & (DICTIONARY_SLOTS - 1);
  }
}

function copyRange(from: number, end: number, to: number): number {
  if (to + (end - from) > outputEnd) return 0;
  const shift = to - from;
  for (let i = from; i < end; i += 1) output[i + shift] = input[i];
  return to + (end - from);
}

function readU16(at: number): number {
  return (input[at] << 8) | input[at + 1];
}
