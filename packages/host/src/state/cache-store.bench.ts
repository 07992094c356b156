/**
 * What the cache on disk costs the control thread: `npx node packages/host/dist/state/cache-store.bench.js`.
 * Loading at the start, a change, and a checkpoint with the longest time that it holds up others.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { FqdnCache, type Mapping, monoMs } from '@tandem/core';
import { bootTimeMs } from 'node-reuseport';
import { CacheStore } from './cache-store.js';
import { LogLines } from './testing/cache-rig.js';

const MAPPINGS = 100_000;
const ENDPOINTS = 20;
/** What one message from the data plane or the peer holds. */
const AT_ONCE = 100;
const RENEWALS = 5;
const TTL_SECONDS = 300;

const dir = mkdtempSync(join(tmpdir(), 'tandem-bench-'));
const show = (what: string, value: string): void => {
  process.stdout.write(`${what.padEnd(60)} ${value.padStart(12)}\n`);
};
const nextTurn = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve); });

function mappingAt(i: number, lookup: number): Mapping {
  return {
    endpointUid: `0b5a7c1e-6d1f-4f0e-9a55-${String(i % ENDPOINTS).padStart(12, '0')}`, name: `service-${i}.some-namespace.example.`,
    address: `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`, lookupMs: monoMs(lookup), ttlSeconds: TTL_SECONDS,
    expiryMs: monoMs(lookup + TTL_SECONDS * 1000),
  };
}

function openStore(checkpointNow = false): { cache: FqdnCache; store: CacheStore; log: LogLines; restoreMs: number } {
  const cache = new FqdnCache({ maxAddressesPerName: 1000, matcher: (pattern) => (name) => name === pattern });
  const log = new LogLines();
  const store = new CacheStore({ cache, stateDir: dir, role: 'agent', log, ...(checkpointNow ? { firstCheckpointMs: 1 } : {}) });
  const startMs = performance.now();
  store.restore();
  return { cache, store, log, restoreMs: performance.now() - startMs };
}

/** Processor time of this thread, in microseconds. */
async function learnAll(cache: FqdnCache, store: CacheStore | null, lookup: number): Promise<number> {
  const all = Array.from({ length: MAPPINGS }, (_, i) => mappingAt(i, lookup));
  const before = process.threadCpuUsage();
  for (let at = 0; at < all.length; at += AT_ONCE) {
    for (const mapping of all.slice(at, at + AT_ONCE)) if (cache.merge(mapping)) store?.put(mapping);
    await nextTurn();
  }
  await store?.durable();
  const { user, system } = process.threadCpuUsage(before);
  return user + system;
}

async function longestTurn(until: Promise<void>): Promise<number> {
  let isOver = false;
  void until.then(() => { isOver = true; });
  let longestMs = 0;
  for (let lastMs = performance.now(); !isOver;) {
    await nextTurn();
    const nowMs = performance.now();
    longestMs = Math.max(longestMs, nowMs - lastMs);
    lastMs = nowMs;
  }
  return longestMs;
}

try {
  const nowMs = Math.floor(bootTimeMs());
  const first = openStore();
  await learnAll(first.cache, first.store, nowMs);
  for (let round = 1; round <= RENEWALS; round++) {
    const withStoreUs = await learnAll(first.cache, first.store, nowMs + round * 2);
    const withoutUs = await learnAll(first.cache, null, nowMs + round * 2 + 1);
    show(`renewal ${round}: this thread's processor time per change, of it for the disk`, `${(withStoreUs / MAPPINGS).toFixed(2)} µs ${((withStoreUs - withoutUs) / MAPPINGS).toFixed(2)} µs`);
  }
  await first.store.close();
  const files = readdirSync(dir);
  show(`files: ${files.join(' ')}`, `${(files.reduce((sum, name) => sum + statSync(join(dir, name)).size, 0) / 1e6).toFixed(1)} MB`);
  const second = openStore(true);
  show(`restore: ${second.log.notes[0]}`, `${second.restoreMs.toFixed(0)} ms`);
  const checkpoints = (): number => readdirSync(dir).filter((name) => name.endsWith('.checkpoint')).length;
  const had = checkpoints();
  const startMs = performance.now();
  const published = (async () => {
    while (checkpoints() === had && performance.now() - startMs < 30_000) await nextTurn();
  })();
  const longestMs = await longestTurn(published);
  show('checkpoint, from the timer to its name', `${(performance.now() - startMs).toFixed(0)} ms`);
  show('  longest turn of the loop meanwhile', `${longestMs.toFixed(1)} ms`);
  await second.store.close();
  const third = openStore();
  show(`restore: ${third.log.notes[0]}`, `${third.restoreMs.toFixed(0)} ms`);
  await third.store.close();
} finally {
  rmSync(dir, { recursive: true, force: true });
}
