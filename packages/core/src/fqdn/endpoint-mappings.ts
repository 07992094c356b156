/**
 * What one endpoint has learned: of each name the addresses that hold, and those that hold no more but may have connections.
 *
 * Invariant: of one address of a name all mappings hold or all are retained, and just the
 * retained have a zombie that says when they go. Which is which follows from what is known and from the time of the last
 * collection, in whatever order it came to be known (but for MAPPINGS_PER_ENDPOINT_MAX). See README.md beside this file.
 * It does not know other endpoints, nor cleans: it is told what they leave.
 */
import { type MonoMs, monoMs } from '../base/seams.js';
import type { Graves } from './graves.js';
import { COLLECT_GRACE_MS, compareTexts, KNOWN_MAX, type LookedUp, type Mapping } from './mapping.js';
import { type MappingTable, NO_ROW, type Row, STATE } from './mapping-table.js';
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

/**
 * Addresses that hold per endpoint at most, and names and addresses of zombies. A pod can make up names without end; what it
 * then loses is its own, an eighth at a time, the earliest expiries first. A member that merged in another order may lose
 * others: this is a defence, not a rule.
 */
export const MAPPINGS_PER_ENDPOINT_MAX = 32_768;
const EVICTED_SHARE = 8;

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
  private count = 0;

  constructor(uid: string, table: MappingTable, state: CacheState) {
    this.uid = uid;
    this.state = state;
    this.table = table;
    this.number = table.openEndpoint(uid);
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
    return this.table.nextInRing(this.number) === NO_ROW;
  }

  /** It is empty, and not asked again. */
  close(): void {
    this.table.closeEndpoint(this.number);
  }

  /** Joins a mapping of this endpoint in, as FqdnCache.merge does. */
  merge(mapping: Mapping): Row | null {
    const { table } = this;
    table.setAddress(mapping.address);
    const name = table.names.numberOf(mapping.name);
    let known = 0;
    let beaten = NO_ROW;
    let holders = 0;
    for (let row = table.firstOf(this.number, name, false); row !== NO_ROW; row = table.nextOf(row)) {
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
    const { own, all } = this.joined(mapping, this.rowsOf(name, false));
    setStates(table, all, false);
    return all.includes(own) ? own : null;
  }

  /** Forgets what a clean beats; returns how many mappings and zombies (names and addresses) went. */
  keep(isKept: (mapping: LookedUp) => boolean): number {
    const { table, uid } = this;
    const before = this.count + this.zombies.pairCount;
    this.forget(this.rows().filter((row) => !isKept({ endpointUid: uid, name: table.name(row), lookupMs: table.lookupMs(row) })));
    return before - this.count - this.zombies.pairCount;
  }

  /** What has expired becomes a zombie, and zombies that the rules give up go. Returns how many mappings hold no more. */
  collect(): number {
    const { table } = this;
    const before = this.count;
    const expired = new Set<number>();
    for (let row = table.nextInRing(this.number); row !== NO_ROW; row = table.nextInRing(row)) {
      if (table.isIn(row, STATE.holds) && isPast(table.expiryMs(row), this.state)) expired.add(table.nameNumber(row));
    }
    for (const name of expired) this.settle(name);
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

  /** All that is known: what waits behind another mapping of its address, and zombies, too. */
  *everything(): Generator<Mapping> {
    for (const row of this.rows()) {
      const mapping = this.table.at(row);
      if (mapping !== null) yield mapping;
    }
  }

  /** One entry per name and address. */
  *zombieEntries(): Generator<ZombieEntry> {
    for (const { address, names, aliveAtMs, pendingAtMs } of this.zombies.all()) {
      for (const name of names.keys()) yield { endpointUid: this.uid, name, address, aliveAtMs, pendingAtMs: monoMs(pendingAtMs) };
    }
  }

  counts(): EndpointCounts {
    const { table } = this;
    const names = new Set<number>();
    const addresses = new Set<number | string>();
    for (let row = table.nextInRing(this.number); row !== NO_ROW; row = table.nextInRing(row)) {
      if (!table.isIn(row, STATE.holds)) continue;
      names.add(table.nameNumber(row));
      addresses.add(table.addressKey(row));
    }
    return { endpointUid: this.uid, names: names.size, addresses: addresses.size, zombies: this.zombies.size };
  }

  private rows(): Row[] {
    const rows: Row[] = [];
    for (let row = this.table.nextInRing(this.number); row !== NO_ROW; row = this.table.nextInRing(row)) rows.push(row);
    return rows;
  }

  /** Of a name, by its number. */
  private rowsOf(name: number, isRetained: boolean): Row[] {
    const rows: Row[] = [];
    for (let row = this.table.firstOf(this.number, name, isRetained); row !== NO_ROW; row = this.table.nextOf(row)) rows.push(row);
    return rows;
  }

  /** A mapping of an address that does not hold, but may be retained. `holders`: how many addresses of the name hold. */
  private place(mapping: Mapping, name: number, holders: number): Row | null {
    const { table, state } = this;
    const former = this.rowsOf(name, true).filter((row) => table.hasAddress(row));
    if (former.some((row) => table.order(row, mapping) > 0)) return null;
    const { own, all } = this.joined(mapping, former);
    const [first] = all;
    if (isPast(table.expiryMs(first), state)) {
      this.retain(all);
    } else {
      setStates(table, all, false);
      this.count++;
      if (holders >= state.maxAddressesPerName) this.limit(table.nameNumber(first));
      if (former.length > 0 && table.isIn(first, STATE.holds)) this.zombies.drop(mapping.name, mapping.address);
      if (this.count > MAPPINGS_PER_ENDPOINT_MAX) this.evict();
    }
    // A bound may have taken it.
    return all.includes(own) && table.isMapping(own) ? own : null;
  }

  /**
   * Adds a mapping that none of its address beats; `former` may have rows of others. Returns its row, and all of the address, the latest
   * expiry first: KNOWN_MAX at most, so it may lack the mapping's own.
   */
  private joined(mapping: Mapping, former: readonly Row[]): { readonly own: Row; readonly all: Row[] } {
    const { table } = this;
    const known = former.filter((row) => table.hasAddress(row));
    const beaten = known.filter((row) => table.order(row, mapping) < 0);
    // Who knows a row by its number is to see one of the beaten renewed.
    const own = beaten.length > 0 ? beaten[0] : table.insert(this.number, mapping);
    table.renew(own, mapping);
    const all = known.filter((row) => !beaten.includes(row)).concat(own);
    // Look-ups ascend, expiries descend.
    all.sort((a, b) => table.lookupMs(a) - table.lookupMs(b));
    for (const row of [...beaten.slice(1), ...all.splice(1, all.length - KNOWN_MAX)]) table.remove(row);
    return { own, all };
  }

  /** One address too many: the earliest expiry becomes a zombie. */
  private limit(name: number): void {
    const { table } = this;
    const rows = this.rowsOf(name, false);
    const first = rows.filter((row) => table.isIn(row, STATE.holds)).reduce((found, row) => (this.byExpiry(row, found) < 0 ? row : found));
    this.count--;
    this.retain([first, ...rows.filter((row) => row !== first && table.hasSameAddress(row, first))]);
  }

  /** All of one address, the latest expiry first. */
  private retain(rows: readonly Row[]): void {
    setStates(this.table, rows, true);
    this.addZombie(rows[0]);
    this.shed();
  }

  private shed(): void {
    const max = Math.max(MAPPINGS_PER_ENDPOINT_MAX, this.state.zombieRules.maxPerEndpoint);
    if (this.zombies.pairCount <= max) return;
    const shed = this.zombies.shed(max - Math.ceil(max / EVICTED_SHARE));
    this.bury(shed);
    this.state.zombiesEvicted += shed.length;
  }

  private addZombie(row: Row): void {
    const { table } = this;
    this.zombies.add(table.name(row), table.address(row), monoMs(table.expiryMs(row) + COLLECT_GRACE_MS), this.state.passes);
  }

  /** Forgets mappings, and says anew of their names what holds. */
  private forget(rows: readonly Row[]): void {
    const { table } = this;
    for (const [number, ofName] of Map.groupBy(rows, (row) => table.nameNumber(row))) {
      const name = table.names.text(number);
      const zombies = ofName.filter((row) => table.isIn(row, STATE.retained)).map((row) => table.address(row));
      for (const row of ofName) {
        if (table.isIn(row, STATE.holds)) this.count--;
        table.remove(row);
      }
      const retained = new Set(this.settle(number));
      for (const address of zombies) if (!retained.has(address)) this.zombies.drop(name, address);
    }
  }

  /**
   * Says anew of all that is known of a name what holds: of what has not expired the latest, as many as the limit allows. Returns the
   * addresses that are retained.
   */
  private settle(name: number): string[] {
    const { table, state } = this;
    const rows = [...this.rowsOf(name, false), ...this.rowsOf(name, true)];
    // Of each address all mappings, the latest expiry first; and these lists as a limit takes them.
    const ranked = [...Map.groupBy(rows, (row) => table.addressKey(row)).values()];
    for (const ofAddress of ranked) ofAddress.sort((a, b) => table.expiryMs(b) - table.expiryMs(a));
    ranked.sort((a, b) => this.byExpiry(a[0], b[0]));
    const good = ranked.filter(([first]) => !isPast(table.expiryMs(first), state));
    const holders = new Set(good.slice(-state.maxAddressesPerName));
    const retained: string[] = [];
    for (const ofAddress of ranked) {
      const [first] = ofAddress;
      const isHolder = holders.has(ofAddress);
      if (isHolder && table.isRetained(first)) this.zombies.drop(table.name(first), table.address(first));
      this.count += Number(isHolder) - Number(ofAddress.some((row) => table.isIn(row, STATE.holds)));
      setStates(table, ofAddress, !isHolder);
      if (isHolder) continue;
      this.addZombie(first);
      retained.push(table.address(first));
    }
    return retained;
  }

  /** Forgets zombies that were let go of. */
  private bury(dead: readonly Dead[]): void {
    const { table } = this;
    for (const [name, ofName] of Map.groupBy(dead, (one) => one.name)) {
      const rows = this.rowsOf(table.names.numberOf(name), true);
      const byAddress = Map.groupBy(rows, (row) => table.address(row));
      for (const { address } of ofName) {
        const gone = byAddress.get(address)!;
        this.state.graves.add(gone.map((row) => table.at(row)!));
        for (const row of gone) table.remove(row);
      }
    }
  }

  private evict(): void {
    const { table } = this;
    const shown = this.rows().filter((row) => table.isIn(row, STATE.holds));
    shown.sort((a, b) => table.expiryMs(a) - table.expiryMs(b) || compareTexts(table.name(a), table.name(b)) || compareTexts(table.address(a), table.address(b)));
    const taken = shown.slice(0, Math.ceil(shown.length / EVICTED_SHARE));
    const before = this.count;
    this.forget(taken.flatMap((row) => this.rowsOf(table.nameNumber(row), false).filter((other) => table.hasSameAddress(other, row))));
    this.state.evicted += before - this.count;
  }

  /** Ascending: what a limit takes first, the earliest expiry, at equal expiry the least address. */
  private byExpiry(a: Row, b: Row): number {
    return this.table.expiryMs(a) - this.table.expiryMs(b) || compareTexts(this.table.address(a), this.table.address(b));
  }
}

/** Of all mappings of one address, the latest expiry first: others wait behind it. */
function setStates(table: MappingTable, [first, ...behind]: readonly Row[], isRetained: boolean): void {
  table.setState(first, isRetained ? STATE.retained : STATE.holds);
  for (const row of behind) table.setState(row, isRetained ? STATE.retainedBehind : STATE.holdsBehind);
}
