/**
 * What goes into a member's FQDN cache, and comes out of it again: what its data plane learns, what a file or a peer teaches,
 * forced cleans, and what time and policy take.
 *
 * Invariant: all that changes the cache goes to disk and, but for what expires, to peers. What a peer taught is acknowledged when it is
 * on disk, or the disk does not take it. It does not know links, nor how the data plane is told.
 */
import {
  type Clean, type EndpointRecord, type FqdnCache, type Log, type LostMapping, type Mapping, type MonoMs, monoMs, NODE_UID, type PassedOn, type Replica, type Settings,
} from '@tandem/core';
import { bootTimeMs } from 'node-reuseport';
import type { MappingRecord } from '../dataplane/index.js';
import { CacheStore } from '../state/cache-store.js';

/** Mappings of a file that are taken in one go: much less than the store has room for. */
const SLICE = 1000;

export interface MappingsOptions {
  readonly settings: Settings;
  readonly log: Log;
  readonly cache: FqdnCache;
  readonly replica: Replica;
  /** There may be something to send to a peer. */
  readonly onNews: () => void;
  /** These were learned here (and opened, where something opens), or came to be known otherwise. */
  readonly onKnown?: (mappings: readonly Mapping[], isLearned: boolean) => void;
  /** The cache may hold less than before, by force (`isCleaned`) or in the course of time. */
  readonly onShrunk?: (isCleaned: boolean) => void;
  /** The cache has these no more though they had not expired, or something was cleaned (null): what the data plane has passed on of it it is to pass on again. */
  readonly onGone: (mappings: readonly PassedOn[] | null) => void;
}

export class Mappings {
  /** What is in the cache, on disk. */
  readonly store: CacheStore;
  /** Mappings that collection removed, as expired or their pod gone. */
  collected = 0;
  private readonly options: MappingsOptions;
  /** Of the policy in force, by number; null before there is any. */
  private endpoints: ReadonlyMap<number, EndpointRecord> | null = null;
  /** Endpoints that have something in the cache, and were in no snapshot at the last collection. */
  private absent: ReadonlySet<string> = new Set();

  constructor(options: MappingsOptions) {
    const { settings: { stateDir, role }, cache, log } = options;
    this.options = options;
    this.store = new CacheStore({ cache, stateDir, role, log });
  }

  /** Brings back what was learned before the last end. Call it before anything is answered. */
  restore(): void {
    this.store.restore();
  }

  /** Whose numbers the data plane speaks of, and which pods there are. */
  setEndpoints(endpoints: readonly EndpointRecord[]): void {
    this.endpoints = new Map(endpoints.map((endpoint) => [endpoint.id, endpoint]));
  }

  /** What the data plane has learned. */
  learned(records: readonly MappingRecord[]): void {
    const mappings: Mapping[] = [];
    for (const record of records) {
      const endpoint = this.endpoints?.get(record.endpointId);
      if (endpoint === undefined) continue;
      const ttlSeconds = Math.max(record.ttlSeconds, this.options.settings.minTtlSeconds);
      mappings.push({
        endpointUid: endpoint.uid,
        name: record.name,
        address: record.address,
        lookupMs: record.lookupMs,
        ttlSeconds,
        expiryMs: monoMs(record.lookupMs + ttlSeconds * 1000),
      });
    }
    this.teach(mappings, true);
  }

  /** What came to be known here, by the data plane (`isLearned`) or from a file. Returns what is news. */
  teach(mappings: readonly Mapping[], isLearned = false): readonly Mapping[] {
    const news = this.options.replica.merge(mappings, null);
    this.options.onKnown?.(mappings, isLearned);
    for (const mapping of news) this.store.put(mapping);
    this.options.onNews();
    return news;
  }

  /** The same of a file, which may have more than what can wait for the disk at a time. */
  async teachFile(mappings: readonly Mapping[]): Promise<readonly Mapping[]> {
    const news: Mapping[] = [];
    for (let at = 0; at < mappings.length; at += SLICE) {
      for (const mapping of this.teach(mappings.slice(at, at + SLICE))) news.push(mapping);
      await this.store.room();
    }
    return news;
  }

  /**
   * Mappings from the peer of that incarnation; merging is a join, so repeats are harmless. Resolves when they may be
   * acknowledged, and with them the cleans that were applied before: all of it is on disk, or the disk does not take it.
   */
  merge(mappings: readonly Mapping[], from: string | null = null): Promise<void> {
    const news = this.options.replica.merge(mappings, from);
    if (news.length > 0) this.options.onKnown?.(news, false);
    for (const mapping of news) this.store.put(mapping);
    // Another peer is taught what is new, too.
    if (news.length > 0) this.options.onNews();
    // Also for what was known: it may have come a moment ago.
    return this.store.durable();
  }

  /** A forced clean made here. Returns how many mappings went. */
  clean(matchPattern: string | null): number {
    return this.applyCleans([{ matchPattern, endpointUid: null, atMs: monoMs(bootTimeMs()) }]);
  }

  /** Cleans from here, or from the peer of that incarnation. Returns how many mappings went. */
  applyCleans(cleans: readonly Clean[], from: string | null = null): number {
    const { news, removed } = this.options.replica.clean(cleans, from);
    for (const clean of news) this.store.putClean(clean);
    if (news.length > 0) {
      this.options.onShrunk?.(true);
      this.options.onGone(null);
      this.options.onNews();
    }
    return removed;
  }

  /** Collects the cache, and has it forget pods that are gone. */
  collect(nowMs: MonoMs): void {
    const { cache, settings } = this.options;
    this.collected += cache.collect(nowMs);
    this.options.onShrunk?.(false);
    const lost = cache.takeLost();
    if (lost === null || lost.length > 0) this.options.onGone(lost === null ? null : this.passedOn(lost));
    // The member with the source of policy says who is gone: the other's snapshot may be older than a mapping that comes.
    if (this.endpoints === null || (settings.role !== 'agent' && settings.ciliumAgent === null)) return;
    const present = new Set([...this.endpoints.values()].map(({ uid }) => uid));
    const absent = [...cache.endpointUids()].filter((uid) => uid !== NODE_UID && !present.has(uid));
    // Absent once may be a manifest that is just being replaced, or a pod that the source has yet to tell of.
    const gone = absent.filter((uid) => this.absent.has(uid));
    this.absent = new Set(absent);
    // What they learned goes, here and at the peer, and does not come back from a peer that was away.
    this.collected += this.applyCleans(gone.map((endpointUid) => ({ matchPattern: null, endpointUid, atMs: nowMs })));
  }

  private passedOn(lost: readonly LostMapping[]): PassedOn[] {
    const ids = new Map([...(this.endpoints?.values() ?? [])].map(({ uid, id }) => [uid, id]));
    return lost.flatMap(({ endpointUid, name, address }) => {
      const endpointId = ids.get(endpointUid);
      return endpointId === undefined ? [] : [{ endpointId, name, address }];
    });
  }
}
