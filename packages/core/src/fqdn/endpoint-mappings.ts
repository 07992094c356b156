/**
 * What one endpoint has learned: of each name the addresses that hold, and those that hold no more but may have connections.
 *
 * Invariant: of one address of a name all mappings hold or all are retained, and just the
 * retained have a zombie that says when they go. Which is which follows from what is known and from the time of the last
 * collection, in whatever order it came to be known (but for MAPPINGS_PER_ENDPOINT_MAX). See README.md beside this file.
 * It does not know other endpoints, nor cleans: it is told what they leave.
 */
import type { MonoMs } from '../base/seams.js';
import type { Graves } from './graves.js';
import { COLLECT_GRACE_MS, compareTexts, KNOWN_MAX, type LookedUp, type LostMapping, type Mapping } from './mapping.js';
import { type AddressKey, type MappingTable, NO_ROW, type Row, STATE, type State } from './mapping-table.js';
import { type Passes, type ZombieRules, Zombies } from './zombies.js';

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
  /** How often something was: endpoints count. */
  burials: number;
  passes: Passes;
  /** When the last collection was; -Infinity before there is one. */
  collectedMs: number;
  /** Mappings that MAPPINGS_PER_ENDPOINT_MAX took: endpoints count. */
  evicted: number;
  /** Names and addresses of zombies that a limit took before the rules gave them up: endpoints count. */
  zombiesEvicted: number;
  /** What went before it had expired, LOST_MAX of it: endpoints add to it. */
  lost: LostMapping[];
  /** More than that. */
  hasLostMore: boolean;
}

/**
 * Addresses that hold per endpoint at most, and names and addresses of zombies. A pod can make up names without end; what it
 * then loses is its own, an eighth at a time, the earliest expiries first. A member that merged in another order may lose
 * others: this is a defence, not a rule.
 */
export const MAPPINGS_PER_ENDPOINT_MAX = 32_768;
const EVICTED_SHARE = 8;
/** Beyond that whoever must know of each is told of all. */
const LOST_MAX = 32_768;

/** As of the last collection, which is what look-ups take for now. */
export function isPast(expiryMs: MonoMs, { collectedMs }: CacheState): boolean {
  return expiryMs + COLLECT_GRACE_MS <= collectedMs;
}

export class EndpointMappings {
  readonly uid: string;
  private readonly state: CacheState;
  private readonly table: MappingTable;
  /** Its number in the table. */
  private readonly number: Row;
  private readonly zombies: Zombies;
  /** Rows in state `holds`: addresses that hold, over all names. */
  private holders = 0;
  /** Rows in state `retained`: zombies' names and addresses, each together. */
  private pairs = 0;

  constructor(uid: string, table: MappingTable, state: CacheState) {
    this.uid = uid;
    this.state = state;
    this.table = table;
    this.number = table.openEndpoint(uid);
    this.zombies = new Zombies(table, state.zombieRules);
  }

  /** Addresses that hold, over all names. */
  get size(): number {
    return this.holders;
  }

  /** Addresses. */
  get zombieCount(): number {
    return this.pairs === 0 ? 0 : this.zombies.list(this.rows()).length;
  }

  get hasZombies(): boolean {
    return this.pairs > 0;
  }

  /** Nothing holds, and nothing is retained. */
  get isEmpty(): boolean {
    return this.table.nextInRing(this.number) === NO_ROW;
  }

  /** It is empty, and not asked again. */
  close(): void {
    this.table.closeEndpoint(this.number);
  }

  /** Something is known of that address of the name, whether it holds or not. */
  knows(name: string, address: string): boolean {
    this.table.setAddress(address);
    return this.table.knows(this.number, this.table.names.numberOf(name));
  }

  /** Joins a mapping of this endpoint in, as FqdnCache.merge does. */
  merge(mapping: Mapping): Row | null {
    const { table } = this;
    table.setAddress(mapping.address);
    const name = table.names.numberOf(mapping.name);
    let known = 0;
    let beaten = NO_ROW;
    let holders = 0;
    for (let row = table.firstHolding(this.number, name); row !== NO_ROW; row = table.nextHolding(row)) {
      if (table.isIn(row, STATE.holds)) holders++;
      if (!table.hasAddress(row)) continue;
      const order = table.order(row, mapping);
      if (order > 0) return null;
      if (order < 0) beaten = row;
      known++;
    }
    if (known === 0) return this.place(mapping, name, holders);
    if (known === 1 && beaten !== NO_ROW) {
      table.renew(beaten, mapping);
      return beaten;
    }
    const { own, all } = this.joined(mapping, this.holding(name).filter((row) => table.hasAddress(row)));
    this.hold(all);
    return all.includes(own) ? own : null;
  }

  /** Forgets what a clean beats; returns how many mappings and zombies (names and addresses) went. */
  keep(isKept: (mapping: LookedUp) => boolean): number {
    const { table, uid } = this;
    const before = this.holders + this.pairs;
    this.forget(this.rows().filter((row) => !isKept({ endpointUid: uid, name: table.name(row), lookupMs: table.lookupMs(row) })));
    return before - this.holders - this.pairs;
  }

  /** What has expired becomes a zombie, and zombies that the rules give up go. Returns how many mappings hold no more. */
  collect(): number {
    const { table, state } = this;
    const before = this.holders;
    const expired = this.rows().filter((row) => table.isIn(row, STATE.holds) && isPast(table.expiryMs(row), state));
    for (const rows of this.ofNames(new Set(expired.map((row) => table.nameNumber(row)))).values()) this.settle(rows);
    if (this.pairs > 0) {
      const { dead, evicted } = this.zombies.collect(this.rows(), state.passes);
      this.bury(dead.flatMap(({ names }) => names));
      this.evictZombies(evicted.flatMap(({ names }) => names));
    }
    this.shed();
    return before - this.holders;
  }

  /** A pass over the connection table that began then saw connections with these addresses. */
  seen(live: ReadonlySet<AddressKey>, startedMs: MonoMs): void {
    this.zombies.seen(live, startedMs, this.rows());
  }

  /** All that is known: what waits behind another mapping of its address, and zombies, too. */
  *everything(): Generator<Mapping> {
    for (const row of this.rows()) {
      const mapping = this.table.at(row);
      if (mapping !== null) yield mapping;
    }
  }

  /** One entry per name and address. */
  *zombieEntries(): Generator<ZombieEntry> {
    const { table, uid } = this;
    for (const { names, aliveAtMs, pendingAtMs } of this.pairs === 0 ? [] : this.zombies.list(this.rows())) {
      for (const row of names) yield { endpointUid: uid, name: table.name(row), address: table.address(row), aliveAtMs, pendingAtMs };
    }
  }

  counts(): EndpointCounts {
    const { table } = this;
    const names = new Set<number>();
    const addresses = new Set<AddressKey>();
    for (let row = table.nextInRing(this.number); row !== NO_ROW; row = table.nextInRing(row)) {
      if (!table.isIn(row, STATE.holds)) continue;
      names.add(table.nameNumber(row));
      addresses.add(table.addressKey(row));
    }
    return { endpointUid: this.uid, names: names.size, addresses: addresses.size, zombies: this.zombieCount };
  }

  private rows(): Row[] {
    const rows: Row[] = [];
    for (let row = this.table.nextInRing(this.number); row !== NO_ROW; row = this.table.nextInRing(row)) rows.push(row);
    return rows;
  }

  /** What holds of a name (by its number), and what waits behind that. */
  private holding(name: number): Row[] {
    const rows: Row[] = [];
    for (let row = this.table.firstHolding(this.number, name); row !== NO_ROW; row = this.table.nextHolding(row)) rows.push(row);
    return rows;
  }

  /** All that is known of names, by their numbers. */
  private ofNames(names: ReadonlySet<number>): Map<number, Row[]> {
    if (names.size === 0) return new Map();
    return Map.groupBy(this.rows().filter((row) => names.has(this.table.nameNumber(row))), (row) => this.table.nameNumber(row));
  }

  /** A mapping of an address that does not hold, but may be retained. `holders`: how many addresses of the name hold. */
  private place(mapping: Mapping, name: number, holders: number): Row | null {
    const { table, state } = this;
    const former = table.retained(this.number, name);
    if (former.some((row) => table.order(row, mapping) > 0)) return null;
    const { own, all } = this.joined(mapping, former);
    const [first] = all;
    const isFull = holders >= state.maxAddressesPerName;
    // What a limit takes at once does not hold in between: it stays the zombie that it was.
    if (isPast(table.expiryMs(first), state) || (isFull && this.isLeast(first))) {
      this.retain(all);
      if (isFull) this.settleZombies();
    } else {
      this.hold(all);
      if (isFull) this.limit(table.nameNumber(first));
      this.settleZombies();
      if (this.holders > MAPPINGS_PER_ENDPOINT_MAX) this.evict();
    }
    this.shed();
    // A bound may have taken it.
    return all.includes(own) && table.isMapping(own) ? own : null;
  }

  /**
   * Adds a mapping that none of its address, all of which is `known`, beats. Returns its row, and all of the address, the latest
   * expiry first: KNOWN_MAX at most, so it may lack the mapping's own.
   */
  private joined(mapping: Mapping, known: readonly Row[]): { readonly own: Row; readonly all: Row[] } {
    const { table } = this;
    if (known.length === 0) {
      const row = this.insert(mapping);
      return { own: row, all: [row] };
    }
    const beaten = known.filter((row) => table.order(row, mapping) < 0);
    // Who knows a row by its number is to see one of the beaten renewed.
    const own = beaten.length > 0 ? beaten[0] : this.insert(mapping);
    table.renew(own, mapping);
    const all = known.filter((row) => !beaten.includes(row)).concat(own);
    // Look-ups ascend, expiries descend.
    all.sort((a, b) => table.lookupMs(a) - table.lookupMs(b));
    for (const row of [...beaten.slice(1), ...all.splice(1, all.length - KNOWN_MAX)]) this.remove(row);
    return { own, all };
  }

  /** Of its name's addresses that hold it is the first that a limit takes. */
  private isLeast(row: Row): boolean {
    const { table } = this;
    return this.holding(table.nameNumber(row)).every((other) => !table.isIn(other, STATE.holds) || other === row || this.byExpiry(other, row) > 0);
  }

  /** One address too many: the earliest expiry becomes a zombie. */
  private limit(name: number): void {
    const { table } = this;
    const rows = this.holding(name);
    const first = rows.filter((row) => table.isIn(row, STATE.holds)).reduce((found, row) => (this.byExpiry(row, found) < 0 ? row : found));
    this.retain([first, ...rows.filter((row) => row !== first && table.hasSameAddress(row, first))]);
  }

  /** All of one address, the latest expiry first: it holds. */
  private hold([first, ...behind]: readonly Row[]): void {
    this.setState(first, STATE.holds);
    for (const row of behind) this.setState(row, STATE.holdsBehind);
  }

  /** All of one address, the latest expiry first: it is a zombie, or stays one. */
  private retain(rows: readonly Row[]): void {
    const { table } = this;
    const former = rows.filter((row) => table.isRetained(row));
    const pass = former.length === 0 ? this.state.passes.ended : Math.max(...former.map((row) => table.pass(row)));
    rows.forEach((row, i) => {
      this.setState(row, i === 0 ? STATE.retained : STATE.retainedBehind);
      table.setPass(row, pass);
    });
  }

  /** The zombies that go, so that there is room: the least. */
  private shed(): void {
    const max = Math.max(MAPPINGS_PER_ENDPOINT_MAX, this.state.zombieRules.maxPerEndpoint);
    if (this.pairs > max) this.evictZombies(this.zombies.over(max - Math.ceil(max / EVICTED_SHARE), this.rows()));
  }

  private evictZombies(rows: readonly Row[]): void {
    this.bury(rows);
    this.state.zombiesEvicted += rows.length;
  }

  /** Forgets mappings, and says anew of their names what holds. */
  private forget(rows: readonly Row[]): void {
    const gone = Map.groupBy(rows, (row) => this.table.nameNumber(row));
    for (const [name, ofName] of this.ofNames(new Set(gone.keys()))) {
      const ofNameGone = new Set(gone.get(name));
      for (const row of ofNameGone) this.remove(row);
      this.settle(ofName.filter((row) => !ofNameGone.has(row)));
    }
  }

  /** Says anew what holds of all that is known of a name: of what has not expired the latest, as many as the limit allows. */
  private settle(rows: readonly Row[]): void {
    const { table, state } = this;
    // Of each address all mappings, the latest expiry first; and these lists as a limit takes them.
    const ranked = [...Map.groupBy(rows, (row) => table.addressKey(row)).values()];
    for (const ofAddress of ranked) ofAddress.sort((a, b) => table.expiryMs(b) - table.expiryMs(a));
    ranked.sort((a, b) => this.byExpiry(a[0], b[0]));
    const good = ranked.filter(([first]) => !isPast(table.expiryMs(first), state));
    const holders = new Set(good.slice(-state.maxAddressesPerName));
    for (const ofAddress of ranked) {
      if (holders.has(ofAddress)) this.hold(ofAddress);
      else this.retain(ofAddress);
    }
    this.settleZombies();
  }

  private settleZombies(): void {
    this.zombies.settle(() => this.rows());
  }

  /** Forgets zombies that were let go of: of each name and address the row with the latest expiry. */
  private bury(dead: readonly Row[]): void {
    const { table } = this;
    if (dead.length > 0) this.state.burials++;
    for (const row of dead) {
      this.lose(row);
      table.setAddress(table.address(row));
      const rows = table.retained(this.number, table.nameNumber(row));
      this.state.graves.add(rows.map((one) => table.at(one)!));
      for (const one of rows) this.remove(one);
    }
    this.settleZombies();
  }

  private evict(): void {
    const { table } = this;
    const shown = this.rows().filter((row) => table.isIn(row, STATE.holds));
    shown.sort((a, b) => table.expiryMs(a) - table.expiryMs(b) || compareTexts(table.name(a), table.name(b)) || compareTexts(table.address(a), table.address(b)));
    const taken = shown.slice(0, Math.ceil(shown.length / EVICTED_SHARE));
    const before = this.holders;
    for (const row of taken) this.lose(row);
    this.forget(taken.flatMap((row) => this.holding(table.nameNumber(row)).filter((other) => table.hasSameAddress(other, row))));
    this.state.evicted += before - this.holders;
  }

  /** It goes, whether it has expired or not. */
  private lose(row: Row): void {
    const { table, state, uid } = this;
    if (isPast(table.expiryMs(row), state)) return;
    if (state.lost.length === LOST_MAX) state.hasLostMore = true;
    else state.lost.push({ endpointUid: uid, name: table.name(row), address: table.address(row) });
  }

  private insert(mapping: Mapping): Row {
    this.holders++;
    return this.table.insert(this.number, mapping);
  }

  private setState(row: Row, state: State): void {
    if (this.table.isIn(row, state)) return;
    this.uncount(row, state === STATE.retainedBehind);
    this.table.setState(row, state);
    if (state === STATE.holds) this.holders++;
    else if (state === STATE.retained) this.pairs++;
  }

  private remove(row: Row): void {
    this.uncount(row, false);
    this.table.remove(row);
  }

  /** The row leaves its state. `staysZombie`: its name and address are a zombie's still. */
  private uncount(row: Row, staysZombie: boolean): void {
    const { table } = this;
    if (table.isIn(row, STATE.holds)) this.holders--;
    if (!table.isIn(row, STATE.retained)) return;
    this.pairs--;
    if (!staysZombie) this.zombies.leaves(row, this.state.passes);
  }

  /** Ascending: what a limit takes first, the earliest expiry, at equal expiry the least address. */
  private byExpiry(a: Row, b: Row): number {
    return this.table.expiryMs(a) - this.table.expiryMs(b) || compareTexts(this.table.address(a), this.table.address(b));
  }
}
