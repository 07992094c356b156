/**
 * How much a label can carry: its length times the Shannon entropy of its bytes, in bits. Words stay below 40 or so; data in
 * base32 or base64, as tunnels have it, fills a label with 200 and more.
 *
 * With n of L bytes alike, length × entropy is L·log2(L) − Σ n·log2(n): a sum over a table, without a division. Letters count
 * alike in either case (RFC 4343): resolvers mix it at random, which says nothing.
 *
 * Allocates nothing. Does not know: what the limit is, or what happens at it.
 */
import { LOWER_CASE, MAX_LABEL_BYTES, type QueryView } from '@tandem/dns';

const FRACTION_BITS = 52;
/** n·log2(n); 0 for 0. */
const TIMES_LOG2 = Float64Array.from({ length: MAX_LABEL_BYTES + 1 }, (_, n) => (n === 0 ? 0 : n * log2(n)));
/** Sums of the table are off by less: a label that has just as many bits as allowed must pass, in whatever order it is summed. */
const ROUNDING_BITS = 1e-9;

/** How often each byte was seen; all zero between calls. */
const counts = new Uint8Array(256);

/** Bits of the label whose `length` bytes begin at `start`. */
export function labelEntropyBits(bytes: Uint8Array, start: number, length: number): number {
  const end = start + length;
  let bits = TIMES_LOG2[length];
  for (let at = start; at < end; at++) counts[LOWER_CASE[bytes[at]]]++;
  for (let at = start; at < end; at++) {
    const byte = LOWER_CASE[bytes[at]];
    bits -= TIMES_LOG2[counts[byte]];
    counts[byte] = 0;
  }
  return bits;
}

/** Whether some label of the name has more bits than that. */
export function hasLabelAbove(bytes: Uint8Array, view: QueryView, limitBits: number): boolean {
  for (let label = 0; label < view.labelCount; label++) {
    const at = view.nameStart + view.labelOffsets[label];
    // So many bits if all its bytes differ: most labels need no closer look.
    if (TIMES_LOG2[bytes[at]] <= limitBits) continue;
    if (labelEntropyBits(bytes, at + 1, bytes[at]) > limitBits + ROUNDING_BITS) return true;
  }
  return false;
}

/**
 * Of 1 and above, from multiplications alone: `Math.log2` may differ between two versions of Node, and so would verdicts. Squaring
 * doubles the logarithm, which brings its next binary digit before the point.
 */
function log2(value: number): number {
  let rest = value;
  let result = 0;
  for (; rest >= 2; rest /= 2) result++;
  for (let digit = 0.5, left = FRACTION_BITS; left > 0; digit /= 2, left--) {
    rest *= rest;
    if (rest < 2) continue;
    rest /= 2;
    result += digit;
  }
  return result;
}
