/**
 * What a member knows, in one number per bucket: two members compare these to find where they differ. A bucket is chosen by
 * endpoint and name; its digest is a sum over its mappings, times included, so that order does not matter. One more bucket
 * holds the cleans.
 *
 * Invariant: equal contents have equal digests under one salt. Unequal ones have equal digests with a probability of 2^-64;
 * who makes up names cannot aim at that, because the salt holds both members' random incarnations.
 * It works in slices: `step` does a bounded part, and the one who calls lets others go on between two.
 */
import type { Clean, FqdnCache } from '../fqdn/cache.js';
import type { MappingTable, Row } from '../fqdn/mapping-table.js';
import { latestByTarget } from './replica.js';

/** For mappings; a power of two. At 100,000 mappings a bucket has 24, so that one difference costs little to send. */
const MAPPING_BUCKETS = 4096;
/** The bucket of the cleans. */
export const CLEANS_BUCKET = MAPPING_BUCKETS;
export const BUCKETS = MAPPING_BUCKETS + 1;
/** 32-bit words of all digests: two per bucket. */
export const DIGEST_WORDS = 2 * BUCKETS;
/** Mappings digested in one step: about a millisecond. */
const MAPPINGS_PER_STEP = 2000;

const PRIME_A = 0x01000193;
const PRIME_B = 0x85ebca6b;

export class BucketDigest {
  /** Those that were come to: what is renewed meanwhile is renewed here, too; a row that left the cache may be another's by now. */
  readonly rows: Row[] = [];
  readonly cleans: readonly Clean[];
  /** Two words per bucket; complete once `isDone`. */
  readonly words = new Uint32Array(DIGEST_WORDS);
  private readonly table: MappingTable;
  private at: Row = 0;
  private readonly buckets: number[] = [];
  private readonly hash: Hash;
  private done = false;

  /**
   * Of what the cache holds when each part of it is come to: who changes meanwhile may be digested as it was or is, or twice,
   * and be found to differ for no reason. What does not change is digested once.
   */
  constructor(cache: Pick<FqdnCache, 'table' | 'pastCleans'>, salt: string) {
    this.table = cache.table;
    this.cleans = [...latestByTarget(cache.pastCleans()).values()];
    this.hash = new Hash(salt);
    for (const clean of this.cleans) {
      this.hash.begin();
      this.hash.text(clean.endpointUid ?? '');
      this.hash.text(clean.matchPattern ?? '');
      this.hash.number(clean.atMs);
      this.add(CLEANS_BUCKET);
    }
  }

  get isDone(): boolean {
    return this.done;
  }

  /** Digests some more. */
  step(): void {
    const { table } = this;
    for (let i = 0; i < MAPPINGS_PER_STEP; i++) {
      if (this.at >= table.highest) {
        this.done = true;
        return;
      }
      this.digest(++this.at);
    }
  }

  private digest(row: Row): void {
    const mapping = this.table.at(row);
    if (mapping === null) return;
    const { endpointUid, name, address, lookupMs, ttlSeconds, expiryMs } = mapping;
    this.hash.begin();
    this.hash.text(endpointUid);
    this.hash.text(name);
    const bucket = this.hash.a() & (MAPPING_BUCKETS - 1);
    this.rows.push(row);
    this.buckets.push(bucket);
    this.hash.text(address);
    this.hash.number(lookupMs);
    this.hash.number(ttlSeconds);
    this.hash.number(expiryMs);
    this.add(bucket);
  }

  /** The bucket of a mapping that was digested, by its place in `rows`. */
  bucketOf(index: number): number {
    return this.buckets[index];
  }

  /** Buckets in which another member's words differ from these. */
  differing(words: ArrayLike<number>): number[] {
    const buckets: number[] = [];
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const at = 2 * bucket;
      if (this.words[at] !== words[at] || this.words[at + 1] !== words[at + 1]) buckets.push(bucket);
    }
    return buckets;
  }

  private add(bucket: number): void {
    this.words[2 * bucket] += this.hash.a();
    this.words[2 * bucket + 1] += this.hash.b();
  }
}

/** Two 32-bit hashes of one run of texts and numbers. */
class Hash {
  private readonly doubles = new Float64Array(1);
  private readonly halves = new Uint32Array(this.doubles.buffer);
  private seedA = 0x811c9dc5;
  private seedB = 0x9e3779b1;
  private stateA = 0;
  private stateB = 0;

  constructor(salt: string) {
    this.begin();
    this.text(salt);
    this.seedA = this.a();
    this.seedB = this.b();
  }

  begin(): void {
    this.stateA = this.seedA;
    this.stateB = this.seedB;
  }

  text(text: string): void {
    let { stateA, stateB } = this;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      stateA = Math.imul(stateA ^ unit, PRIME_A);
      stateB = Math.imul(stateB ^ unit, PRIME_B);
      stateB ^= stateB >>> 13;
    }
    this.stateA = stateA;
    this.stateB = stateB;
    // So that `ab` + `c` is not `a` + `bc`.
    this.word(text.length);
  }

  number(value: number): void {
    this.doubles[0] = value;
    this.word(this.halves[0]);
    this.word(this.halves[1]);
  }

  a(): number {
    return finished(this.stateA);
  }

  b(): number {
    return finished(this.stateB);
  }

  private word(word: number): void {
    this.stateA = Math.imul(this.stateA ^ word, PRIME_A);
    this.stateA ^= this.stateA >>> 15;
    this.stateB = Math.imul(this.stateB ^ word, PRIME_B);
    this.stateB ^= this.stateB >>> 13;
  }
}

/** So that each bit of the state decides about each bit of the result. */
function finished(state: number): number {
  let hash = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
