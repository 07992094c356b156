/**
 * What renewing and collecting cost: `node packages/core/dist/fqdn/cache.bench.js`. 20,000 mappings of 50 endpoints, renewed as the
 * query path does it while all of them are asked for, beside as many cleans and tombstones as are remembered.
 */
import { monoMs } from '../base/seams.js';
import { FqdnCache, type Mapping } from './cache.js';
import { ENDPOINT_CLEANS_MAX, PATTERN_CLEANS_MAX } from './tombstones.js';

const MAPPINGS = 20_000;
const ENDPOINTS = 50;
const ADDRESSES_PER_NAME = 4;
const ROUNDS = 50;
const EVERY_MS = 5000;
const TTL_SECONDS = 60;
const MICROSECONDS = 1000;

function mappingsAt(nowMs: number): Mapping[] {
  return Array.from({ length: MAPPINGS }, (_, i) => ({
    endpointUid: `6f1d7c1e-0a52-4a1e-9b55-0000000000${i % ENDPOINTS}`, name: `n${Math.floor(i / ADDRESSES_PER_NAME / ENDPOINTS)}.shop.example.`, address: `192.0.2.${i % (ADDRESSES_PER_NAME * ENDPOINTS)}`,
    lookupMs: monoMs(nowMs), ttlSeconds: TTL_SECONDS, expiryMs: monoMs(nowMs + TTL_SECONDS * 1000),
  }));
}

function measure(what: string, isCleaned: boolean): void {
  const cache = new FqdnCache({ maxAddressesPerName: 1000, matcher: (pattern) => (name) => name === pattern });
  if (isCleaned) {
    for (let i = 0; i < PATTERN_CLEANS_MAX; i++) cache.clean({ matchPattern: `clean${i}.example.`, endpointUid: null, atMs: monoMs(i) });
    for (let i = 0; i < ENDPOINT_CLEANS_MAX; i++) cache.clean({ matchPattern: null, endpointUid: `gone-${i}`, atMs: monoMs(i) });
  }
  let nowMs = 1_000_000;
  let spentMs = 0;
  for (let round = 0; round < ROUNDS; round++, nowMs += EVERY_MS) {
    const mappings = mappingsAt(nowMs);
    const startMs = performance.now();
    for (const mapping of mappings) cache.merge(mapping);
    spentMs += performance.now() - startMs;
  }
  const renewUs = (spentMs / ROUNDS / MAPPINGS) * MICROSECONDS;
  const collectMs = timed(() => cache.collect(monoMs(nowMs)));
  const expireMs = timed(() => cache.collect(monoMs(nowMs + 10 * TTL_SECONDS * 1000)));
  for (const startedMs of [1, 2]) cache.connectionsSeen({ startedMs: monoMs(nowMs * 2 + startedMs), live: [] });
  const buryMs = timed(() => cache.collect(monoMs(nowMs * 3)));
  process.stdout.write(`${what}: ${renewUs.toFixed(2)} µs a renewal; collecting nothing ${collectMs.toFixed(1)} ms, making all zombies ${expireMs.toFixed(1)} ms, burying them ${buryMs.toFixed(1)} ms (${cache.zombieCount} left)\n`);
}

function timed(work: () => void): number {
  const startMs = performance.now();
  work();
  return performance.now() - startMs;
}

measure('no cleans', false);
measure(`${PATTERN_CLEANS_MAX} cleans and ${ENDPOINT_CLEANS_MAX} tombstones`, true);
