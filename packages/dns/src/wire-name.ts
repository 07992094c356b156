/**
 * Names as they lie in messages: skip, compare, copy, all through compression pointers.
 *
 * Invariant: a pointer leads strictly before every byte of the name read so far, and at most `MAX_POINTER_HOPS` are
 * followed, so every walk ends; no byte at or past `end` is read, no pointer into the header is taken.
 * Does not know: which names are allowed, and what a record is.
 *
 * | Rule | Source |
 * |---|---|
 * | labels ≤ 63, name ≤ 255 bytes | RFC 1035 §2.3.4 |
 * | pointer = 11 + 14-bit offset to a prior name | RFC 1035 §4.1.4 |
 * | label types 01 and 10 refused | RFC 6891 §5 |
 * | comparison folds A–Z only, any byte is legal | RFC 4343 §3, RFC 2181 §11 |
 */
import { HEADER_BYTES, MAX_LABEL_BYTES, MAX_NAME_BYTES, MAX_POINTER_HOPS } from './constants.js';
import { LOWER_CASE, SAME_CASE } from './hash.js';

/** The two top bits of a label's first byte that make it a pointer (RFC 1035 §4.1.4). */
export const POINTER_BITS = 0xc0;
const POINTER_HIGH_MASK = 0x3f;

/**
 * Offset after the name at `offset` where it lies (after the root byte or the first pointer), all of it followed and
 * checked; 0 if malformed. Offsets are absolute; pointers count from `start`.
 */
export function skipName(bytes: Uint8Array, start: number, end: number, offset: number): number {
  let at = offset;
  let after = 0;
  let hops = 0;
  let floor = offset - start;
  let nameBytes = 0;
  for (;;) {
    if (at >= end) return 0;
    const length = bytes[at];
    if (length <= MAX_LABEL_BYTES) {
      at += length + 1;
      nameBytes += length + 1;
      if (nameBytes > MAX_NAME_BYTES) return 0;
      if (length === 0) return after === 0 ? at : after;
    } else {
      if (length < POINTER_BITS || at + 1 >= end) return 0;
      const target = ((length & POINTER_HIGH_MASK) << 8) | bytes[at + 1];
      if (after === 0) after = at + 2;
      hops += 1;
      if (target >= floor || target < HEADER_BYTES || hops > MAX_POINTER_HOPS) return 0;
      floor = target;
      at = start + target;
    }
  }
}

/**
 * Offset of the label that the walk meets at `at` once pointers are followed; −1 if a pointer does not lead below
 * `floor` (relative to `start`). Where the result differs from `at`, result − start is the new floor.
 */
export function followPointers(bytes: Uint8Array, start: number, at: number, floor: number): number {
  let label = at;
  let limit = floor;
  for (let hops = 0; hops <= MAX_POINTER_HOPS; hops += 1) {
    if (label >= bytes.length) return -1;
    const length = bytes[label];
    if (length < POINTER_BITS) return label;
    if (label + 1 >= bytes.length) return -1;
    const target = ((length & POINTER_HIGH_MASK) << 8) | bytes[label + 1];
    if (target >= limit || target < HEADER_BYTES) return -1;
    limit = target;
    label = start + target;
  }
  return -1;
}

/** Whether two names are equal once both are mapped byte by byte through `fold`; malformed names equal nothing. */
function equalThrough(
  fold: Uint8Array,
  bytesA: Uint8Array,
  startA: number,
  offsetA: number,
  bytesB: Uint8Array,
  startB: number,
  offsetB: number,
): boolean {
  let a = offsetA;
  let b = offsetB;
  let floorA = offsetA - startA;
  let floorB = offsetB - startB;
  // Ends because each label adds to the length that is compared with the limit.
  for (let nameBytes = 0; nameBytes < MAX_NAME_BYTES; ) {
    const labelA = followPointers(bytesA, startA, a, floorA);
    const labelB = followPointers(bytesB, startB, b, floorB);
    if (labelA < 0 || labelB < 0) return false;
    if (labelA !== a) floorA = labelA - startA;
    if (labelB !== b) floorB = labelB - startB;
    const length = bytesA[labelA];
    if (length !== bytesB[labelB] || length > MAX_LABEL_BYTES) return false;
    if (length === 0) return true;
    if (labelA + length >= bytesA.length || labelB + length >= bytesB.length) return false;
    for (let i = 1; i <= length; i += 1) {
      if (fold[bytesA[labelA + i]] !== fold[bytesB[labelB + i]]) return false;
    }
    a = labelA + length + 1;
    b = labelB + length + 1;
    nameBytes += length + 1;
  }
  return false;
}

/**
 * Whether the names at two absolute offsets are equal, letter case apart. Pointers count from each message's start.
 * Both must be names that a scan has accepted (question, owner, data of CNAME, DNAME, NS, PTR) or wire names that fill
 * their array: there is no `end` here but the array's. Malformed names equal nothing.
 */
export function nameEquals(
  bytesA: Uint8Array,
  startA: number,
  offsetA: number,
  bytesB: Uint8Array,
  startB: number,
  offsetB: number,
): boolean {
  return equalThrough(LOWER_CASE, bytesA, startA, offsetA, bytesB, startB, offsetB);
}

/** As `nameEquals`, letter case included. */
export function nameEqualsExact(
  bytesA: Uint8Array,
  startA: number,
  offsetA: number,
  bytesB: Uint8Array,
  startB: number,
  offsetB: number,
): boolean {
  return equalThrough(SAME_CASE, bytesA, startA, offsetA, bytesB, startB, offsetB);
}

/**
 * Writes the name at `offset` to `out` at `outOffset`: uncompressed wire form, lower case, with root byte.
 *
 * @param end first absolute offset past the message, for names that no scan has checked; the array's end if absent
 * @returns bytes written (1–255); 0 if the name is malformed or `out` is too small (its bytes are then undefined)
 */
export function copyName(
  bytes: Uint8Array,
  start: number,
  offset: number,
  out: Uint8Array,
  outOffset: number,
  end: number = bytes.length,
): number {
  const limit = Math.min(end, bytes.length);
  if (offset < 0 || outOffset < 0 || skipName(bytes, start, limit, offset) === 0) return 0;
  let at = offset;
  let to = outOffset;
  for (;;) {
    const length = bytes[at];
    if (length >= POINTER_BITS) {
      at = start + (((length & POINTER_HIGH_MASK) << 8) | bytes[at + 1]);
      continue;
    }
    if (to + length >= out.length) return 0;
    out[to] = length;
    for (let i = 1; i <= length; i += 1) out[to + i] = LOWER_CASE[bytes[at + i]]!;
    to += length + 1;
    at += length + 1;
    if (length === 0) return to - outOffset;
  }
}
