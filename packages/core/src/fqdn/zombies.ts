/**
 * The zombies of one endpoint: addresses whose mapping no longer holds (it has expired, or a limit took it), but may have
 * connections. An address goes with all its names, and is let go of when the connection table shows nothing of it.
 *
 * Invariant: no zombie dies before two passes over the connection table have ended since it became one, and one of these
 * began after its expiry (and the grace) and did not see it. Limits can take it earlier. Does not know what a mapping is.
 */
import type { MonoMs } from '../base/seams.js';
import { compareTexts } from './mapping.js';

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

export class Zombie {
  readonly address: string;
  /** Name → until when its mapping may have been good at the latest. */
  readonly names = new Map<string, MonoMs>();
  /** When the latest pass that saw a connection began; null: none has. */
  aliveAtMs: MonoMs | null = null;
  /** `Passes.ended` when the latest name was added. */
  addedAtPass = 0;
  private latestMs: number | null = null;

  constructor(address: string) {
    this.address = address;
  }

  /** The latest expiry of its names: before it there is nothing to decide. */
  get pendingAtMs(): number {
    if (this.latestMs === null) {
      this.latestMs = -Infinity;
      for (const expiryMs of this.names.values()) this.latestMs = Math.max(this.latestMs, expiryMs);
    }
    return this.latestMs;
  }

  set(name: string, expiryMs: MonoMs): void {
    this.names.set(name, expiryMs);
    this.latestMs = null;
  }

  /** False: it had no such name. */
  delete(name: string): boolean {
    this.latestMs = null;
    return this.names.delete(name);
  }
}

/** A name and an address that are let go of. */
export interface Dead {
  readonly name: string;
  readonly address: string;
}

export interface Collected {
  readonly dead: Dead[];
  /** How many of these a limit took before the rules gave them up. */
  readonly evicted: number;
}

/** Passes that must have ended: the first may have gone by the connection before the address became a zombie. */
const PASSES_NEEDED = 2;

export class Zombies {
  private readonly rules: ZombieRules;
  private readonly byAddress = new Map<string, Zombie>();
  private pairs = 0;

  constructor(rules: ZombieRules) {
    this.rules = rules;
  }

  /** Addresses. */
  get size(): number {
    return this.byAddress.size;
  }

  /** Names and addresses, each together. */
  get pairCount(): number {
    return this.pairs;
  }

  all(): IterableIterator<Zombie> {
    return this.byAddress.values();
  }

  /** `expiryMs`: until when the mapping may have been good at the latest; for a name that it has, another. */
  add(name: string, address: string, expiryMs: MonoMs, passes: Passes): void {
    let zombie = this.byAddress.get(address);
    if (zombie === undefined) this.byAddress.set(address, (zombie = new Zombie(address)));
    if (!zombie.names.has(name)) {
      this.pairs++;
      zombie.addedAtPass = passes.ended;
    }
    zombie.set(name, expiryMs);
  }

  /** The mapping holds again, or is gone. */
  drop(name: string, address: string): void {
    const zombie = this.byAddress.get(address);
    if (zombie?.delete(name) !== true) return;
    this.pairs--;
    if (zombie.names.size === 0) this.byAddress.delete(address);
  }

  /** A pass over the connection table that began then saw a connection with the address. */
  seen(address: string, startedMs: MonoMs): void {
    const zombie = this.byAddress.get(address);
    if (zombie !== undefined && (zombie.aliveAtMs ?? -Infinity) < startedMs) zombie.aliveAtMs = startedMs;
  }

  /** Lets go of the dead, then of what is above the limits. */
  collect(passes: Passes): Collected {
    if (this.byAddress.size === 0) return { dead: [], evicted: 0 };
    const aliveByName = new Map<string, Zombie[]>();
    for (const zombie of this.byAddress.values()) {
      if (this.mayHaveConnections(zombie, passes)) for (const name of zombie.names.keys()) aliveByName.set(name, []);
    }
    const gone = new Set<Zombie>();
    for (const zombie of this.byAddress.values()) {
      let isAlive = this.mayHaveConnections(zombie, passes);
      for (const name of zombie.names.keys()) {
        const list = aliveByName.get(name);
        if (list === undefined) continue;
        // A name with a living address keeps its others: the next connection may go to any of them.
        isAlive = true;
        list.push(zombie);
      }
      if (!isAlive) gone.add(zombie);
    }
    const dead = this.letGo(gone);
    gone.clear();
    for (const list of aliveByName.values()) {
      const over = list.length - this.rules.maxPerName;
      if (over > 0) for (const zombie of list.sort(leastFirst).slice(0, over)) gone.add(zombie);
    }
    const overall = this.byAddress.size - gone.size - this.rules.maxPerEndpoint;
    if (overall > 0) {
      const left = [...this.byAddress.values()].filter((zombie) => !gone.has(zombie));
      for (const zombie of left.sort(leastFirst).slice(0, overall)) gone.add(zombie);
    }
    const evicted = this.letGo(gone);
    return { dead: [...dead, ...evicted], evicted: evicted.length };
  }

  /** The least go until no more than so many names and addresses together are left. */
  shed(pairsMax: number): Dead[] {
    const dead: Dead[] = [];
    for (const { names, address } of [...this.byAddress.values()].sort(leastFirst)) {
      for (const [name] of [...names].sort((a, b) => a[1] - b[1] || compareTexts(a[0], b[0]))) {
        if (this.pairs <= pairsMax) return dead;
        dead.push({ name, address });
        this.drop(name, address);
      }
    }
    return dead;
  }

  private mayHaveConnections(zombie: Zombie, passes: Passes): boolean {
    const isPast = passes.lastStartedMs > zombie.pendingAtMs + this.rules.idleGraceMs;
    const isUnseen = zombie.aliveAtMs === null || passes.lastStartedMs > zombie.aliveAtMs;
    return !(isPast && isUnseen && passes.ended >= zombie.addedAtPass + PASSES_NEEDED);
  }

  private letGo(gone: ReadonlySet<Zombie>): Dead[] {
    const dead: Dead[] = [];
    for (const { names, address } of gone) {
      for (const name of names.keys()) dead.push({ name, address });
      this.pairs -= names.size;
      this.byAddress.delete(address);
    }
    return dead;
  }
}

/** What a limit takes first: never seen alive, then longest ago, then earliest expiry, then fewest names. */
function leastFirst(a: Zombie, b: Zombie): number {
  const aliveA = a.aliveAtMs ?? -Infinity;
  const aliveB = b.aliveAtMs ?? -Infinity;
  if (aliveA !== aliveB) return aliveA - aliveB;
  return a.pendingAtMs - b.pendingAtMs || a.names.size - b.names.size || compareTexts(a.address, b.address);
}
