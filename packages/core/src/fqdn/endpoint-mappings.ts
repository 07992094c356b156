/**
 * What one endpoint has learned: of each name the addresses that hold, and those that hold no more but may have connections.
 *
 * Invariant: all mappings of one address of a name are in one of two lists, what holds or what is retained, and just the
 * retained have a zombie that says when they go. Which is which follows from what is known and from the time of the last
 * collection, in whatever order it came to be known (but for MAPPINGS_PER_ENDPOINT_MAX). See README.md beside this file.
 * It does not know other endpoints, nor cleans: it is told what they leave.
 */
import { type MonoMs, monoMs } from '../base/seams.js';
import type { Graves } from './graves.js';
import { byExpiry, COLLECT_GRACE_MS, compareTexts, dominates, type Held, joined, latest, type Mapping } from './mapping.js';
import { type Dead, type Passes, type ZombieRules, Zombies } from './zombies.js';

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

/** What the endpoints of a cache have in common; the cache moves it on. */
export interface CacheState {
  readonly maxAddressesPerName: number;
  readonly zombieRules: ZombieRules;
  /** What was let go of: endpoints add to it. */
  readonly graves: Graves;
  passes: Passes;
  /** When the last collection was; -Infinity before there is one. */
  collectedMs: number;
  /** Mappings that MAPPINGS_PER_ENDPOINT_MAX took: endpoints count. */
  evicted: number;
  /** Names and addresses of zombies that a limit took before the rules gave them up: endpoints count. */
  zombiesEvicted: number;
}

/** What is known of a name. Of one address there is nearly always one mapping, see README.md; all of them are in one list. */
interface Known {
  readonly name: string;
  /** What holds, in no order. */
  holding: Held[];
  /** What does not, and is let go of as a zombie. */
  retained: Held[];
}

/**
 * Addresses that hold per endpoint at most, and names and addresses of zombies. A pod can make up names without end; what it
 * then loses is its own, an eighth at a time, the earliest expiries first. A member that merged in another order may lose
 * others: this is a defence, not a rule.
 */
export const MAPPINGS_PER_ENDPOINT_MAX = 32_768;
const EVICTED_SHARE = 8;

const NONE: Held[] = [];

/** As of the last collection, which is what look-ups take for now. */
export function isPast(expiryMs: MonoMs, { collectedMs }: CacheState): boolean {
  return expiryMs + COLLECT_GRACE_MS <= collectedMs;
}

export class EndpointMappings {
  readonly uid: string;
  private readonly state: CacheState;
  private readonly byName = new Map<string, Known>();
  private readonly zombies: Zombies;
  private count = 0;

  constructor(uid: string, state: CacheState) {
    this.uid = uid;
    this.state = state;
    this.zombies = new Zombies(state.zombieRules);
  }

  /** Addresses that hold, over all names. */
  get size(): number {
    return this.count;
  }

  /** Addresses. */
  get zombieCount(): number {
    return this.zombies.size;
  }

  /** Nothing holds, and nothing is retained. */
  get isEmpty(): boolean {
    return this.byName.size === 0;
  }

  /** Joins a mapping of this endpoint in, as FqdnCache.merge does. */
  merge(mapping: Mapping): Mapping | null {
    const known = this.knownOf(mapping.name);
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
    if (same === 0) return this.insert(known, mapping);
    if (same === 1 && dominated === 1) return renew(list[lastAt], mapping);
    const own = { ...mapping };
    known.holding = [...without(list, mapping.address), ...joined(only(list, mapping.address), own)];
    return own;
  }

  /** Forgets what a clean beats; returns how many mappings and zombies (names and addresses) went. */
  keep(isKept: (mapping: Mapping) => boolean): number {
    const before = this.count + this.zombies.pairCount;
    for (const known of this.byName.values()) {
      const all = everythingOf(known);
      const kept = all.filter(isKept);
      if (kept.length < all.length) this.settle(known, kept);
    }
    return before - this.count - this.zombies.pairCount;
  }

  /** What has expired becomes a zombie, and zombies that the rules give up go. Returns how many mappings hold no more. */
  collect(): number {
    const before = this.count;
    for (const known of this.byName.values()) {
      if (known.holding.some(({ expiryMs }) => isPast(expiryMs, this.state))) this.settle(known, everythingOf(known));
    }
    const { dead, evicted } = this.zombies.collect(this.state.passes);
    this.bury(dead);
    this.state.zombiesEvicted += evicted;
    this.shed();
    return before - this.count;
  }

  /** A pass over the connection table that began then saw a connection with the address. */
  seen(address: string, startedMs: MonoMs): void {
    this.zombies.seen(address, startedMs);
  }

  /** Name by name one mapping per address that holds. */
  *holding(): Generator<readonly Mapping[]> {
    for (const { holding } of this.byName.values()) yield latest(holding);
  }

  /** Name by name all that is known: what waits behind another mapping of its address, and zombies, too. */
  *everything(): Generator<readonly Mapping[]> {
    for (const known of this.byName.values()) yield everythingOf(known);
  }

  /** One entry per name and address. */
  *zombieEntries(): Generator<ZombieEntry> {
    for (const { address, names, aliveAtMs, pendingAtMs } of this.zombies.all()) {
      for (const name of names.keys()) yield { endpointUid: this.uid, name, address, aliveAtMs, pendingAtMs: monoMs(pendingAtMs) };
    }
  }

  counts(): EndpointCounts {
    const addresses = new Set<string>();
    let names = 0;
    for (const { holding } of this.byName.values()) {
      if (holding.length > 0) names++;
      for (const { address } of holding) addresses.add(address);
    }
    return { endpointUid: this.uid, names, addresses: addresses.size, zombies: this.zombies.size };
  }

  private knownOf(name: string): Known {
    let known = this.byName.get(name);
    if (known === undefined) this.byName.set(name, (known = { name, holding: NONE, retained: NONE }));
    return known;
  }

  /** A mapping of an address that does not hold yet; null if it brings nothing new. */
  private insert(known: Known, mapping: Mapping): Mapping | null {
    const former = only(known.retained, mapping.address);
    if (former.some((other) => dominates(other, mapping))) return null;
    const wasZombie = former.length > 0;
    if (wasZombie) known.retained = without(known.retained, mapping.address);
    const isRenewal = former.length === 1 && dominates(mapping, former[0]);
    const own = isRenewal ? renew(former[0], mapping) : { ...mapping };
    const all = isRenewal || !wasZombie ? [own] : joined(former, own);
    if (isPast(all[0].expiryMs, this.state)) {
      this.retain(known, all);
      return own;
    }
    // Not by push, which takes room for 17: nearly all names have an address or two.
    known.holding = known.holding.concat(all);
    this.count++;
    if (known.holding.length > this.state.maxAddressesPerName) this.limit(known);
    if (wasZombie && known.holding.some(({ address }) => address === mapping.address)) this.zombies.drop(known.name, mapping.address);
    if (this.count > MAPPINGS_PER_ENDPOINT_MAX) this.evict();
    return own;
  }

  /** One address too many: the earliest expiry becomes a zombie. */
  private limit(known: Known): void {
    const holding = latest(known.holding);
    if (holding.length <= this.state.maxAddressesPerName) return;
    const { address } = holding.reduce((found, mapping) => (byExpiry(mapping, found) < 0 ? mapping : found));
    const taken = only(known.holding, address);
    known.holding = without(known.holding, address);
    this.count--;
    this.retain(known, taken);
  }

  /** All of one address, the latest expiry first. */
  private retain(known: Known, all: readonly Held[]): void {
    known.retained = [...known.retained, ...all];
    this.addZombie(known.name, all[0]);
    this.shed();
  }

  private shed(): void {
    const max = Math.max(MAPPINGS_PER_ENDPOINT_MAX, this.state.zombieRules.maxPerEndpoint);
    if (this.zombies.pairCount <= max) return;
    const shed = this.zombies.shed(max - Math.ceil(max / EVICTED_SHARE));
    this.bury(shed);
    this.state.zombiesEvicted += shed.length;
  }

  private addZombie(name: string, { address, expiryMs }: Mapping): void {
    this.zombies.add(name, address, monoMs(expiryMs + COLLECT_GRACE_MS), this.state.passes);
  }

  /** Says anew of all that is known of a name what holds: of what has not expired the latest, as many as the limit allows. */
  private settle(known: Known, all: readonly Held[]): void {
    const { name } = known;
    const before = latest(known.holding).length;
    const zombies = new Set(known.retained.map(({ address }) => address));
    const ranked = [...latest(all)].sort(byExpiry);
    const good = ranked.filter(({ expiryMs }) => !isPast(expiryMs, this.state));
    const holders = new Set(good.slice(-this.state.maxAddressesPerName).map(({ address }) => address));
    known.holding = all.filter(({ address }) => holders.has(address));
    known.retained = holders.size === ranked.length ? NONE : all.filter(({ address }) => !holders.has(address));
    this.count += holders.size - before;
    for (const mapping of ranked) {
      if (holders.has(mapping.address)) continue;
      zombies.delete(mapping.address);
      this.addZombie(name, mapping);
    }
    for (const address of zombies) this.zombies.drop(name, address);
    if (all.length === 0) this.byName.delete(name);
  }

  /** Forgets zombies that were let go of. */
  private bury(dead: readonly Dead[]): void {
    const byName = new Map<string, Set<string>>();
    for (const { name, address } of dead) {
      const addresses = byName.get(name);
      if (addresses === undefined) byName.set(name, new Set([address]));
      else addresses.add(address);
    }
    for (const [name, addresses] of byName) {
      const known = this.knownOf(name);
      const gone = Map.groupBy(known.retained, ({ address }) => address);
      known.retained = known.retained.filter(({ address }) => !addresses.has(address));
      for (const address of addresses) this.state.graves.add(gone.get(address)!);
      if (known.retained.length === 0 && known.holding.length === 0) this.byName.delete(name);
    }
  }

  private evict(): void {
    const all = [...this.byName.values()].flatMap(({ holding }) => latest(holding));
    all.sort((a, b) => a.expiryMs - b.expiryMs || compareTexts(a.name, b.name) || compareTexts(a.address, b.address));
    const taken = Map.groupBy(all.slice(0, Math.ceil(all.length / EVICTED_SHARE)), ({ name }) => name);
    const before = this.count;
    for (const [name, mappings] of taken) {
      const known = this.knownOf(name);
      const addresses = new Set(mappings.map(({ address }) => address));
      this.settle(known, everythingOf(known).filter(({ address }) => !addresses.has(address)));
    }
    this.state.evicted += before - this.count;
  }
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

function renew(held: Held, mapping: Mapping): Held {
  held.lookupMs = mapping.lookupMs;
  held.ttlSeconds = mapping.ttlSeconds;
  held.expiryMs = mapping.expiryMs;
  return held;
}
