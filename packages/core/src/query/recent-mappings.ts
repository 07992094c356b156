/**
 * The mappings that this thread passed on lately and until when they hold: an answer that brings nothing new costs a
 * probe here instead of a message to the control thread.
 *
 * Invariant: it may forget (the mapping is then passed on again), never mix up endpoints: their IDs are compared whole, name and
 * address by 64 bits of hashes that are seeded at random. Whoever could find two that collide would hide a mapping from itself.
 * Bounded: a set of WAYS entries takes the place of its earliest expiry.
 */
import type { Random } from '../base/seams.js';
import type { BatchClock } from './batch-clock.js';

/**
 * Sets of a member that serves a node, 4 MB; a pair of tests makes do with fewer. A mapping whose set is full is passed on again and again: of
 * 100,000 mappings asked for at random that is one answer in sixty with so many sets, and two in five with a quarter.
 */
const SETS = 65_536;
const WAYS = 4;
/** An entry, all zero when it is free: two hash words, the expiry's lower half (ms), and the endpoint's ID, PENDING and the upper half. */
const ENTRY_WORDS = 4;
const EXPIRY = 2;
const OWNER = 3;
const ENDPOINT_MASK = 0xffff;
/** The address is not open yet. */
const PENDING = 0x1_0000;
const UPPER_SHIFT = 17;
const UPPER = 2 ** 32;
/** A set is one cache line, if it begins with one. Large buffers begin 16 bytes behind a page's start where glibc allocates them. */
const LINE_WORDS = WAYS * ENTRY_WORDS;
const FIRST_WORD = 12;

/**
 * A mapping whose life is longer by now is passed on once in a sixth of its TTL, a second at least and EXTENSION_MAX_MS at most; this time is its
 * extension. So the cache may know of an expiry up to that much earlier than the true one, and whoever closes at expiry must wait that much longer
 * (`COLLECT_GRACE_MS` of the cache).
 */
export const EXTENSION_MAX_MS = 30_000;
const EXTENSION_MIN_MS = 1000;
const EXTENSION_PART = 6;
/**
 * Of each extension a mapping has its own moment to be passed on, one of so many, chosen by its hash. Else those that were learned or
 * asked for together, as after a start or a pause, would be passed on together ever after.
 */
const MOMENT_BITS = 8;

/** What an answer's mapping is. */
export const NEWS = {
  /** It was passed on lately, or holds no longer than was said. */
  none: 0,
  /** It was passed on before, is open and holds still: its expiry is put off. */
  renewal: 1,
  /** It was not passed on, holds no more, or is not open yet. */
  new: 2,
} as const;
export type News = (typeof NEWS)[keyof typeof NEWS];

export class RecentMappings {
  private readonly clock: BatchClock;
  private readonly sets: number;
  private readonly words: Uint32Array;
  /** By entry, where it is pending: the answer that waits. */
  private readonly waiters: Uint32Array;
  private readonly seedA: number;
  private readonly seedB: number;
  private nameA = 0;
  private nameB = 0;
  /** Of the last `find`. */
  private tagA = 0;
  private tagB = 0;
  private first = 0;

  /** `sets` of WAYS entries each. */
  constructor(random: Random, clock: BatchClock, sets = SETS) {
    this.clock = clock;
    this.sets = sets;
    this.words = new Uint32Array(FIRST_WORD + sets * LINE_WORDS);
    this.waiters = new Uint32Array(sets * WAYS);
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
   * What the mapping is, good for `lifeMs` (whole) from now on; all but NEWS.none must be passed on. The address is four words at `at`. One that
   * is not open yet is new to every answer: each has to wait for it.
   */
  newsOf(endpointId: number, words: Uint32Array, at: number, lifeMs: number): News {
    const entry = this.find(endpointId, words, at);
    if (entry < 0 || (this.words[entry + OWNER] & PENDING) !== 0) return NEWS.new;
    const { nowMs } = this.clock;
    const expiryMs = this.expiryMs(entry);
    const gainMs = nowMs + lifeMs - expiryMs;
    if (gainMs < EXTENSION_MIN_MS || gainMs <= this.sinceMoment(lifeMs)) return NEWS.none;
    return nowMs < expiryMs ? NEWS.renewal : NEWS.new;
  }

  /** Notes that the mapping was passed on, and is open. Returns its entry, as `await` and `opened` take it. */
  note(endpointId: number, words: Uint32Array, at: number, lifeMs: number): number {
    const expiryMs = this.clock.nowMs + lifeMs;
    let entry = this.find(endpointId, words, at);
    if (entry < 0) {
      entry = this.earliest(this.first);
      this.words[entry] = this.tagA;
      this.words[entry + 1] = this.tagB;
    }
    this.words[entry + EXPIRY] = expiryMs;
    this.words[entry + OWNER] = endpointId | (Math.floor(expiryMs / UPPER) << UPPER_SHIFT);
    return entry;
  }

  /** The entry's address is not open yet: the answer with this number waits for it. */
  await(entry: number, answer: number): void {
    this.words[entry + OWNER] |= PENDING;
    this.waiters[waiterOf(entry)] = answer;
  }

  /** What the answer waited for is open; entries that others wait for by now are theirs to report. */
  opened(entries: readonly number[], answer: number): void {
    for (const entry of entries) if (this.waiters[waiterOf(entry)] === answer >>> 0) this.words[entry + OWNER] &= ~PENDING;
  }

  /** The mapping is news again. */
  forget(endpointId: number, words: Uint32Array, at: number): void {
    const entry = this.find(endpointId, words, at);
    if (entry >= 0) this.words.fill(0, entry, entry + ENTRY_WORDS);
  }

  /** After a forced clean every answer is news again. */
  clear(): void {
    this.words.fill(0);
  }

  /** Milliseconds since the moment of the mapping that `find` looked for last; less than its extension. Whole numbers: a fraction would be an object. */
  private sinceMoment(lifeMs: number): number {
    const extensionMs = Math.min(EXTENSION_MAX_MS, Math.max(EXTENSION_MIN_MS, (lifeMs / EXTENSION_PART) | 0));
    const momentMs = (extensionMs * (Math.imul(this.tagB, 0x9e3779b1) >>> (32 - MOMENT_BITS))) >> MOMENT_BITS;
    const sinceMs = ((this.clock.nowMs >>> 0) % extensionMs) - momentMs;
    return sinceMs < 0 ? sinceMs + extensionMs : sinceMs;
  }

  /** The entry of the set that makes room: index of its first word. */
  private earliest(first: number): number {
    let entry = first;
    for (let other = first + ENTRY_WORDS; other < first + LINE_WORDS; other += ENTRY_WORDS) {
      if (this.expiryMs(other) < this.expiryMs(entry)) entry = other;
    }
    return entry;
  }

  /** Index of the entry's first word; -1 where there is none. Leaves the hash words and the set for `note`. */
  private find(endpointId: number, words: Uint32Array, at: number): number {
    let a = this.nameA ^ Math.imul(endpointId, 0x9e3779b1);
    let b = this.nameB ^ endpointId;
    for (let i = 0; i < 4; i++) {
      const word = words[at + i];
      a = Math.imul(a ^ word, 0xc2b2ae35);
      a ^= a >>> 15;
      b = Math.imul(b ^ word, 0x27d4eb2f);
      b ^= b >>> 13;
    }
    // The last byte of an address is in the highest bits: these must come down to those that choose the set.
    const set = Math.imul(a ^ (a >>> 16), 0x85ebca6b);
    const first = FIRST_WORD + (((set ^ (set >>> 13)) >>> 0) % this.sets) * LINE_WORDS;
    a >>>= 0;
    b >>>= 0;
    this.tagA = a;
    this.tagB = b;
    this.first = first;
    const own = this.words;
    for (let entry = first; entry < first + LINE_WORDS; entry += ENTRY_WORDS) {
      if (own[entry] === a && own[entry + 1] === b && (own[entry + OWNER] & ENDPOINT_MASK) === endpointId) return entry;
    }
    return -1;
  }

  /** Whole milliseconds. */
  private expiryMs(entry: number): number {
    return this.words[entry + EXPIRY] + (this.words[entry + OWNER] >>> UPPER_SHIFT) * UPPER;
  }
}

function waiterOf(entry: number): number {
  return (entry - FIRST_WORD) / ENTRY_WORDS;
}
