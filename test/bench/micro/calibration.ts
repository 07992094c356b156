/**
 * The fixed loop that all micro-benchmarks are measured against: hashing of bytes, and probes of a table of integers that is larger than the
 * first-level cache. What a machine is slower at, this is slower at, too. Never change it: every baseline is a ratio to it.
 */
const BYTES = 4096;
const TABLE_WORDS = 1 << 15;
const FNV_PRIME = 0x01000193;
const FNV_START = 0x811c9dc5;

const bytes = Uint8Array.from({ length: BYTES }, (_, i) => (i * 197 + 13) & 255);
const table = new Uint32Array(TABLE_WORDS);

/** `count` steps, one byte hashed and one word of the table changed each. */
export function calibrate(count: number): number {
  let hash = FNV_START;
  for (let i = 0; i < count; i++) {
    hash = Math.imul(hash ^ bytes[i & (BYTES - 1)], FNV_PRIME) >>> 0;
    const at = hash & (TABLE_WORDS - 1);
    table[at] = (table[at] + hash) >>> 0;
  }
  return hash;
}
