/**
 * One member's copy of what the pair knows: the FQDN cache, the changes to it by revision, and how far into the changes of
 * other members it has come. It lives as long as its process; links come and go (`exchange.ts`).
 *
 * Invariant: what goes into the cache through here, and is news, is in the log. What is news is told to every link but the
 * one that it came by, so it reaches members that are not linked to each other; and since merging is a join, what comes back
 * is no news, and stops.
 */
import type { FqdnCache } from '../fqdn/cache.js';
import { type Clean, type Mapping, targetOf } from '../fqdn/mapping.js';
import { ChangeLog } from './change-log.js';

/** Incarnations of other members remembered at most; the one that was heard longest ago goes first. */
export const SEEN_MAX = 16;

/** One entry of a revision vector. */
export interface SeenRevision {
  readonly incarnation: string;
  /** Every change of that incarnation up to this revision is in the cache. */
  readonly revision: number;
}

export class Replica {
  readonly cache: FqdnCache;
  /** Of this process: revisions begin anew with each. */
  readonly incarnation: string;
  readonly log: ChangeLog;
  private readonly seen = new Map<string, number>();

  constructor(cache: FqdnCache, incarnation: string, log = new ChangeLog(cache.table)) {
    this.cache = cache;
    this.incarnation = incarnation;
    this.log = log;
  }

  /** `from`: the incarnation that taught them; null for what this member learned itself. Returns those that were news. */
  merge(mappings: readonly Mapping[], from: string | null): Mapping[] {
    const news: Mapping[] = [];
    for (const mapping of mappings) {
      const row = this.cache.merge(mapping);
      if (row === null) continue;
      this.log.mapping(row, from);
      news.push(mapping);
    }
    return news;
  }

  /** Applies cleans; `from` as above. Returns those that were news, and how many mappings they removed. */
  clean(cleans: readonly Clean[], from: string | null): { readonly news: Clean[]; readonly removed: number } {
    const news: Clean[] = [];
    let removed = 0;
    if (cleans.length === 0) return { news, removed };
    const known = latestByTarget(this.cache.pastCleans());
    for (const clean of cleans) {
      const former = known.get(targetOf(clean));
      if (former !== undefined && former.atMs >= clean.atMs) continue;
      known.set(targetOf(clean), clean);
      removed += this.cache.clean(clean);
      this.log.clean(clean, from);
      news.push(clean);
    }
    return { news, removed };
  }

  /** The revision vector: how far into each other member's changes this one has come. */
  vector(): SeenRevision[] {
    return [...this.seen].map(([incarnation, revision]) => ({ incarnation, revision }));
  }

  /** Every change of that incarnation up to the revision is in the cache. */
  saw(incarnation: string, revision: number): void {
    const former = this.seen.get(incarnation) ?? 0;
    this.seen.delete(incarnation);
    this.seen.set(incarnation, Math.max(former, revision));
    for (const oldest of this.seen.keys()) {
      if (this.seen.size <= SEEN_MAX) break;
      this.seen.delete(oldest);
    }
  }
}

/** Of each target the latest clean. */
export function latestByTarget(cleans: readonly Clean[]): Map<string, Clean> {
  const latest = new Map<string, Clean>();
  for (const clean of cleans) {
    const former = latest.get(targetOf(clean));
    if (former === undefined || former.atMs < clean.atMs) latest.set(targetOf(clean), clean);
  }
  return latest;
}
