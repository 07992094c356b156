/**
 * The mappings that this thread passed on lately and until when they hold: an answer that brings nothing new costs a
 * probe here instead of a message to the control thread.
 *
 * Invariant: it may forget (the mapping is then passed on again), never invent: endpoint and address are compared
 * whole, the name by 64 bits of a hash that is seeded at random, so nobody can aim at another name. Bounded: a set of
 * WAYS entries takes the place of its earliest expiry.
 */
import type { Random } from '../base/seams.js';

/** Sets of a member that serves a node; a pair of tests makes do with fewer. */
const SETS = 16_384;
const WAYS = 4;
/** An entry, all zero when it is free: endpoint ID, two name hash words, four address words, the waiter, the expiry (f64). One that is found costs a cache line or two. */
const ENTRY_WORDS = 12;
const WAITER = 7;
const EXPIRY = 8;

/**
 * An answer that extends a mapping's life by less than a sixth of its TTL is not passed on; the extension is one second
 * at least and EXTENSION_MAX_MS at most. So the cache may know of an expiry up to that much earlier than the true one,
 * and whoever closes at expiry must wait that much longer (`COLLECT_GRACE_MS` of the cache).
 */
export const EXTENSION_MAX_MS = 30_000;
const EXTENSION_MIN_MS = 1000;
const EXTENSION_SHARE = 1 / 6;

const NOBODY = 0;

export class RecentMappings {
  private readonly sets: number;
  private readonly words: Uint32Array;
  /** The same memory. */
  private readonly doubles: Float64Array;
  private readonly seedA: number;
  private readonly seedB: number;
  private nameA = 0;
  private nameB = 0;

  /** `sets` of WAYS entries each. */
  constructor(random: Random, sets = SETS) {
    this.sets = sets;
    this.words = new Uint32Array(sets * WAYS * ENTRY_WORDS);
    this.doubles = new Float64Array(this.words.buffer);
    this.seedA = random.int(0x1_0000_0000) | 1;
    this.seedB = random.int(0x1_0000_0000) | 1;
  }

  /** Chooses the name that the following calls are about: wire form at `offset`, `length` bytes. */
  setName(bytes: Uint8Array, offset: number, length: number): void {
    let a = this.seedA;
    let b = this.seedB;
    for (let i = offset; i < offset + length; i++) {
      const byte = bytes[i];
      const folded = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
      a = Math.imul(a ^ folded, 0x01000193);
      b = Math.imul(b ^ folded, 0x85ebca6b);
      b ^= b >>> 13;
    }
    this.nameA = a >>> 0;
    this.nameB = b >>> 0;
  }

  /**
   * True when the mapping, good for `lifeMs` until `expiryMs`, must be passed on. The address is four words at `at`. One that
   * is not open yet is news to every answer: each has to wait for it.
   */
  isNews(endpointId: number, words: Uint32Array, at: number, lifeMs: number, expiryMs: number): boolean {
    const entry = this.find(endpointId, words, at);
    if (entry < 0 || this.words[entry + WAITER] !== NOBODY) return true;
    const extensionMs = Math.min(EXTENSION_MAX_MS, Math.max(EXTENSION_MIN_MS, lifeMs * EXTENSION_SHARE));
    return expiryMs >= this.doubles[(entry + EXPIRY) >> 1] + extensionMs;
  }

  /** Notes that the mapping was passed on, and is open. Returns its entry, as `await` and `opened` take it. */
  note(endpointId: number, words: Uint32Array, at: number, expiryMs: number): number {
    let entry = this.find(endpointId, words, at);
    if (entry < 0) {
      entry = this.earliest(this.set(endpointId, words, at));
      this.words[entry] = endpointId;
      this.words[entry + 1] = this.nameA;
      this.words[entry + 2] = this.nameB;
      for (let i = 0; i < 4; i++) this.words[entry + 3 + i] = words[at + i];
    }
    this.doubles[(entry + EXPIRY) >> 1] = expiryMs;
    this.words[entry + WAITER] = NOBODY;
    return entry;
  }

  /** The entry's address is not open yet: the answer with this number waits for it. */
  await(entry: number, answer: number): void {
    this.words[entry + WAITER] = waiterOf(answer);
  }

  /** What the answer waited for is open; entries that others wait for by now are theirs to report. */
  opened(entries: readonly number[], answer: number): void {
    for (const entry of entries) if (this.words[entry + WAITER] === waiterOf(answer)) this.words[entry + WAITER] = NOBODY;
  }

  /** After a forced clean every answer is news again. */
  clear(): void {
    this.words.fill(0);
  }

  /** The entry of the set that makes room: index of its first word. */
  private earliest(first: number): number {
    let entry = first;
    for (let other = first + ENTRY_WORDS; other < first + WAYS * ENTRY_WORDS; other += ENTRY_WORDS) {
      if (this.doubles[(other + EXPIRY) >> 1] < this.doubles[(entry + EXPIRY) >> 1]) entry = other;
    }
    return entry;
  }

  /** Index of the set's first word. */
  private set(endpointId: number, words: Uint32Array, at: number): number {
    let hash = this.nameA ^ Math.imul(endpointId, 0x9e3779b1);
    for (let i = 0; i < 4; i++) {
      hash = Math.imul(hash ^ words[at + i], 0xc2b2ae35);
      hash ^= hash >>> 15;
    }
    // The last byte of an address is in the highest bits: these must come down to those that choose the set.
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    return (((hash ^ (hash >>> 13)) >>> 0) % this.sets) * WAYS * ENTRY_WORDS;
  }

  /** Index of the entry's first word; -1 where there is none. */
  private find(endpointId: number, words: Uint32Array, at: number): number {
    const own = this.words;
    const first = this.set(endpointId, words, at);
    for (let entry = first; entry < first + WAYS * ENTRY_WORDS; entry += ENTRY_WORDS) {
      if (
        own[entry] === endpointId &&
        own[entry + 1] === this.nameA &&
        own[entry + 2] === this.nameB &&
        own[entry + 3] === words[at] &&
        own[entry + 4] === words[at + 1] &&
        own[entry + 5] === words[at + 2] &&
        own[entry + 6] === words[at + 3]
      ) {
        return entry;
      }
    }
    return -1;
  }
}

/** An answer's number in 32 bits, never NOBODY. */
function waiterOf(answer: number): number {
  return (answer % 0xffff_ffff) + 1;
}
