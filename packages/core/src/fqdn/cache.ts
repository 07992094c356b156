/**
 * The FQDN cache: which address was learned for which name by which endpoint, until when that holds, and what is kept
 * beyond because connections may use it. Here is what concerns the node as a whole: cleans, collection, look-ups over all
 * endpoints. What one endpoint has learned is in endpoint-mappings.ts.
 *
 * Invariant: merging is a join (commutative, associative, idempotent), so members that saw the same mappings and
 * cleans, in any order and any number of times, hold the same cache; what a limit takes is a function of what was merged.
 * See README.md beside this file. It does not know where mappings come from or go to, nor what time it is.
 */
import { type MonoMs, monoMs } from '../base/seams.js';
import type { ConnectionRun } from './connections.js';
import { type CacheState, type EndpointCounts, EndpointMappings, isPast, type ZombieEntry } from './endpoint-mappings.js';
import { Graves } from './graves.js';
import { type Clean, type LookedUp, type LostMapping, type Mapping, NODE_UID } from './mapping.js';
import { type AddressKey, MappingTable, type Row, STATE } from './mapping-table.js';
import { Tombstones } from './tombstones.js';

export { type EndpointCounts, MAPPINGS_PER_ENDPOINT_MAX, type ZombieEntry } from './endpoint-mappings.js';
export { type Clean, COLLECT_GRACE_MS, type LostMapping, type Mapping, NODE_UID } from './mapping.js';

export interface FqdnCacheOptions {
  /** Addresses per endpoint and name at most (`--tofqdns-endpoint-max-ip-per-hostname`). */
  readonly maxAddressesPerName: number;
  /** Zombies per endpoint at most (`--tofqdns-max-deferred-connection-deletes`); 0: none. */
  readonly maxZombies?: number;
  /** How long after its expiry a zombie is spared at least (`--tofqdns-idle-connection-grace-period`). */
  readonly idleGraceMs?: number;
  /** What any endpoint has looked up is open to all (`--grant-scope node`): connections of any keep it. */
  readonly isShared?: boolean;
  /** A random number of 32 bits: who makes up addresses is not to know which of them are kept together. */
  readonly hashSeed?: number;
  /** Compiles a matchPattern to a test on names in presentation form. */
  readonly matcher: (matchPattern: string) => (name: string) => boolean;
}

const ZOMBIES_DEFAULT = 10_000;
/** So long a living zombie counts as looked up anew by the node at each collection, as in Cilium. */
export const ZOMBIE_LOOKUP_MS = 120_000;

export class FqdnCache {
  /** Where the mappings are. For reading; and a mark on each is the change log's. */
  readonly table: MappingTable;
  private readonly isShared: boolean;
  private readonly tombstones: Tombstones;
  private readonly endpoints = new Map<string, EndpointMappings>();
  private readonly state: CacheState;

  constructor(options: FqdnCacheOptions) {
    const { maxAddressesPerName } = options;
    this.isShared = options.isShared === true;
    this.table = new MappingTable(options.hashSeed ?? 0);
    this.state = {
      maxAddressesPerName,
      zombieRules: { maxPerEndpoint: options.maxZombies ?? ZOMBIES_DEFAULT, maxPerName: maxAddressesPerName, idleGraceMs: options.idleGraceMs ?? 0 },
      graves: new Graves(),
      burials: 0,
      passes: { ended: 0, lastStartedMs: -Infinity },
      collectedMs: -Infinity,
      evicted: 0,
      zombiesEvicted: 0,
      lost: [],
      hasLostMore: false,
    };
    this.tombstones = new Tombstones(options.matcher);
  }

  /** Mappings that hold, expired ones that await collection included. */
  get size(): number {
    let size = 0;
    for (const endpoint of this.endpoints.values()) size += endpoint.size;
    return size;
  }

  /** Zombies: addresses, per endpoint. */
  get zombieCount(): number {
    let count = 0;
    for (const { zombieCount } of this.endpoints.values()) count += zombieCount;
    return count;
  }

  /**
   * Joins a mapping in. Returns its row in the table, the same for one that is renewed; null when the cache knows nothing new.
   */
  merge(mapping: Mapping): Row | null {
    if (this.tombstones.covers(mapping)) return null;
    if (isPast(mapping.expiryMs, this.state) && this.state.graves.covers(mapping)) return null;
    return this.endpointOf(mapping.endpointUid).merge(mapping);
  }

  /** Applies a forced clean; returns how many mappings and zombies (names and addresses) it removed. */
  clean(clean: Clean): number {
    const beats = this.tombstones.add(clean);
    if (beats === null) return 0;
    const isKept = (mapping: LookedUp): boolean => !beats(mapping);
    let removed = 0;
    for (const endpoint of this.endpointsOf(clean.endpointUid)) {
      removed += endpoint.keep(isKept);
      this.dropIfEmpty(endpoint);
    }
    return removed;
  }

  /** True when a clean that is remembered beats the mapping. */
  isCleaned(mapping: LookedUp): boolean {
    return this.tombstones.covers(mapping);
  }

  /** True when something is known of the address as the endpoint's under that name, whether it holds or not. */
  knows({ endpointUid, name, address }: Pick<Mapping, 'endpointUid' | 'name' | 'address'>): boolean {
    return this.endpoints.get(endpointUid)?.knows(name, address) === true;
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
    this.state.collectedMs = Math.max(this.state.collectedMs, nowMs);
    let collected = 0;
    for (const endpoint of this.endpoints.values()) {
      collected += endpoint.collect();
      this.dropIfEmpty(endpoint);
    }
    return collected;
  }

  /** What limits took since the last call before it had expired; null: more than can be told. What a clean took is not in it. */
  takeLost(): readonly LostMapping[] | null {
    const { state } = this;
    const { lost, hasLostMore } = state;
    state.lost = [];
    state.hasLostMore = false;
    return hasLostMore ? null : lost;
  }

  /** A pass over the connection table has ended. What it means for zombies shows at the next collection. */
  connectionsSeen(run: ConnectionRun): void {
    const ofAll = new Set<AddressKey>();
    const own = new Map<string, Set<AddressKey>>();
    for (const { endpointUid, address } of run.live) {
      this.table.setAddress(address);
      const key = this.table.chosenKey();
      ofAll.add(key);
      if (this.isShared || this.endpoints.get(endpointUid)?.hasZombies !== true) continue;
      const addresses = own.get(endpointUid);
      if (addresses === undefined) own.set(endpointUid, new Set([key]));
      else addresses.add(key);
    }
    for (const [uid, endpoint] of this.endpoints) {
      const addresses = this.isShared || uid === NODE_UID ? ofAll : own.get(uid);
      if (endpoint.hasZombies && addresses !== undefined) endpoint.seen(addresses, run.startedMs);
    }
    const { passes } = this.state;
    this.state.passes = { ended: passes.ended + 1, lastStartedMs: Math.max(passes.lastStartedMs, run.startedMs) };
  }

  /** What holds now: one mapping per endpoint, name and address. */
  *mappings(): Generator<Mapping> {
    for (let row = 1; row <= this.table.highest; row++) if (this.table.isIn(row, STATE.holds)) yield this.table.at(row)!;
  }

  /** The same of one endpoint, its zombies among them: an address that is still in use has its names. */
  *mappingsOf(uid: string): Generator<Mapping> {
    yield* this.endpoints.get(uid)?.everything() ?? [];
  }

  /**
   * Everything that a peer must be told to hold the same cache, and a file to bring it back: zombies too, as the mappings that
   * they were. It may be read in parts while the cache changes: what does not change is come to.
   */
  *everything(): Generator<Mapping> {
    for (let row = 1; row <= this.table.highest; row++) {
      const mapping = this.table.at(row);
      if (mapping !== null) yield mapping;
    }
  }

  /** One entry per endpoint, name and address. */
  *zombies(): Generator<ZombieEntry> {
    for (const endpoint of this.endpoints.values()) yield* endpoint.zombieEntries();
  }

  /**
   * What the node as a whole may use, whoever learned it: name → address → until when. Zombies count as looked up for
   * ZOMBIE_LOOKUP_MS at the last collection.
   */
  nodeSet(): Map<string, Map<string, MonoMs>> {
    const set = new Map<string, Map<string, MonoMs>>();
    const open = ({ name, address }: Pick<Mapping, 'name' | 'address'>, untilMs: number): void => {
      let addresses = set.get(name);
      if (addresses === undefined) set.set(name, (addresses = new Map<string, MonoMs>()));
      addresses.set(address, monoMs(Math.max(untilMs, addresses.get(address) ?? 0)));
    };
    for (const mapping of this.everything()) open(mapping, mapping.expiryMs);
    for (const zombie of this.zombies()) open(zombie, this.state.collectedMs + ZOMBIE_LOOKUP_MS);
    return set;
  }

  /** UIDs of all that has something here, NODE_UID among them where it has. */
  endpointUids(): IterableIterator<string> {
    return this.endpoints.keys();
  }

  *endpointCounts(): Generator<EndpointCounts> {
    for (const endpoint of this.endpoints.values()) yield endpoint.counts();
  }

  /** Mappings that MAPPINGS_PER_ENDPOINT_MAX took. */
  get evictedCount(): number {
    return this.state.evicted;
  }

  /** Names and addresses of zombies that a limit took before the rules gave them up. */
  get zombiesEvictedCount(): number {
    return this.state.zombiesEvicted;
  }

  /** How often zombies were let go of: what was written before still has them. */
  get burialsCount(): number {
    return this.state.burials;
  }

  private endpointsOf(uid: string | null): readonly EndpointMappings[] {
    if (uid === null) return [...this.endpoints.values()];
    const endpoint = this.endpoints.get(uid);
    return endpoint === undefined ? [] : [endpoint];
  }

  private endpointOf(uid: string): EndpointMappings {
    let endpoint = this.endpoints.get(uid);
    if (endpoint === undefined) this.endpoints.set(uid, (endpoint = new EndpointMappings(uid, this.table, this.state)));
    return endpoint;
  }

  private dropIfEmpty(endpoint: EndpointMappings): void {
    if (!endpoint.isEmpty) return;
    endpoint.close();
    this.endpoints.delete(endpoint.uid);
  }
}
