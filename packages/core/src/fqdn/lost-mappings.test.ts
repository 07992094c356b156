import t from 'tap';
import { monoMs } from '../base/seams.js';
import { FqdnCache, MAPPINGS_PER_ENDPOINT_MAX } from './cache.js';

function merge(cache: FqdnCache, name: string, address: string, expiryMs: number): void {
  cache.merge({ endpointUid: 'u', name, address, lookupMs: monoMs(0), ttlSeconds: expiryMs / 1000, expiryMs: monoMs(expiryMs) });
}

t.test('what a limit took before it expired is told once, when it is let go of; what has expired, or is cleaned, is not', (t) => {
  const cache = new FqdnCache({ maxAddressesPerName: 1, idleGraceMs: 0, maxZombies: 1, matcher: () => () => true });
  merge(cache, 'a.', '192.0.2.1', 3_600_000);
  merge(cache, 'a.', '192.0.2.2', 3_700_000);
  merge(cache, 'a.', '192.0.2.3', 3_800_000);
  merge(cache, 'b.', '192.0.2.9', 1000);
  t.same(cache.takeLost(), [], 'these are zombies, and open');
  cache.collect(monoMs(60_000));
  t.same(cache.takeLost(), [{ endpointUid: 'u', name: 'a.', address: '192.0.2.1' }], 'of the zombies, too, there are as many as may be');
  t.same(cache.takeLost(), []);
  merge(cache, 'a.', '192.0.2.1', 3_600_000);
  cache.clean({ endpointUid: null, matchPattern: null, atMs: monoMs(60_000) });
  t.same(cache.takeLost(), []);
  t.end();
});

t.test('more than can be told is all', (t) => {
  const cache = new FqdnCache({ maxAddressesPerName: 2 ** 20, idleGraceMs: 0, matcher: () => () => true });
  for (let i = 0; i <= 2 * MAPPINGS_PER_ENDPOINT_MAX; i++) merge(cache, `n${String(i)}.`, `10.${String(i >> 16)}.${String((i >> 8) & 255)}.${String(i & 255)}`, 3_600_000);
  t.equal(cache.takeLost(), null);
  t.same(cache.takeLost(), []);
  t.end();
});
