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
  /** Only what this endpoint learned: a pod that is gone. Null means every endpoint. */
  readonly endpointUid: string | null;
  readonly atMs: MonoMs;
}

export interface FqdnCacheOptions {
  /** Addresses per endpoint and name at most (`--tofqdns-endpoint-max-ip-per-hostname`). */
  readonly maxAddressesPerName: number;
  /** Compiles a matchPattern to a test on names in presentation form. */
  readonly matcher: (matchPattern: string) => (name: string) => boolean;
}

/** The cache's own copy of a mapping. What is looked up again and again is renewed in place: no garbage, no new strings. */
type Held = { -readonly [Field in keyof Mapping]: Mapping[Field] };

interface Names {
  readonly byName: Map<string, Held[]>;
  /** Addresses over all names. */
  count: number;
}

/** The true expiry may be this much later than the one that was passed on. */
const COLLECT_GRACE_MS = EXTENSION_MAX_MS;

interface KeptClean {
  readonly clean: Clean;
  readonly matches: (mapping: Mapping) => boolean;
}

/** Mappings kept per address at most: the latest expiry always, of the others the latest look-ups. */
const KNOWN_MAX = 8;

/**
 * Mappings per endpoint at most. A pod can make up names without end; what it then loses is its own, an eighth at a time,
 * the earliest expiries first. A member that merged in another order may lose others: this is a defence, not a rule.
 */
export const MAPPINGS_PER_ENDPOINT_MAX = 32_768;
const EVICTED_SHARE = 8;

/** Cleans remembered; beyond that the oldest is forgotten, which only matters to a member that was away since. */
const CLEANS_MAX = 256;

export class FqdnCache {
  private readonly options: FqdnCacheOptions;
  /**
   * Endpoint UID → name → what is known of the name's addresses, in no order. Of one address there is nearly always one
   * mapping; there are more where a later look-up expires earlier, see README.md.
   */
  private readonly endpoints = new Map<string, Names>();
  private readonly cleans: KeptClean[] = [];
  private count = 0;
  private evicted = 0;

  constructor(options: FqdnCacheOptions) {
    this.options = options;
  }

  /** Mappings held, expired ones that await collection included. */
  get size(): number {
    return this.count;
  }

  /** Joins a mapping in; true when the cache now says something new. */
  merge(mapping: Mapping): boolean {
    if (this.cleans.some(({ clean, matches }) => mapping.lookupMs <= clean.atMs && matches(mapping))) return false;
    const names = this.namesOf(mapping.endpointUid);
    const list = listOf(names, mapping.name);
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
    if (same === 0) return this.insert(names, list, mapping);
    if (same === 1 && dominated === 1) renew(list[lastAt], mapping);
    else replaceDominated(list, { ...mapping });
    return true;
  }

  /** Applies a forced clean; returns how many mappings it removed. */
  clean(clean: Clean): number {
    if (this.cleans.some((kept) => isSameTarget(kept.clean, clean) && kept.clean.atMs >= clean.atMs)) return 0;
    const { endpointUid } = clean;
    const matchesName = clean.matchPattern === null ? () => true : this.options.matcher(clean.matchPattern);
    const matches = (mapping: Mapping): boolean =>
      (endpointUid === null || mapping.endpointUid === endpointUid) && matchesName(mapping.name);
    this.cleans.push({ clean, matches });
    if (this.cleans.length > CLEANS_MAX) this.cleans.shift();
    return this.removeWhere((mapping) => mapping.lookupMs <= clean.atMs && matches(mapping));
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

  /** What holds now: one mapping per endpoint, name and address. The objects are the cache's own and may change later. */
  *mappings(): Generator<Mapping> {
    for (const list of this.lists()) yield* current(list);
  }

  /** Everything that a peer must be told to hold the same cache. The objects are the cache's own and may change later. */
  *everything(): Generator<Mapping> {
    for (const list of this.lists()) yield* list;
  }

  /** Mappings that MAPPINGS_PER_ENDPOINT_MAX took. */
  get evictedCount(): number {
    return this.evicted;
  }

  private *lists(): Generator<Held[]> {
    for (const { byName } of this.endpoints.values()) yield* byName.values();
  }

  private namesOf(endpointUid: string): Names {
    let names = this.endpoints.get(endpointUid);
    if (names === undefined) this.endpoints.set(endpointUid, (names = { byName: new Map<string, Mapping[]>(), count: 0 }));
    return names;
  }

  /** A mapping of an address that the name did not have; false if a limit takes it away again. */
  private insert(names: Names, list: Held[], mapping: Mapping): boolean {
    list.push({ ...mapping });
    this.add(names, 1);
    if (list.length > this.options.maxAddressesPerName) {
      const holding = current(list);
      if (holding.length > this.options.maxAddressesPerName) {
        const { address } = earliest(holding);
        list.splice(0, list.length, ...list.filter((other) => other.address !== address));
        this.add(names, -1);
        return address !== mapping.address;
      }
    }
    if (names.count > MAPPINGS_PER_ENDPOINT_MAX) this.evict(names);
    return true;
  }

  private evict(names: Names): void {
    const all = [...names.byName.values()].flat();
    all.sort((a, b) => a.expiryMs - b.expiryMs || compare(a.name, b.name) || compare(a.address, b.address));
    const evicted = new Set(all.slice(0, Math.ceil(all.length / EVICTED_SHARE)));
    const before = names.count;
    this.removeFrom(names, (mapping) => evicted.has(mapping));
    this.evicted += before - names.count;
  }

  private removeWhere(condition: (mapping: Mapping) => boolean): number {
    const before = this.count;
    for (const [uid, names] of this.endpoints) {
      this.removeFrom(names, condition);
      if (names.byName.size === 0) this.endpoints.delete(uid);
    }
    return before - this.count;
  }

  private removeFrom(names: Names, condition: (mapping: Mapping) => boolean): void {
    for (const [name, list] of names.byName) {
      const kept = list.filter((mapping) => !condition(mapping));
      if (kept.length === list.length) continue;
      this.add(names, current(kept).length - current(list).length);
      if (kept.length === 0) names.byName.delete(name);
      else names.byName.set(name, kept);
    }
  }

  private add(names: Names, count: number): void {
    names.count += count;
    this.count += count;
  }
}

function isSameTarget(a: Clean, b: Clean): boolean {
  return a.matchPattern === b.matchPattern && a.endpointUid === b.endpointUid;
}

function listOf(names: Names, name: string): Held[] {
  let list = names.byName.get(name);
  if (list === undefined) names.byName.set(name, (list = []));
  return list;
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

function renew(held: Held, mapping: Mapping): void {
  held.lookupMs = mapping.lookupMs;
  held.ttlSeconds = mapping.ttlSeconds;
  held.expiryMs = mapping.expiryMs;
}

function replaceDominated(list: Held[], mapping: Held): void {
  const others = list.filter((other) => other.address !== mapping.address);
  const same = list.filter((other) => other.address === mapping.address && !dominates(mapping, other));
  // Look-ups ascend, expiries descend: the first is the one that holds.
  const [first, ...later] = [...same, mapping].sort((a, b) => a.lookupMs - b.lookupMs);
  list.splice(0, list.length, ...others, first, ...later.slice(-(KNOWN_MAX - 1)));
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

/** Code unit order: the same on every machine. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
