/**
 * A seeded source of choices and of damaged packets, for tests that need a million of them.
 *
 * Invariant: the same seed gives the same packets, so a failure names the seed and can be had again.
 * Does not know: what the packets mean.
 */

/** Small, fast generator (xorshift32): not for secrets. */
export class Dice {
  private state: number;

  constructor(seed: number) {
    this.state = seed | 1;
  }

  /** An integer from 0 to `below` − 1. */
  below(below: number): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return (this.state >>> 0) % below;
  }
}

/** Bytes that tend to hurt: label lengths at their limits, pointers, types and counts. */
const SPITEFUL = [0x00, 0x01, 0x0c, 0x29, 0x3f, 0x40, 0x41, 0x5a, 0x7f, 0x80, 0xbf, 0xc0, 0xff];

/**
 * Copies one of `seeds` into `out` at `at`, damaged: bits flipped, bytes replaced, cut off, spliced with another, pointers
 * written over it. Returns its length, at most `capacity`.
 */
export function damagedPacket(dice: Dice, seeds: readonly Uint8Array[], out: Uint8Array, at: number, capacity: number): number {
  const seed = seeds[dice.below(seeds.length)];
  let length = Math.min(seed.length, capacity);
  for (let i = 0; i < length; i += 1) out[at + i] = seed[i];
  for (let change = dice.below(6); change > 0; change -= 1) {
    if (length === 0) return 0;
    const place = dice.below(length);
    switch (dice.below(8)) {
      case 0:
      case 1:
        out[at + place] ^= 1 << dice.below(8);
        break;
      case 2:
        out[at + place] = dice.below(256);
        break;
      case 3:
        out[at + place] = SPITEFUL[dice.below(SPITEFUL.length)];
        break;
      case 4:
        // A pointer anywhere, to anywhere near: loops, forward jumps, into headers.
        out[at + place] = 0xc0 | (dice.below(16) === 0 ? dice.below(64) : 0);
        if (place + 1 < length) out[at + place + 1] = dice.below(Math.min(length + 2, 256));
        break;
      case 5:
        length = place;
        break;
      case 6: {
        const other = seeds[dice.below(seeds.length)];
        const from = dice.below(other.length);
        const count = Math.min(other.length - from, capacity - place);
        for (let i = 0; i < count; i += 1) out[at + place + i] = other[from + i];
        length = place + count;
        break;
      }
      default:
        // Counts are worth a visit of their own.
        if (length >= 12) out[at + 4 + dice.below(8)] = dice.below(4);
    }
  }
  return length;
}
