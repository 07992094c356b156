/**
 * What renewing costs, the cache's join: `npm run bench:micro -- --only cache`; and collecting: `npx node packages/core/dist/fqdn/cache.bench.js`.
 * 20,000 mappings of 50 endpoints, renewed as the query path does it while all of them are asked for, beside as many cleans and
 * tombstones as are remembered.
 */
import { monoMs } from '../base/seams.js';
import { FqdnCache, type Mapping } from './cache.js';
import { ENDPOINT_CLEANS_MAX, PATTERN_CLEANS_MAX } from './tombstones.js';

const MAPPINGS = 20_000;
const ENDPOINTS = 50;
const ADDRESSES_PER_NAME = 4;
const EVERY_MS = 5000;
const TTL_SECONDS = 60;
const START_MS = 1_000_000;

function mappingsAt(nowMs: number): Mapping[] {
  return Array.from({ length: MAPPINGS }, (_, i) => ({
    endpointUid: `6f1d7c1e-0a52-4a1e-9b55-0000000000${i % ENDPOINTS}`, name: `n${Math.floor(i / ADDRESSES_PER_NAME / ENDPOINTS)}.shop.example.`, address: `192.0.2.${i % (ADDRESSES_PER_NAME * ENDPOINTS)}`,
    lookupMs: monoMs(nowMs), ttlSeconds: TTL_SECONDS, expiryMs: monoMs(nowMs + TTL_SECONDS * 1000),
  }));
}

function filled(isCleaned: boolean): FqdnCache {
  const cache = new FqdnCache({ maxAddressesPerName: 1000, matcher: (pattern) => (name) => name === pattern });
  if (isCleaned) {
    for (let i = 0; i < PATTERN_CLEANS_MAX; i++) cache.clean({ matchPattern: `clean${i}.example.`, endpointUid: null, atMs: monoMs(i) });
    for (let i = 0; i < ENDPOINT_CLEANS_MAX; i++) cache.clean({ matchPattern: null, endpointUid: `gone-${i}`, atMs: monoMs(i) });
  }
  for (const mapping of mappingsAt(START_MS)) cache.merge(mapping);
  return cache;
}

/** Each mapping in turn, EVERY_MS later than the last time. */
function renewals(isCleaned: boolean): (count: number) => void {
  let cache: FqdnCache | null = null;
  let [mappings, nowMs, next]: [Mapping[], number, number] = [[], START_MS, 0];
  return (count) => {
    cache ??= filled(isCleaned);
    for (let done = 0; done < count; done++, next++) {
      if (next % MAPPINGS === 0) mappings = mappingsAt(nowMs += EVERY_MS);
      if (!cache.merge(mappings[next % MAPPINGS])) throw new Error('a renewal changes nothing');
    }
  };
}

function reportCollecting(what: string, isCleaned: boolean): void {
  const cache = filled(isCleaned);
  const collectMs = timed(() => cache.collect(monoMs(START_MS + EVERY_MS)));
  const expireMs = timed(() => cache.collect(monoMs(START_MS + 10 * TTL_SECONDS * 1000)));
  for (const startedMs of [1, 2]) cache.connectionsSeen({ startedMs: monoMs(START_MS * 2 + startedMs), live: [] });
  const buryMs = timed(() => cache.collect(monoMs(START_MS * 3)));
  process.stdout.write(`${what}: collecting nothing ${collectMs.toFixed(1)} ms, making all zombies ${expireMs.toFixed(1)} ms, burying them ${buryMs.toFixed(1)} ms (${cache.zombieCount} left)\n`);
}

function timed(work: () => void): number {
  const startMs = performance.now();
  work();
  return performance.now() - startMs;
}

const CLEANED = `${PATTERN_CLEANS_MAX} cleans and ${ENDPOINT_CLEANS_MAX} tombstones`;

export const subjects: Readonly<Record<string, (count: number) => void>> = { 'renewal, no cleans': renewals(false), [`renewal, ${CLEANED}`]: renewals(true) };

if (import.meta.main) {
  reportCollecting('no cleans', false);
  reportCollecting(CLEANED, true);
}
