/**
 * The FQDN cache: which address was learned for which name by which endpoint, and until when that holds.
 *
 * Invariant: merging is a join (commutative, associative, idempotent), so members that saw the same mappings and
 * cleans, in any order and any number of times, hold the same cache. See README.md beside this file.
 * It does not know where mappings come from or go to, nor what time it is.
 */
import type { MonoMs } from '../base/seams.js';
import { EXTENSION_MAX_MS } from '../query/recent-mappings.js';

/** One address of one name, as one endpoint learned it. */
export interface Mapping {
  /** Pod UID: a pod that inherits an address inherits no mapping. */
  readonly endpointUid: string;
  /** Presentation form, lower case, trailing dot. */
  readonly name: string;
  /** Canonical presentation form (RFC 5952 for IPv6). */
  readonly address: string;
  readonly lookupMs: MonoMs;
  /** As the answer said it, or the minimum TTL where that is larger. */
  readonly ttlSeconds: number;
  readonly expiryMs: MonoMs;
}

/** A forced clean: beats every mapping that it matches and that was looked up at or before its time. */
export interface Clean {
  /** matchPattern; null means every name. */
  readonly matchPattern: string | null;
  readonly atMs: MonoMs;
}

export interface FqdnCacheOptions {
  /** Addresses per endpoint and name at most (`--tofqdns-endpoint-max-ip-per-hostname`). */
  readonly maxAddressesPerName: number;
  /** Compiles a matchPattern to a test on names in presentation form. */
  readonly matcher: (matchPattern: string) => (name: string) => boolean;
}

/** The true expiry may be this much later than the one that was passed on. */
const COLLECT_GRACE_MS = EXTENSION_MAX_MS;

interface KeptClean {
  readonly clean: Clean;
  readonly matches: (name: string) => boolean;
}

/** Later look-ups with ever earlier expiries that are kept per key; a further one is not learned until others expire. */
const KNOWN_MAX = 8;

/** Cleans remembered; beyond that the oldest is forgotten, which only matters to a member that was away since. */
const CLEANS_MAX = 256;

export class FqdnCache {
  private readonly options: FqdnCacheOptions;
  /**
   * Endpoint UID → name → what is known of the name's addresses, in no order. Of one address there is nearly always one
   * mapping; there are more where a later look-up expires earlier, see README.md.
   */
  private readonly endpoints = new Map<string, Map<string, Mapping[]>>();
  private readonly cleans: KeptClean[] = [];
  private count = 0;

  constructor(options: FqdnCacheOptions) {
    this.options = options;
  }

  /** Mappings held, expired ones that await collection included. */
  get size(): number {
    return this.count;
  }

  /** Joins a mapping in; true when the cache now says something new. */
  merge(mapping: Mapping): boolean {
    if (this.cleans.some(({ clean, matches }) => mapping.lookupMs <= clean.atMs && matches(mapping.name))) return false;
    const list = this.listOf(mapping.endpointUid, mapping.name);
    let same = 0;
    let dominated = 0;
    let lastAt = -1;
    for (let i = 0; i < list.length; i++) {
      if (list[i].address !== mapping.address) continue;
      if (dominates(list[i], mapping)) return false;
      if (dominates(mapping, list[i])) dominated++;
      same++;
      lastAt = i;
    }
    if (same === 1 && dominated === 1) list[lastAt] = mapping;
    else if (same === 0) return this.insert(list, mapping);
    else if (same - dominated >= KNOWN_MAX) return false;
    else replaceDominated(list, mapping);
    return true;
  }

  /** Applies a forced clean; returns how many mappings it removed. */
  clean(clean: Clean): number {
    if (this.cleans.some((kept) => kept.clean.matchPattern === clean.matchPattern && kept.clean.atMs >= clean.atMs)) {
      return 0;
    }
    const matches = clean.matchPattern === null ? () => true : this.options.matcher(clean.matchPattern);
    this.cleans.push({ clean, matches });
    if (this.cleans.length > CLEANS_MAX) this.cleans.shift();
    return this.removeWhere((mapping) => mapping.lookupMs <= clean.atMs && matches(mapping.name));
  }

  /** The cleans still remembered, oldest first. */
  pastCleans(): readonly Clean[] {
    return this.cleans.map(({ clean }) => clean);
  }

  /** Removes what has expired; until then an expired mapping stays visible, as in Cilium. Returns how many. */
  collect(nowMs: MonoMs): number {
    return this.removeWhere((mapping) => mapping.expiryMs + COLLECT_GRACE_MS <= nowMs);
  }

  /** Removes what endpoints learned that are gone. Returns how many. */
  retainEndpoints(isPresent: (endpointUid: string) => boolean): number {
    return this.removeWhere((mapping) => !isPresent(mapping.endpointUid));
  }

  /** What holds now: one mapping per endpoint, name and address. */
  *mappings(): Generator<Mapping> {
    for (const list of this.lists()) yield* current(list);
  }

  /** Everything that a peer must be told to hold the same cache. */
  *everything(): Generator<Mapping> {
    for (const list of this.lists()) yield* list;
  }

  private *lists(): Generator<Mapping[]> {
    for (const names of this.endpoints.values()) yield* names.values();
  }

  private listOf(endpointUid: string, name: string): Mapping[] {
    let names = this.endpoints.get(endpointUid);
    if (names === undefined) this.endpoints.set(endpointUid, (names = new Map<string, Mapping[]>()));
    let list = names.get(name);
    if (list === undefined) names.set(name, (list = []));
    return list;
  }

  /** A mapping of an address that the name did not have; false if the limit takes it away again. */
  private insert(list: Mapping[], mapping: Mapping): boolean {
    list.push(mapping);
    this.count++;
    if (list.length <= this.options.maxAddressesPerName) return true;
    const holding = current(list);
    if (holding.length <= this.options.maxAddressesPerName) return true;
    const { address } = earliest(holding);
    const kept = list.filter((other) => other.address !== address);
    list.splice(0, list.length, ...kept);
    this.count--;
    return address !== mapping.address;
  }

  private removeWhere(condition: (mapping: Mapping) => boolean): number {
    const before = this.count;
    for (const [uid, names] of this.endpoints) {
      for (const [name, list] of names) {
        const kept = list.filter((mapping) => !condition(mapping));
        if (kept.length === list.length) continue;
        this.count -= current(list).length - current(kept).length;
        if (kept.length === 0) names.delete(name);
        else names.set(name, kept);
      }
      if (names.size === 0) this.endpoints.delete(uid);
    }
    return before - this.count;
  }
}

/** Of each address in the list the mapping with the latest expiry. */
function current(list: readonly Mapping[]): readonly Mapping[] {
  if (list.length < 2) return list;
  const byAddress = new Map<string, Mapping>();
  for (const mapping of list) {
    const other = byAddress.get(mapping.address);
    if (other === undefined || mapping.expiryMs > other.expiryMs) byAddress.set(mapping.address, mapping);
  }
  return byAddress.size === list.length ? list : [...byAddress.values()];
}

function replaceDominated(list: Mapping[], mapping: Mapping): void {
  const kept = list.filter((other) => other.address !== mapping.address || !dominates(mapping, other));
  list.splice(0, list.length, ...kept, mapping);
}

/** Equal times are told apart by the TTL, so that two different mappings never dominate each other both ways. */
function dominates(a: Mapping, b: Mapping): boolean {
  if (a.lookupMs === b.lookupMs && a.expiryMs === b.expiryMs) return a.ttlSeconds >= b.ttlSeconds;
  return a.lookupMs >= b.lookupMs && a.expiryMs >= b.expiryMs;
}

/** What the limit removes: the earliest expiry, then the least address in code unit order. */
function earliest(mappings: readonly Mapping[]): Mapping {
  return mappings.reduce((found, mapping) =>
    mapping.expiryMs < found.expiryMs || (mapping.expiryMs === found.expiryMs && mapping.address < found.address)
      ? mapping
      : found,
  );
}
