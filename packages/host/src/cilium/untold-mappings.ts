/**
 * What a Cilium agent is to be told: the FQDN cache once per connection, then each change of it, until it is acknowledged. Of endpoints that a
 * later policy state has and the one before had not, what the cache holds is told then.
 *
 * Invariant: while a connection lasts, what the cache learns is given out by `next` at least once, unless it ends before (counted), or the
 * agent refuses it (counted). Nothing is kept here but what is under way: what waits, waits in the cache and its log of changes, so
 * their bounds hold, a later look-up supersedes an earlier one, and all of it survives a restart. Where the log is overtaken, or more wait
 * for another try than there is room for, the cache is told once more. What comes in while it is told may be given out twice, which
 * the agent takes.
 * It does not know connections: whoever sends says what became of it.
 */
import type { ChangeLog, EndpointRecord, FqdnCache, Mapping } from '@tandem/core';

/** Changes looked at together; those of one answer lie side by side. */
const BATCH = 64;
/** Addresses of one message; Cilium keeps no more per name by default. */
const ADDRESSES_MAX = 1000;
/** An agent that refuses it so often will not take it; the next connection begins anew. */
const TRIES_MAX = 3;
const AGAIN_AFTER_MS = 1000;
/** Those that wait for another try. Of more the oldest goes: for good if the agent has refused it, else the cache is told once more. */
const AGAIN_MAX = 1024;

/** The cache has no number for an endpoint, and the change log none for who is told. */
type Log = Pick<ChangeLog, 'revision' | 'reader'>;
type Reader = NonNullable<ReturnType<ChangeLog['reader']>>;

/** Addresses of one name, as one endpoint learned them together. */
export interface Untold {
  readonly endpoint: EndpointRecord;
  readonly name: string;
  readonly addresses: readonly string[];
  readonly expiryMs: number;
  readonly tries: number;
}

/** Mappings, since the start. */
export interface UntoldCounts {
  told: number;
  acknowledged: number;
  /** They ended before the agent was there to be told. */
  expired: number;
  /** Their endpoint is not in the policy any more, or nobody's address is its own. */
  unknownEndpoint: number;
  refused: number;
}

export interface UntoldSource {
  readonly cache: FqdnCache;
  readonly log: Log;
  readonly endpointByUid: (uid: string) => EndpointRecord | null;
}

/** What of the cache is to be told: of these endpoints, or all. */
type Extent = ReadonlySet<string> | 'all';

interface Waiting {
  readonly untold: Untold;
  readonly atMs: number;
}

/** Nobody's incarnation: all is told, whoever taught it. */
const NOBODY = '';

export class UntoldMappings {
  readonly counts: UntoldCounts = { told: 0, acknowledged: 0, expired: 0, unknownEndpoint: 0, refused: 0 };
  private readonly source: UntoldSource;
  private reader: Reader;
  /** What the cache held when it began; null: it was all given out. */
  private pass: Iterator<Mapping> | null = null;
  /** Mappings that the pass has still to come to, at most. */
  private passLeft = 0;
  /** The pass after this one; null: none. */
  private passNext: Extent | null = null;
  /** UIDs of the endpoints of the last state that have an address. */
  private endpoints: ReadonlySet<string> = new Set();
  private ready: Untold[] = [];
  private again: Waiting[] = [];
  private underWay = 0;
  private isUp = false;

  constructor(source: UntoldSource) {
    this.source = source;
    this.reader = source.log.reader(source.log.revision, NOBODY)!;
  }

  /** Mappings that are not acknowledged; while nobody is there to be told, all. */
  get waiting(): number {
    if (!this.isUp) return this.source.cache.size;
    return this.reader.pending + this.passLeft + (this.passNext === null ? 0 : this.source.cache.size) + this.underWay + countOf(this.ready) + countOf(this.again.map(({ untold }) => untold));
  }

  /** A policy state of the agent is taken. The first of a connection: the cache is told from its beginning. */
  taken(endpoints: readonly EndpointRecord[], nowMs: number): void {
    const before = this.endpoints;
    this.endpoints = new Set(endpoints.filter(({ addresses }) => addresses.length > 0).map(({ uid }) => uid));
    if (!this.isUp) {
      this.isUp = true;
      this.skipChanges(nowMs);
      this.passOver('all');
      return;
    }
    const fresh = new Set([...this.endpoints].filter((uid) => !before.has(uid)));
    if (fresh.size > 0) this.passLater(fresh);
  }

  down(): void {
    this.isUp = false;
    this.pass = null;
    this.passLeft = 0;
    this.passNext = null;
    this.ready = [];
    this.again = [];
    this.underWay = 0;
  }

  /** What is to be told next, once; null: nothing for now. */
  next(nowMs: number): Untold | null {
    if (!this.isUp) return null;
    if (this.ready.length === 0) this.fill(nowMs);
    const untold = this.ready.shift() ?? this.dueAgain(nowMs);
    if (untold === null) return null;
    this.underWay += untold.addresses.length;
    this.counts.told += untold.addresses.length;
    return untold;
  }

  /** When `next` has something that waits for its time; Infinity: never. */
  get dueMs(): number {
    return this.again[0]?.atMs ?? Infinity;
  }

  acknowledged({ addresses }: Untold): void {
    this.underWay -= addresses.length;
    this.counts.acknowledged += addresses.length;
  }

  /** The agent says no: it may not know the endpoint yet. */
  refused(untold: Untold, nowMs: number): void {
    this.underWay -= untold.addresses.length;
    if (untold.tries + 1 >= TRIES_MAX) this.counts.refused += untold.addresses.length;
    else this.tellAgain({ ...untold, tries: untold.tries + 1 }, nowMs);
  }

  /** Nobody knows whether the agent has it. */
  unanswered(untold: Untold, nowMs: number): void {
    this.underWay -= untold.addresses.length;
    this.tellAgain(untold, nowMs);
  }

  private tellAgain(untold: Untold, nowMs: number): void {
    this.again.push({ untold, atMs: nowMs + AGAIN_AFTER_MS });
    if (this.again.length <= AGAIN_MAX) return;
    const { tries, addresses } = this.again.shift()!.untold;
    if (tries > 0) this.counts.refused += addresses.length;
    else this.passLater('all');
  }

  private dueAgain(nowMs: number): Untold | null {
    while (this.again.length > 0 && this.again[0].atMs <= nowMs) {
      const { untold } = this.again.shift()!;
      if (untold.expiryMs > nowMs) return untold;
      this.counts.expired += untold.addresses.length;
    }
    return null;
  }

  /** New changes first: whoever asked may be about to connect. */
  private fill(nowMs: number): void {
    if (this.reader.isLost) {
      this.renewReader();
      this.passOver('all');
    }
    while (this.reader.pending > 0 && this.ready.length === 0) {
      const pending = this.reader.pending;
      const { mappings, cleans } = this.reader.take(BATCH, BATCH);
      this.counts.expired += pending - this.reader.pending - mappings.length - cleans.length;
      this.group(mappings);
    }
    while (this.ready.length === 0 && (this.pass !== null || this.passNext !== null)) {
      if (this.pass === null) this.passOver(this.passNext!);
      this.group(this.fromPass(nowMs));
    }
  }

  /** The pass that follows has all that holds: of the changes only those count that are over. */
  private skipChanges(nowMs: number): void {
    while (this.reader.pending > 0 && !this.reader.isLost) {
      const pending = this.reader.pending;
      const { mappings, cleans } = this.reader.take(BATCH, BATCH);
      this.counts.expired += pending - this.reader.pending - mappings.length - cleans.length + mappings.filter(({ expiryMs }) => expiryMs <= nowMs).length;
    }
    if (this.reader.isLost) this.renewReader();
  }

  private renewReader(): void {
    this.reader.close();
    this.reader = this.source.log.reader(this.source.log.revision, NOBODY)!;
  }

  private passOver(extent: Extent): void {
    this.pass = extent === 'all' ? this.source.cache.mappings() : this.mappingsOf(extent);
    this.passLeft = this.source.cache.size;
    this.passNext = null;
  }

  /** When the present one is over; two that wait become one over all, so that one is all that is kept. */
  private passLater(extent: Extent): void {
    this.passNext = this.passNext === null ? extent : 'all';
  }

  /** Of each endpoint what it has when its turn comes. */
  private *mappingsOf(uids: ReadonlySet<string>): Generator<Mapping> {
    for (const uid of uids) yield* [...this.source.cache.mappingsOf(uid)];
  }

  private fromPass(nowMs: number): Mapping[] {
    const mappings: Mapping[] = [];
    while (this.pass !== null && mappings.length < BATCH) {
      const { done, value } = this.pass.next() as IteratorResult<Mapping, undefined>;
      if (done === true) {
        this.pass = null;
        this.passLeft = 0;
        break;
      }
      this.passLeft = Math.max(0, this.passLeft - 1);
      if (value.expiryMs > nowMs) mappings.push(value);
    }
    return mappings;
  }

  /** Neighbours of one endpoint, name and end make one message. */
  private group(mappings: readonly Mapping[]): void {
    let last: { readonly mapping: Mapping; readonly endpoint: EndpointRecord; readonly addresses: string[] } | null = null;
    for (const mapping of mappings) {
      const { endpointUid, name, address, expiryMs } = mapping;
      if (last !== null && last.mapping.endpointUid === endpointUid && last.mapping.name === name && last.mapping.expiryMs === expiryMs && last.addresses.length < ADDRESSES_MAX) {
        last.addresses.push(address);
        continue;
      }
      const endpoint = this.source.endpointByUid(endpointUid);
      if (endpoint === null || endpoint.addresses.length === 0) {
        this.counts.unknownEndpoint++;
        continue;
      }
      const addresses = [address];
      last = { mapping, endpoint, addresses };
      this.ready.push({ endpoint, name, addresses, expiryMs, tries: 0 });
    }
  }
}

function countOf(list: readonly Untold[]): number {
  return list.reduce((sum, { addresses }) => sum + addresses.length, 0);
}
