import fc from 'fast-check';
import t from 'tap';
import { monoMs } from '../base/seams.js';
import { FqdnCache, type Mapping } from '../fqdn/cache.js';
import { BucketDigest, BUCKETS, CLEANS_BUCKET } from './bucket-digest.js';
import { mappingOf } from './testing/network.js';

function cacheOf(mappings: Iterable<Mapping>, maxAddressesPerName = 1000): FqdnCache {
  const cache = new FqdnCache({ maxAddressesPerName, matcher: (pattern) => (name) => name === pattern });
  for (const mapping of mappings) cache.merge(mapping);
  return cache;
}

function digestOf(cache: FqdnCache, salt = 'salt'): BucketDigest {
  const digest = new BucketDigest(cache, salt);
  while (!digest.isDone) digest.step();
  return digest;
}

const many = Array.from({ length: 5000 }, (_, n) => mappingOf(n));

t.test('equal contents have equal digests, whatever the order', (t) => {
  t.strictSame(digestOf(cacheOf(many)).differing(digestOf(cacheOf([...many].reverse())).words), []);
  t.equal(digestOf(cacheOf(many)).differing(digestOf(cacheOf(many), 'another').words).length > BUCKETS / 2, true, 'another salt, other digests');
  t.end();
});

const CHANGES: readonly [string, Partial<Mapping>][] = [
  ['look-up', { lookupMs: monoMs(0.5) }], ['TTL', { ttlSeconds: 61 }], ['expiry', { expiryMs: monoMs(60_001) }], ['address', { address: '2001:db8::1' }],
];

for (const [what, change] of CHANGES) {
  t.test(`a mapping with another ${what} makes its bucket differ, and no other`, (t) => {
    const digest = digestOf(cacheOf([...many.slice(0, 77), { ...many[77], ...change }, ...many.slice(78)]));
    const cache = cacheOf(many);
    const own = digestOf(cache);
    const index = own.rows.findIndex((row) => cache.table.address(row) === many[77].address && cache.table.name(row) === many[77].name);
    t.strictSame(own.differing(digest.words), [own.bucketOf(index)]);
    t.end();
  });
}

t.test('a clean that one does not know makes the bucket of the cleans differ', (t) => {
  const cache = cacheOf(many);
  cache.clean({ matchPattern: null, endpointUid: 'gone', atMs: monoMs(5) });
  t.strictSame(digestOf(cache).differing(digestOf(cacheOf(many)).words), [CLEANS_BUCKET]);
  t.end();
});

t.test('mappings spread over the buckets', (t) => {
  const digest = digestOf(cacheOf(Array.from({ length: 40_960 }, (_, n) => mappingOf(n))));
  const counts = new Uint32Array(BUCKETS);
  digest.rows.forEach((_, i) => counts[digest.bucketOf(i)]++);
  // Names repeat (each has about eight addresses), so a bucket has one name or two, a few none.
  t.ok(Math.max(...counts) < 150, `${Math.max(...counts)} in the fullest`);
  t.ok(counts.filter((count) => count === 0).length < BUCKETS / 2);
  t.end();
});

/** What a running member does to its cache between two slices. */
const disturbance = fc.oneof(
  fc.record({ kind: fc.constant('merge' as const), n: fc.nat({ max: 40 }), lookupMs: fc.nat({ max: 10 }) }),
  fc.record({ kind: fc.constant('clean' as const), n: fc.nat({ max: 40 }), lookupMs: fc.nat({ max: 10 }) }),
  fc.record({ kind: fc.constant('collect' as const), n: fc.nat({ max: 40 }), lookupMs: fc.constant(0) }),
);

function small(n: number, lookupMs: number, ttlMs: number): Mapping {
  return {
    endpointUid: `uid-${n % 2}`, name: `n${n % 3}.test.`, address: `192.0.2.${n}`, lookupMs: monoMs(lookupMs), ttlSeconds: ttlMs / 1000,
    expiryMs: monoMs(lookupMs + ttlMs),
  };
}

t.test('a cache can be read in slices while it changes: what does not change is come to', (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat({ max: 3 }), disturbance), { maxLength: 40 }), (steps) => {
      const cache = cacheOf(Array.from({ length: 30 }, (_, n) => small(n, n % 4, 20_000 + 5000 * (n % 5))), 3);
      const before = new Set([...cache.everything()].map((mapping) => JSON.stringify(mapping)));
      const source = cache.everything();
      const read: Mapping[] = [];
      for (const [count, { kind, n, lookupMs }] of steps) {
        for (let i = 0; i < count; i++) {
          const next = source.next();
          if (next.done !== true) read.push({ ...next.value });
        }
        if (kind === 'merge') cache.merge(small(n, lookupMs, 20_000));
        else if (kind === 'collect') cache.collect(monoMs(1000 * n));
        else cache.clean({ matchPattern: n % 2 === 0 ? null : `n${n % 3}.test.`, endpointUid: `uid-${n % 2}`, atMs: monoMs(lookupMs - 1) });
      }
      for (const mapping of source) read.push({ ...mapping });
      const seen = new Set(read.map((mapping) => JSON.stringify(mapping)));
      return [...cache.everything()].map((mapping) => JSON.stringify(mapping)).every((text) => seen.has(text) || !before.has(text));
    }),
    { numRuns: 3000 },
  );
  t.end();
});
