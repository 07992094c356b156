/**
 * Teaching a peer of which nothing is known, or that is too far behind: digests of all that is known here, and then only
 * the buckets that the peer has otherwise. What changes meanwhile goes by the change log.
 *
 * Invariant: what was in the cache when the pass began and still is, is sent or equal at the peer when the pass is done.
 */
import type { MappingTable } from '../fqdn/mapping-table.js';
import { BUCKETS, BucketDigest, CLEANS_BUCKET } from './bucket-digest.js';
import type { Batch } from './change-reader.js';
import type { DigestsMessage } from './exchange-messages.js';
import type { Replica } from './replica.js';

export class OutgoingPass {
  readonly number: number;
  private readonly table: MappingTable;
  private readonly digest: BucketDigest;
  /** What there is to digest, as far as is known when it begins. */
  private readonly atLeast: number;
  private state: 'digesting' | 'asking' | 'asked' | 'sending' = 'digesting';
  private readonly isWanted = new Uint8Array(BUCKETS);
  private mappingAt = 0;
  private cleanAt = 0;
  private wantedLeft = 0;

  constructor(replica: Replica, salt: string, number: number) {
    this.number = number;
    this.table = replica.cache.table;
    this.digest = new BucketDigest(replica.cache, salt);
    this.atLeast = replica.cache.size;
  }

  get isWorking(): boolean {
    return this.state === 'digesting';
  }

  get isAsking(): boolean {
    return this.state === 'asked';
  }

  get isSending(): boolean {
    return this.state === 'sending';
  }

  get isDone(): boolean {
    return this.state === 'sending' && this.wantedLeft === 0;
  }

  /** Mappings and cleans that the peer may lack. */
  get left(): number {
    if (this.state === 'sending') return this.wantedLeft;
    return Math.max(this.atLeast, this.digest.rows.length) + this.digest.cleans.length;
  }

  work(): void {
    this.digest.step();
    if (!this.digest.isDone) return;
    // Who knows nothing has nothing to ask.
    this.state = this.digest.rows.length + this.digest.cleans.length === 0 ? 'sending' : 'asking';
  }

  /** The question, once. */
  question(): DigestsMessage | null {
    if (this.state !== 'asking') return null;
    this.state = 'asked';
    return { kind: 'digests', pass: this.number, words: this.digest.words };
  }

  /** The peer's answer. */
  wanted(buckets: readonly number[]): void {
    for (const bucket of buckets) this.isWanted[bucket] = 1;
    this.state = 'sending';
    this.wantedLeft = this.isWanted[CLEANS_BUCKET] === 1 ? this.digest.cleans.length : 0;
    for (let i = 0; i < this.digest.rows.length; i++) this.wantedLeft += this.isWanted[this.digest.bucketOf(i)];
  }

  /** The next part: at most so many, of which at most so many cleans. */
  take(max: number, cleansMax: number): Batch {
    const { rows, cleans } = this.digest;
    const batch: Batch = { mappings: [], cleans: [] };
    if (this.isWanted[CLEANS_BUCKET] === 1) {
      batch.cleans.push(...cleans.slice(this.cleanAt, this.cleanAt + Math.min(max, cleansMax)));
      this.cleanAt += batch.cleans.length;
    }
    const room = max - batch.cleans.length;
    this.wantedLeft -= batch.cleans.length;
    while (batch.mappings.length < room && this.mappingAt < rows.length) {
      const index = this.mappingAt++;
      if (this.isWanted[this.digest.bucketOf(index)] !== 1) continue;
      this.wantedLeft--;
      // A mapping that came into the row of one that has left is superfluous to the peer at worst.
      const mapping = this.table.at(rows[index]);
      if (mapping !== null) batch.mappings.push(mapping);
    }
    return batch;
  }
}
