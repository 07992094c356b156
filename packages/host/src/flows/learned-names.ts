/**
 * The names by which a pod learned an address: the FQDN cache the other way round, for the pods that packets come from.
 *
 * Invariant: at most a share of this thread's time goes into it, however fast the cache changes and packets come: what is newer than
 * the last look is then missed. At most PODS_MAX pods are kept.
 */
import { LRUCache } from 'lru-cache';
import type { Mapping } from '@tandem/core';

const PODS_MAX = 256;
/** A pod's names are looked through again no sooner than after so many times what that took. */
const REST_FACTOR = 20;
const NAMES_MAX = 16;
const NONE: readonly string[] = [];

/** What is known of pods, by name; `revision` grows with each change. */
export interface NameSource {
  readonly revision: number;
  ofEndpoint(uid: string): Iterable<Mapping>;
}

interface Known {
  readonly revision: number;
  readonly names: ReadonlyMap<string, readonly string[]>;
  readonly againAtMs: number;
}

export class LearnedNames {
  private readonly source: NameSource;
  private readonly nowMs: () => number;
  private readonly known = new LRUCache<string, Known>({ max: PODS_MAX });

  constructor(source: NameSource, nowMs: () => number) {
    this.source = source;
    this.nowMs = nowMs;
  }

  /** Without their final dots, in the order in which they were learned; `address` is canonical. */
  namesOf(uid: string, address: string): readonly string[] {
    const known = this.known.get(uid);
    const names = known?.names.get(address);
    if (names !== undefined) return names;
    if (known !== undefined && (known.revision === this.source.revision || this.nowMs() < known.againAtMs)) return NONE;
    return this.look(uid).get(address) ?? NONE;
  }

  private look(uid: string): ReadonlyMap<string, readonly string[]> {
    const { revision } = this.source;
    const startedMs = this.nowMs();
    const names = new Map<string, string[]>();
    for (const { name, address } of this.source.ofEndpoint(uid)) {
      const known = names.get(address);
      const text = name.replace(/\.$/, '');
      if (known === undefined) names.set(address, [text]);
      else if (known.length < NAMES_MAX && !known.includes(text)) known.push(text);
    }
    const nowMs = this.nowMs();
    this.known.set(uid, { revision, names, againAtMs: nowMs + (nowMs - startedMs) * REST_FACTOR });
    return names;
  }
}
