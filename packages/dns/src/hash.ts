/**
 * Hashes of names, one per suffix, from one pass over the bytes from the last backwards.
 *
 * Invariant: equal names up to ASCII letter case (RFC 4343) have equal hashes, on every machine and in every release that
 * shares a table; the scanner and the policy tables use this one function.
 * Does not know: seeds. An attacker can search for collisions, so a table compares the bytes and bounds its probes.
 */

/** Hash of the root name, where every chain of `hashLabel` begins. */
export const ROOT_HASH = 0x2545f491;

/** Odd, with multiples far from 0, so that no two short inputs meet before the final mix (2^32 / golden ratio). */
const BYTE_MULTIPLIER = 0x9e3779b1;
const MIX_MULTIPLIER_1 = 0x85ebca6b;
const MIX_MULTIPLIER_2 = 0xc2b2ae35;

/**
 * Maps each byte to its lower-case form; only A–Z change (RFC 4343 §3). Length bytes (≤ 63) lie below 'A' and stay.
 */
export const LOWER_CASE: Uint8Array = new Uint8Array(256);
/** Maps each byte to itself: where a caller wants exact letter case from code that folds by table. */
export const SAME_CASE: Uint8Array = new Uint8Array(256);
for (let byte = 0; byte < 256; byte += 1) {
  SAME_CASE[byte] = byte;
  LOWER_CASE[byte] = byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
}

/** As `hashLabel`, but signed: no unsigned number above 2^31 that would have to live on the heap. */
export function mixLabel(previousHash: number, bytes: Uint8Array, labelOffset: number): number {
  let hash = previousHash | 0;
  for (let at = labelOffset + bytes[labelOffset]; at >= labelOffset; at -= 1) {
    hash = Math.imul(hash ^ LOWER_CASE[bytes[at]], BYTE_MULTIPLIER);
  }
  hash = Math.imul(hash ^ (hash >>> 16), MIX_MULTIPLIER_1);
  hash = Math.imul(hash ^ (hash >>> 13), MIX_MULTIPLIER_2);
  return hash ^ (hash >>> 16);
}

/**
 * Hash of the name that has the label at `labelOffset` (absolute, of its length byte) before the name hashed in
 * `previousHash` (`ROOT_HASH` for the last label). Case-folded, 32 bits, unsigned. The label must lie in the array.
 */
export function hashLabel(previousHash: number, bytes: Uint8Array, labelOffset: number): number {
  return mixLabel(previousHash, bytes, labelOffset) >>> 0;
}
