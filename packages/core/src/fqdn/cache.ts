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

/**
 * What is known of one key: the mapping with the latest expiry and, behind it, later look-ups that expire earlier.
 * Those count once a clean removes the first. Look-ups ascend, expiries descend; nearly always there is just one.
 */
type Known = readonly [Mapping, ...Mapping[]];

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
  /** Endpoint UID → name → address → what is known. */
  private readonly endpoints = new Map<string, Map<string, Map<string, Known>>>();
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
    const addresses = this.addressesOf(mapping.endpointUid, mapping.name);
    const known = addresses.get(mapping.address);
    if (known !== undefined) {
      const joined = join(known, mapping);
      if (joined !== known) addresses.set(mapping.address, joined);
      return joined !== known;
    }
    addresses.set(mapping.address, [mapping]);
    this.count++;
    if (addresses.size <= this.options.maxAddressesPerName) return true;
    const evicted = earliest(addresses);
    addresses.delete(evicted.address);
    this.count--;
    return evicted !== mapping;
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
    for (const known of this.allKnown()) yield known[0];
  }

  /** Everything that a peer must be told to hold the same cache. */
  *everything(): Generator<Mapping> {
    for (const known of this.allKnown()) yield* known;
  }

  private *allKnown(): Generator<Known> {
    for (const names of this.endpoints.values()) {
      for (const addresses of names.values()) yield* addresses.values();
    }
  }

  private addressesOf(endpointUid: string, name: string): Map<string, Known> {
    let names = this.endpoints.get(endpointUid);
    if (names === undefined) this.endpoints.set(endpointUid, (names = new Map<string, Map<string, Known>>()));
    let addresses = names.get(name);
    if (addresses === undefined) names.set(name, (addresses = new Map<string, Known>()));
    return addresses;
  }

  private removeWhere(condition: (mapping: Mapping) => boolean): number {
    const before = this.count;
    for (const [uid, names] of this.endpoints) {
      for (const [name, addresses] of names) {
        for (const [address, known] of addresses) {
          const [first, ...rest] = known.filter((mapping) => !condition(mapping));
          if (first === known[0] && rest.length === known.length - 1) continue;
          if (first === undefined) {
            addresses.delete(address);
            this.count--;
          } else {
            addresses.set(address, [first, ...rest]);
          }
        }
        if (addresses.size === 0) names.delete(name);
      }
      if (names.size === 0) this.endpoints.delete(uid);
    }
    return before - this.count;
  }
}

/** The non-dominated of the known and the new: nothing is kept that another beats in both look-up and expiry. */
function join(known: Known, mapping: Mapping): Known {
  if (known.some((other) => dominates(other, mapping))) return known;
  const rest = known.filter((other) => !dominates(mapping, other));
  const [first, ...later] = [...rest, mapping].sort((a, b) => a.lookupMs - b.lookupMs);
  return later.length < KNOWN_MAX ? [first, ...later] : known;
}

/** Equal times are told apart by the TTL, so that two different mappings never dominate each other both ways. */
function dominates(a: Mapping, b: Mapping): boolean {
  if (a.lookupMs === b.lookupMs && a.expiryMs === b.expiryMs) return a.ttlSeconds >= b.ttlSeconds;
  return a.lookupMs >= b.lookupMs && a.expiryMs >= b.expiryMs;
}

/** What the limit removes: the earliest expiry, then the least address in code unit order. */
function earliest(addresses: ReadonlyMap<string, Known>): Mapping {
  let found: Mapping | null = null;
  for (const [mapping] of addresses.values()) {
    if (
      found === null ||
      mapping.expiryMs < found.expiryMs ||
      (mapping.expiryMs === found.expiryMs && mapping.address < found.address)
    ) {
      found = mapping;
    }
  }
  return found!;
}
