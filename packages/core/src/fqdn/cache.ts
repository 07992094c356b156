/**
 * The FQDN cache: which address was learned for which name by which endpoint, until when that holds, and what is kept
 * beyond because connections may use it.
 *
 * Invariant: merging is a join (commutative, associative, idempotent), so members that saw the same mappings and
 * cleans, in any order and any number of times, hold the same cache; what a limit takes is a function of what was merged.
 * See README.md beside this file. It does not know where mappings come from or go to, nor what time it is.
 */
import { type MonoMs, monoMs } from '../base/seams.js';
import type { ConnectionRun } from './connections.js';
import { Graves } from './graves.js';
import { byExpiry, type Clean, COLLECT_GRACE_MS, compareTexts, dominates, type Held, joined, latest, type Mapping, NODE_UID } from './mapping.js';
import { Tombstones } from './tombstones.js';
import { type Dead, type Passes, type ZombieRules, Zombies } from './zombies.js';

export { type Clean, type Mapping, NODE_UID } from './mapping.js';

export interface FqdnCacheOptions {
  /** Addresses per endpoint and name at most (`--tofqdns-endpoint-max-ip-per-hostname`). */
  readonly maxAddressesPerName: number;
  /** Zombies per endpoint at most (`--tofqdns-max-deferred-connection-deletes`); 0: none. */
  readonly maxZombies?: number;
  /** How long after its expiry a zombie is spared at least (`--tofqdns-idle-connection-grace-period`). */
  readonly idleGraceMs?: number;
  /** Compiles a matchPattern to a test on names in presentation form. */
  readonly matcher: (matchPattern: string) => (name: string) => boolean;
}

/** An address of a name that holds no more, but may have connections. */
export interface ZombieEntry {
  readonly endpointUid: string;
  readonly name: string;
  readonly address: string;
  /** When the latest pass over the connection table that saw a connection began; null: none has. */
  readonly aliveAtMs: MonoMs | null;
  /** The latest expiry of all names of the address. */
  readonly pendingAtMs: MonoMs;
}

export interface EndpointCounts {
  readonly endpointUid: string;
  readonly names: number;
  readonly addresses: number;
  readonly zombies: number;
}

/** What is known of a name. Of one address there is nearly always one mapping, see README.md; all of them are in one list. */
interface Known {
  readonly name: string;
  /** What holds, in no order. */
  holding: Held[];
  /** What does not, and is let go of as a zombie. */
  retained: Held[];
}

interface Endpoint {
  readonly uid: string;
  readonly byName: Map<string, Known>;
  readonly zombies: Zombies;
  /** Addresses that hold, over all names. */
  count: number;
}

/**
 * Addresses that hold per endpoint at most, and names and addresses of zombies. A pod can make up names without end; what it
 * then loses is its own, an eighth at a time, the earliest expiries first. A member that merged in another order may lose
 * others: this is a defence, not a rule.
 */
export const MAPPINGS_PER_ENDPOINT_MAX = 32_768;
const EVICTED_SHARE = 8;

const ZOMBIES_DEFAULT = 10_000;
/** So long a living zombie counts as looked up anew by the node at each collection, as in Cilium. */
export const ZOMBIE_LOOKUP_MS = 120_000;

const NONE: Held[] = [];

export class FqdnCache {
  private readonly maxAddressesPerName: number;
  private readonly zombieRules: ZombieRules;
  private readonly tombstones: Tombstones;
  private readonly graves = new Graves();
  private readonly endpoints = new Map<string, Endpoint>();
  private passes: Passes = { ended: 0, lastStartedMs: -Infinity };
  private collectedMs = -Infinity;
  private count = 0;
  private evicted = 0;
  private zombiesEvicted = 0;

  constructor(options: FqdnCacheOptions) {
    this.maxAddressesPerName = options.maxAddressesPerName;
    this.zombieRules = {
      maxPerEndpoint: options.maxZombies ?? ZOMBIES_DEFAULT,
      maxPerName: options.maxAddressesPerName,
      idleGraceMs: options.idleGraceMs ?? 0,
    };
    this.tombstones = new Tombstones(options.matcher);
  }

  /** Mappings that hold, expired ones that await collection included. */
  get size(): number {
    return this.count;
  }

  /** Zombies: addresses, per endpoint. */
  get zombieCount(): number {
    let count = 0;
    for (const { zombies } of this.endpoints.values()) count += zombies.size;
    return count;
  }

  /**
   * Joins a mapping in. Returns the cache's own copy when it now knows something new, which is renewed in place as the mapping
   * is; else null.
   */
  merge(mapping: Mapping): Mapping | null {
    if (this.tombstones.covers(mapping)) return null;
    if (this.isPast(mapping.expiryMs) && this.graves.covers(mapping)) return null;
    const endpoint = this.endpointOf(mapping.endpointUid);
    const known = knownOf(endpoint, mapping.name);
    const list = known.holding;
    let same = 0;
    let dominated = 0;
    let lastAt = -1;
    for (let i = 0; i < list.length; i++) {
      if (list[i].address !== mapping.address) continue;
      if (dominates(list[i], mapping)) return null;
      if (dominates(mapping, list[i])) dominated++;
      same++;
      lastAt = i;
    }
    if (same === 0) return this.insert(endpoint, known, mapping);
    if (same === 1 && dominated === 1) return renew(list[lastAt], mapping);
    const own = { ...mapping };
    known.holding = [...without(list, mapping.address), ...joined(only(list, mapping.address), own)];
    return own;
  }

  /** Applies a forced clean; returns how many mappings and zombies (names and addresses) it removed. */
  clean(clean: Clean): number {
    const beats = this.tombstones.add(clean);
    if (beats === null) return 0;
    const isKept = (mapping: Mapping): boolean => !beats(mapping);
    let removed = 0;
    for (const endpoint of this.endpointsOf(clean.endpointUid)) {
      const before = endpoint.count + endpoint.zombies.pairCount;
      for (const known of endpoint.byName.values()) {
        const all = everythingOf(known);
        const kept = all.filter(isKept);
        if (kept.length < all.length) this.settle(endpoint, known, kept);
      }
      removed += before - endpoint.count - endpoint.zombies.pairCount;
      this.dropIfEmpty(endpoint);
    }
    return removed;
  }

  /** True when a clean that is remembered beats the mapping. */
  isCleaned(mapping: Mapping): boolean {
    return this.tombstones.covers(mapping);
  }

  /** The cleans still remembered, oldest first. */
  pastCleans(): readonly Clean[] {
    return this.tombstones.all();
  }

  /**
   * Turns what has expired into zombies (until then it stays visible, as in Cilium), and lets go of the zombies that the
   * rules give up. Returns how many mappings hold no more.
   */
  collect(nowMs: MonoMs): number {
    this.collectedMs = Math.max(this.collectedMs, nowMs);
    const before = this.count;
    for (const endpoint of this.endpoints.values()) {
      for (const known of endpoint.byName.values()) {
        if (known.holding.some(({ expiryMs }) => this.isPast(expiryMs))) this.settle(endpoint, known, everythingOf(known));
      }
      const { dead, evicted } = endpoint.zombies.collect(this.passes);
      this.bury(endpoint, dead);
      this.zombiesEvicted += evicted;
      this.shed(endpoint);
      this.dropIfEmpty(endpoint);
    }
    return before - this.count;
  }

  /** A pass over the connection table has ended. What it means for zombies shows at the next collection. */
  connectionsSeen(run: ConnectionRun): void {
    const node = this.endpoints.get(NODE_UID)?.zombies;
    for (const { endpointUid, address } of run.live) {
      this.endpoints.get(endpointUid)?.zombies.seen(address, run.startedMs);
      node?.seen(address, run.startedMs);
    }
    this.passes = { ended: this.passes.ended + 1, lastStartedMs: Math.max(this.passes.lastStartedMs, run.startedMs) };
  }

  /** What holds now: one mapping per endpoint, name and address. The objects are the cache's own and may change later. */
  *mappings(): Generator<Mapping> {
    for (const known of this.allKnown()) yield* latest(known.holding);
  }

  /**
   * Everything that a peer must be told to hold the same cache, and a file to bring it back: zombies too, as the mappings that
   * they were. The objects are the cache's own and may change later. It may be read in parts while the cache changes: what
   * does not change is come to.
   */
  *everything(): Generator<Mapping> {
    for (const known of this.allKnown()) yield* everythingOf(known);
  }

  /** One entry per endpoint, name and address. */
  *zombies(): Generator<ZombieEntry> {
    for (const { uid, zombies } of this.endpoints.values()) {
      for (const { address, names, aliveAtMs, pendingAtMs } of zombies.all()) {
        for (const name of names.keys()) yield { endpointUid: uid, name, address, aliveAtMs, pendingAtMs: monoMs(pendingAtMs) };
      }
    }
  }

  /**
   * What the node as a whole may use, whoever learned it: name → address → until when. Zombies count as looked up for
   * ZOMBIE_LOOKUP_MS at the last collection.
   */
  nodeSet(): Map<string, Map<string, MonoMs>> {
    const set = new Map<string, Map<string, MonoMs>>();
    const open = ({ name, address }: Dead, untilMs: number): void => {
      let addresses = set.get(name);
      if (addresses === undefined) set.set(name, (addresses = new Map<string, MonoMs>()));
      addresses.set(address, monoMs(Math.max(untilMs, addresses.get(address) ?? 0)));
    };
    for (const mapping of this.everything()) open(mapping, mapping.expiryMs);
    for (const zombie of this.zombies()) open(zombie, this.collectedMs + ZOMBIE_LOOKUP_MS);
    return set;
  }

  /** UIDs of all that has something here, NODE_UID among them where it has. */
  endpointUids(): IterableIterator<string> {
    return this.endpoints.keys();
  }

  *endpointCounts(): Generator<EndpointCounts> {
    for (const { uid, byName, zombies } of this.endpoints.values()) {
      const addresses = new Set<string>();
      let names = 0;
      for (const { holding } of byName.values()) {
        if (holding.length > 0) names++;
        for (const { address } of holding) addresses.add(address);
      }
      yield { endpointUid: uid, names, addresses: addresses.size, zombies: zombies.size };
    }
  }

  /** Mappings that MAPPINGS_PER_ENDPOINT_MAX took. */
  get evictedCount(): number {
    return this.evicted;
  }

  /** Names and addresses of zombies that a limit took before the rules gave them up. */
  get zombiesEvictedCount(): number {
    return this.zombiesEvicted;
  }

  private *allKnown(): Generator<Known> {
    for (const { byName } of this.endpoints.values()) yield* byName.values();
  }

  private endpointsOf(uid: string | null): readonly Endpoint[] {
    if (uid === null) return [...this.endpoints.values()];
    const endpoint = this.endpoints.get(uid);
    return endpoint === undefined ? [] : [endpoint];
  }

  private endpointOf(uid: string): Endpoint {
    let endpoint = this.endpoints.get(uid);
    if (endpoint === undefined) {
      endpoint = { uid, byName: new Map<string, Known>(), zombies: new Zombies(this.zombieRules), count: 0 };
      this.endpoints.set(uid, endpoint);
    }
    return endpoint;
  }

  private dropIfEmpty(endpoint: Endpoint): void {
    if (endpoint.byName.size === 0) this.endpoints.delete(endpoint.uid);
  }

  /** As of the last collection, which is what look-ups take for now. */
  private isPast(expiryMs: MonoMs): boolean {
    return expiryMs + COLLECT_GRACE_MS <= this.collectedMs;
  }

  /** A mapping of an address that does not hold yet; null if it brings nothing new. */
  private insert(endpoint: Endpoint, known: Known, mapping: Mapping): Mapping | null {
    const own = { ...mapping };
    let all: Held[] = [own];
    let wasZombie = false;
    if (known.retained.length > 0) {
      const former = only(known.retained, mapping.address);
      if (former.some((other) => dominates(other, mapping))) return null;
      wasZombie = former.length > 0;
      if (wasZombie) {
        all = joined(former, own);
        known.retained = without(known.retained, mapping.address);
      }
    }
    if (this.isPast(all[0].expiryMs)) {
      this.retain(endpoint, known, all);
      return own;
    }
    // Not by push, which takes room for 17: nearly all names have an address or two.
    known.holding = known.holding.concat(all);
    this.add(endpoint, 1);
    if (known.holding.length > this.maxAddressesPerName) this.limit(endpoint, known);
    if (wasZombie && known.holding.some(({ address }) => address === mapping.address)) endpoint.zombies.drop(known.name, mapping.address);
    if (endpoint.count > MAPPINGS_PER_ENDPOINT_MAX) this.evict(endpoint);
    return own;
  }

  /** One address too many: the earliest expiry becomes a zombie. */
  private limit(endpoint: Endpoint, known: Known): void {
    const holding = latest(known.holding);
    if (holding.length <= this.maxAddressesPerName) return;
    const { address } = holding.reduce((found, mapping) => (byExpiry(mapping, found) < 0 ? mapping : found));
    const taken = only(known.holding, address);
    known.holding = without(known.holding, address);
    this.add(endpoint, -1);
    this.retain(endpoint, known, taken);
  }

  /** All of one address, the latest expiry first. */
  private retain(endpoint: Endpoint, known: Known, all: readonly Held[]): void {
    known.retained = [...known.retained, ...all];
    this.addZombie(endpoint, known.name, all[0]);
    this.shed(endpoint);
  }

  private shed(endpoint: Endpoint): void {
    const max = Math.max(MAPPINGS_PER_ENDPOINT_MAX, this.zombieRules.maxPerEndpoint);
    if (endpoint.zombies.pairCount <= max) return;
    const shed = endpoint.zombies.shed(max - Math.ceil(max / EVICTED_SHARE));
    this.bury(endpoint, shed);
    this.zombiesEvicted += shed.length;
  }

  private addZombie(endpoint: Endpoint, name: string, { address, expiryMs }: Mapping): void {
    endpoint.zombies.add(name, address, monoMs(expiryMs + COLLECT_GRACE_MS), this.passes);
  }

  /** Says anew of all that is known of a name what holds: of what has not expired the latest, as many as the limit allows. */
  private settle(endpoint: Endpoint, known: Known, all: readonly Held[]): void {
    const { name } = known;
    const before = latest(known.holding).length;
    const zombies = new Set(known.retained.map(({ address }) => address));
    const ranked = [...latest(all)].sort(byExpiry);
    const good = ranked.filter(({ expiryMs }) => !this.isPast(expiryMs));
    const holders = new Set(good.slice(-this.maxAddressesPerName).map(({ address }) => address));
    known.holding = all.filter(({ address }) => holders.has(address));
    known.retained = holders.size === ranked.length ? NONE : all.filter(({ address }) => !holders.has(address));
    this.add(endpoint, holders.size - before);
    for (const mapping of ranked) {
      if (holders.has(mapping.address)) continue;
      zombies.delete(mapping.address);
      this.addZombie(endpoint, name, mapping);
    }
    for (const address of zombies) endpoint.zombies.drop(name, address);
    if (all.length === 0) endpoint.byName.delete(name);
  }

  /** Forgets zombies that were let go of. */
  private bury(endpoint: Endpoint, dead: readonly Dead[]): void {
    const byName = new Map<string, Set<string>>();
    for (const { name, address } of dead) {
      const addresses = byName.get(name);
      if (addresses === undefined) byName.set(name, new Set([address]));
      else addresses.add(address);
    }
    for (const [name, addresses] of byName) {
      const known = knownOf(endpoint, name);
      const gone = Map.groupBy(known.retained, ({ address }) => address);
      known.retained = known.retained.filter(({ address }) => !addresses.has(address));
      for (const address of addresses) this.graves.add(gone.get(address)!);
      if (known.retained.length === 0 && known.holding.length === 0) endpoint.byName.delete(name);
    }
  }

  private evict(endpoint: Endpoint): void {
    const all = [...endpoint.byName.values()].flatMap(({ holding }) => latest(holding));
    all.sort((a, b) => a.expiryMs - b.expiryMs || compareTexts(a.name, b.name) || compareTexts(a.address, b.address));
    const taken = Map.groupBy(all.slice(0, Math.ceil(all.length / EVICTED_SHARE)), ({ name }) => name);
    const before = endpoint.count;
    for (const [name, mappings] of taken) {
      const known = knownOf(endpoint, name);
      const addresses = new Set(mappings.map(({ address }) => address));
      this.settle(endpoint, known, everythingOf(known).filter(({ address }) => !addresses.has(address)));
    }
    this.evicted += before - endpoint.count;
  }

  private add(endpoint: Endpoint, count: number): void {
    endpoint.count += count;
    this.count += count;
  }
}

function knownOf(endpoint: Endpoint, name: string): Known {
  let known = endpoint.byName.get(name);
  if (known === undefined) endpoint.byName.set(name, (known = { name, holding: NONE, retained: NONE }));
  return known;
}

function everythingOf({ holding, retained }: Known): readonly Held[] {
  return retained.length === 0 ? holding : [...holding, ...retained];
}

function only(list: readonly Held[], address: string): Held[] {
  return list.filter((other) => other.address === address);
}

function without(list: readonly Held[], address: string): Held[] {
  return list.filter((other) => other.address !== address);
}

function renew(held: Held, mapping: Mapping): Mapping {
  held.lookupMs = mapping.lookupMs;
  held.ttlSeconds = mapping.ttlSeconds;
  held.expiryMs = mapping.expiryMs;
  return held;
}
