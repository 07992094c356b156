/** A state folder with the cache of one member in it, for tests. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clean, FqdnCache, type Log, type Mapping, monoMs, type Role } from '@tandem/core';
import { CacheFolder } from '../cache-files.js';
import type { ClockPair } from '../cache-frames.js';
import { type BootClock, type Loaded, loadCache } from '../cache-load.js';
import { CacheStore, type CacheStoreOptions } from '../cache-store.js';

export const RETRY_EVERY_MS = 5;
/** Some time after the boot, and some time of day. */
export const NOW: ClockPair = { wallMs: 1_800_000_000_000, monoMs: 10_000_000 };

export class TestClock implements BootClock {
  bootId = 'boot-1';
  wallMs = NOW.wallMs;
  monoMs = NOW.monoMs;

  now(): ClockPair {
    return { wallMs: this.wallMs, monoMs: this.monoMs };
  }

  pass(ms: number): void {
    this.wallMs += ms;
    this.monoMs += ms;
  }
}

export class LogLines implements Log {
  readonly errors: string[] = [];
  readonly warnings: string[] = [];
  readonly notes: string[] = [];

  debug(): void {
    // Nobody looks at these.
  }

  info(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.notes.push(`${message} ${JSON.stringify(fields)}`);
  }

  warn(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.warnings.push(`${message} ${JSON.stringify(fields)}`);
  }

  error(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.errors.push(`${message} ${JSON.stringify(fields)}`);
  }
}

export interface Opened {
  readonly cache: FqdnCache;
  readonly store: CacheStore;
  readonly log: LogLines;
}

export class CacheRig {
  readonly dir: string;
  readonly clock = new TestClock();
  private readonly parent: string;

  constructor() {
    this.parent = mkdtempSync(join(tmpdir(), 'tandem-cache-'));
    this.dir = join(this.parent, 'state');
  }

  remove(): void {
    rmSync(this.parent, { recursive: true, force: true });
  }

  /** A process of this role that starts: what is on disk is in its cache. */
  open(options: Partial<CacheStoreOptions> = {}, role: Role = 'agent'): Opened {
    const cache = newCache();
    const log = new LogLines();
    const store = new CacheStore({
      cache, stateDir: this.dir, role, log, clock: this.clock, retryEveryMs: RETRY_EVERY_MS, ...options,
    });
    store.restore();
    return { cache, store, log };
  }

  /** What a process would find, by default an hour later; writes nothing. */
  look(afterMs = 3_600_000): { readonly cache: FqdnCache; readonly log: LogLines; readonly loaded: Loaded } {
    const cache = newCache();
    const log = new LogLines();
    const clock = Object.assign(new TestClock(), this.clock);
    clock.pass(afterMs);
    return { cache, log, loaded: loadCache(new CacheFolder(this.dir, 'agent', log), cache, clock) };
  }

  mapping(i: number, changes: Partial<Mapping> = {}): Mapping {
    return mappingAt(this.clock.monoMs, i, changes);
  }
}

/** Patterns are names. */
export function newCache(): FqdnCache {
  return new FqdnCache({ maxAddressesPerName: 1000, matcher: (pattern) => (name) => name === pattern });
}

export function mappingAt(lookup: number, i: number, changes: Partial<Mapping> = {}): Mapping {
  const lookupMs = changes.lookupMs ?? monoMs(lookup);
  const ttlSeconds = changes.ttlSeconds ?? 300;
  return {
    endpointUid: `uid-${i % 3}`, name: `n${i}.example.`, address: `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`,
    lookupMs, ttlSeconds, expiryMs: monoMs(lookupMs + ttlSeconds * 1000), ...changes,
  };
}

export function learn({ cache, store }: Opened, ...mappings: readonly Mapping[]): void {
  for (const mapping of mappings) if (cache.merge(mapping)) store.put(mapping);
}

export function forget({ cache, store }: Opened, clean: Clean): void {
  cache.clean(clean);
  store.putClean(clean);
}

/** Comparable, whatever the order. */
export function contentOf(cache: FqdnCache): string[] {
  return [...cache.everything()].map((mapping) => JSON.stringify(Object.entries(mapping).sort())).sort();
}

export function namesOf(cache: FqdnCache): string[] {
  return [...cache.mappings()].map(({ name }) => name).sort();
}

const NAMES = 100;
const CLEAN_EVERY = 37;

/** The changes of `cache-writer`: names that are looked up again and again, now and then a clean of one. */
export function mappingOfChange(number: number): Mapping {
  return mappingAt(NOW.monoMs + number, number % NAMES, { endpointUid: 'uid-0' });
}

export function isCleanAt(number: number): boolean {
  return number % CLEAN_EVERY === 0;
}

export function cleanAt(number: number): Clean {
  return { matchPattern: `n${(number * 7) % NAMES}.example.`, endpointUid: null, atMs: monoMs(NOW.monoMs + number) };
}
