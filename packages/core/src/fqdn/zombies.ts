/**
 * The zombies of one endpoint: addresses whose mapping no longer holds (it has expired, or a limit took it), but may have
 * connections. An address goes with all its names, and is let go of when the connection table shows nothing of it.
 *
 * Invariant: no zombie dies before two passes over the connection table have ended since it became one, and one of these
 * began after its expiry (and the grace) and did not see it. Limits can take it earlier. A zombie is the retained rows of its address, no
 * object of its own: what is beside them is of the few with connections, and of what changed since the last collection.
 */
import { type MonoMs, monoMs } from '../base/seams.js';
import { COLLECT_GRACE_MS, compareTexts } from './mapping.js';
import { type AddressKey, type MappingTable, type Row, STATE } from './mapping-table.js';

export interface ZombieRules {
  /** Addresses per endpoint at most (`--tofqdns-max-deferred-connection-deletes`); 0: none. */
  readonly maxPerEndpoint: number;
  /** Addresses per name at most, counted where one of them has a connection (`--tofqdns-endpoint-max-ip-per-hostname`). */
  readonly maxPerName: number;
  /** How long after its expiry a zombie is spared at least (`--tofqdns-idle-connection-grace-period`). */
  readonly idleGraceMs: number;
}

/** The passes over the connection table that have ended. */
export interface Passes {
  /** Since this cache was made: after a restart nothing dies before two new ones. */
  readonly ended: number;
  /** When the last of them began; -Infinity before there is one. */
  readonly lastStartedMs: number;
}

/** As it is now. */
export interface Zombie {
  /** One per name: its mapping with the latest expiry. */
  readonly names: readonly Row[];
  /** When the latest pass that saw a connection began; null: none has. */
  readonly aliveAtMs: MonoMs | null;
  /** The latest expiry of its names: before it there is nothing to decide. */
  readonly pendingAtMs: MonoMs;
  /** `Passes.ended` when the latest name was added, also if that has left. */
  readonly addedAtPass: number;
}

export interface Collected {
  readonly dead: Zombie[];
  /** Those that a limit took before the rules gave them up. */
  readonly evicted: Zombie[];
}

/** Passes that must have ended: the first may have gone by the connection before the address became a zombie. */
const PASSES_NEEDED = 2;

export class Zombies {
  private readonly table: MappingTable;
  private readonly rules: ZombieRules;
  /** Of the addresses that a pass saw: when the latest of these began. */
  private readonly alive = new Map<AddressKey, MonoMs>();
  /** Of these some name has left: it may have been the last. */
  private readonly doubted = new Set<AddressKey>();
  /** Of names that have left since the last collection: when they were added. */
  private readonly left = new Map<AddressKey, number>();

  constructor(table: MappingTable, rules: ZombieRules) {
    this.table = table;
    this.rules = rules;
  }

  /** The retained row holds again, or is gone. When all that goes along with that is done, `settle`. */
  leaves(row: Row, passes: Passes): void {
    const key = this.table.addressKey(row);
    const addedAtPass = this.table.pass(row);
    if (passes.ended < addedAtPass + PASSES_NEEDED) this.left.set(key, Math.max(addedAtPass, this.left.get(key) ?? 0));
    if (this.alive.has(key)) this.doubted.add(key);
  }

  /** What left with all its names is no zombie any more. `rows`: gives the endpoint's. */
  settle(rows: () => Iterable<Row>): void {
    if (this.doubted.size === 0) return;
    for (const row of rows()) if (this.table.isRetained(row)) this.doubted.delete(this.table.addressKey(row));
    for (const key of this.doubted) this.alive.delete(key);
    this.doubted.clear();
  }

  /** A pass over the connection table that began then saw connections with these addresses. `rows`: the endpoint's. */
  seen(live: ReadonlySet<AddressKey>, startedMs: MonoMs, rows: Iterable<Row>): void {
    for (const row of rows) {
      if (!this.table.isRetained(row)) continue;
      const key = this.table.addressKey(row);
      if (live.has(key) && (this.alive.get(key) ?? -Infinity) < startedMs) this.alive.set(key, startedMs);
    }
  }

  /** All that there are. `rows`: the endpoint's. */
  list(rows: Iterable<Row>): Zombie[] {
    const { table } = this;
    const byAddress = new Map<AddressKey, Row[]>();
    for (const row of rows) {
      if (!table.isIn(row, STATE.retained)) continue;
      const key = table.addressKey(row);
      const names = byAddress.get(key);
      if (names === undefined) byAddress.set(key, [row]);
      else names.push(row);
    }
    return Array.from(byAddress, ([key, names]) => ({
      names,
      aliveAtMs: this.alive.get(key) ?? null,
      pendingAtMs: monoMs(names.reduce((latestMs, row) => Math.max(latestMs, table.expiryMs(row)), -Infinity) + COLLECT_GRACE_MS),
      addedAtPass: names.reduce((latest, row) => Math.max(latest, table.pass(row)), this.left.get(key) ?? 0),
    }));
  }

  /** Says whom to let go of: the dead, then what is above the limits. `rows`: the endpoint's. */
  collect(rows: Iterable<Row>, passes: Passes): Collected {
    const all = this.list(rows);
    // What left is by now part of what is said of those that stay.
    for (const { names, addedAtPass } of this.left.size === 0 ? [] : all) for (const row of names) this.table.setPass(row, addedAtPass);
    this.left.clear();
    const byName = new Map<number, Zombie[]>();
    const connected = new Set(all.filter((zombie) => this.mayHaveConnections(zombie, passes)));
    for (const zombie of connected) for (const row of zombie.names) byName.set(this.table.nameNumber(row), []);
    const spared: Zombie[] = [];
    const dead: Zombie[] = [];
    for (const zombie of all) {
      let isSpared = connected.has(zombie);
      for (const row of zombie.names) {
        const ofName = byName.get(this.table.nameNumber(row));
        if (ofName === undefined) continue;
        // A name with a living address keeps its others: the next connection may go to any of them.
        isSpared = true;
        ofName.push(zombie);
      }
      (isSpared ? spared : dead).push(zombie);
    }
    return { dead, evicted: this.overLimits(spared, byName.values()) };
  }

  /** Names whose zombies go until no more than so many names and addresses together are left, the least first. `rows`: the endpoint's. */
  over(pairsMax: number, rows: Iterable<Row>): Row[] {
    const { table } = this;
    const all = this.list(rows).sort((a, b) => this.leastFirst(a, b));
    const names = all.flatMap((zombie) => [...zombie.names].sort((a, b) => table.expiryMs(a) - table.expiryMs(b) || compareTexts(table.name(a), table.name(b))));
    return names.slice(0, Math.max(0, names.length - pairsMax));
  }

  private overLimits(spared: readonly Zombie[], byName: Iterable<Zombie[]>): Zombie[] {
    const gone = new Set<Zombie>();
    for (const ofName of byName) this.take(ofName, ofName.length - this.rules.maxPerName, gone);
    this.take(spared.filter((zombie) => !gone.has(zombie)), spared.length - gone.size - this.rules.maxPerEndpoint, gone);
    return [...gone];
  }

  /** The `count` least of them. */
  private take(zombies: Zombie[], count: number, gone: Set<Zombie>): void {
    if (count <= 0) return;
    for (const zombie of zombies.sort((a, b) => this.leastFirst(a, b)).slice(0, count)) gone.add(zombie);
  }

  private mayHaveConnections({ pendingAtMs, aliveAtMs, addedAtPass }: Zombie, passes: Passes): boolean {
    const isPast = passes.lastStartedMs > pendingAtMs + this.rules.idleGraceMs;
    const isUnseen = aliveAtMs === null || passes.lastStartedMs > aliveAtMs;
    return !(isPast && isUnseen && passes.ended >= addedAtPass + PASSES_NEEDED);
  }

  /** What a limit takes first: never seen alive, then longest ago, then earliest expiry, then fewest names. */
  private leastFirst(a: Zombie, b: Zombie): number {
    const aliveA = a.aliveAtMs ?? -Infinity;
    const aliveB = b.aliveAtMs ?? -Infinity;
    if (aliveA !== aliveB) return aliveA - aliveB;
    const { table } = this;
    return a.pendingAtMs - b.pendingAtMs || a.names.length - b.names.length || compareTexts(table.address(a.names[0]), table.address(b.names[0]));
  }
}
