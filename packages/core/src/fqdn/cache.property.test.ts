import t from 'tap';
import fc from 'fast-check';
import { monoMs } from '../base/seams.js';
import { FqdnCache, MAPPINGS_PER_ENDPOINT_MAX, type Clean, type Mapping } from './cache.js';
import { COLLECT_GRACE_MS } from './mapping.js';

const LIMIT = 3;

type Event = { readonly kind: 'mapping'; readonly mapping: Mapping } | { readonly kind: 'clean'; readonly clean: Clean };

const mapping = fc
  .record({
    endpointUid: fc.constantFrom('uid-a', 'uid-b'),
    name: fc.constantFrom('a.test.', 'b.test.'),
    address: fc.constantFrom('192.0.2.1', '192.0.2.2', '2001:db8::1', '2001:db8::2', '192.0.2.9'),
    lookup: fc.integer({ min: 0, max: 20 }),
    ttlSeconds: fc.integer({ min: 0, max: 20 }),
  })
  .map(({ lookup, ...rest }): Mapping => ({
    ...rest,
    lookupMs: monoMs(lookup * 1000),
    expiryMs: monoMs((lookup + rest.ttlSeconds) * 1000),
  }));

const clean = fc.record({
  matchPattern: fc.constantFrom(null, 'a.test.'),
  endpointUid: fc.constantFrom(null, 'uid-a'),
  atMs: fc.integer({ min: 0, max: 20 }).map((seconds) => monoMs(seconds * 1000)),
});

const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 9, arbitrary: mapping.map((m): Event => ({ kind: 'mapping', mapping: m })) },
  { weight: 1, arbitrary: clean.map((c): Event => ({ kind: 'clean', clean: c })) },
);

function newCache(limit: number): FqdnCache {
  return new FqdnCache({ maxAddressesPerName: limit, matcher: (pattern) => (name) => name === pattern });
}

function play(events: readonly Event[], limit: number): FqdnCache {
  const cache = newCache(limit);
  for (const e of events) {
    if (e.kind === 'mapping') cache.merge(e.mapping);
    else cache.clean(e.clean);
  }
  return cache;
}

function said(mappings: Iterable<Mapping>): string {
  return JSON.stringify([...mappings].map((m) => JSON.stringify(m)).sort());
}

const reordered = fc.array(event, { maxLength: 40, size: 'max' }).chain((events) =>
  fc.tuple(fc.constant(events), fc.shuffledSubarray(events, { minLength: events.length }), fc.subarray(events)),
);

for (const limit of [Infinity, LIMIT, 1]) {
  t.test(`members that saw the same events in any order, repeated or not, hold the same cache (limit ${limit})`, (t) => {
    fc.assert(
      fc.property(reordered, ([events, shuffled, repeated]) => {
        const a = play(events, limit);
        const b = play([...shuffled, ...repeated], limit);
        return said(a.everything()) === said(b.everything()) && said(a.mappings()) === said(b.mappings())
          && a.size === b.size && JSON.stringify(a.pastCleans()) === JSON.stringify(b.pastCleans());
      }),
      { numRuns: 2000 },
    );
    t.end();
  });
}

t.test('members that collect at the same time have the same zombies, whatever came first', (t) => {
  const zombies = (cache: FqdnCache): string => JSON.stringify([...cache.zombies()].map((z) => `${z.endpointUid} ${z.name} ${z.address}`).sort());
  let some = 0;
  fc.assert(
    fc.property(reordered, fc.integer({ min: 0, max: 45 }), ([events, shuffled, repeated], seconds) => {
      const [a, b] = [play(events, LIMIT), play([...shuffled, ...repeated], LIMIT)];
      const counts = [a, b].map((cache) => cache.collect(monoMs(seconds * 1000)));
      some += a.zombieCount;
      return counts[0] === counts[1] && zombies(a) === zombies(b) && said(a.everything()) === said(b.everything()) && said(a.mappings()) === said(b.mappings());
    }),
    { numRuns: 2000 },
  );
  t.ok(some > 1000, `${some} zombies`);
  t.end();
});

t.test('a cache knows an address of a name while it tells of it, as a zombie, too', (t) => {
  fc.assert(fc.property(fc.array(event, { maxLength: 40 }), fc.array(mapping), fc.integer({ min: 0, max: 40 }), (events, asked, seconds) => {
    const cache = play(events, LIMIT);
    cache.collect(monoMs(seconds * 1000));
    const keyOf = ({ endpointUid, name, address }: Mapping): string => `${endpointUid} ${name} ${address}`;
    const told = new Set([...cache.everything()].map(keyOf));
    return asked.every((one) => cache.knows(one) === told.has(keyOf(one)));
  }));
  t.end();
});

t.test('what one cache tells of itself brings another to the same', (t) => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40, size: 'max' }), fc.array(event, { maxLength: 10, size: 'max' }), (events, others) => {
      const a = play(events, LIMIT);
      const b = play(others, LIMIT);
      for (const [from, to] of [[a, b], [b, a]]) {
        for (const past of from.pastCleans()) to.clean(past);
        for (const m of [...from.everything()]) to.merge(m);
      }
      return said(a.everything()) === said(b.everything()) && said(a.mappings()) === said(b.mappings());
    }),
    { numRuns: 2000 },
  );
  t.end();
});

t.test('the limit keeps the latest expiries, of equal ones the greatest addresses', (t) => {
  fc.assert(
    fc.property(fc.array(mapping, { maxLength: 40, size: 'max' }), (all) => {
      const cache = play(all.map((m): Event => ({ kind: 'mapping', mapping: m })), LIMIT);
      const expected = new Set<string>();
      for (const of of Map.groupBy(all, (m) => `${m.endpointUid} ${m.name}`).values()) {
        const best = [...Map.groupBy(of, (m) => m.address)].map(([address, list]) => ({ address, expiryMs: Math.max(...list.map((m) => m.expiryMs)) }));
        best.sort((a, b) => b.expiryMs - a.expiryMs || (a.address < b.address ? 1 : -1));
        for (const { address, expiryMs } of best.slice(0, LIMIT)) expected.add(`${of[0].endpointUid} ${of[0].name} ${address} ${expiryMs}`);
      }
      const shown = [...cache.mappings()].map((m) => `${m.endpointUid} ${m.name} ${m.address} ${m.expiryMs}`);
      return shown.length === expected.size && shown.every((text) => expected.has(text));
    }),
    { numRuns: 2000 },
  );
  t.end();
});

t.test('what has expired goes at collection, not before', (t) => {
  const cache = newCache(LIMIT);
  const base = { endpointUid: 'u', name: 'a.test.', ttlSeconds: 5, lookupMs: monoMs(1000) };
  cache.merge({ ...base, address: '192.0.2.1', expiryMs: monoMs(6000) });
  cache.merge({ ...base, address: '192.0.2.2', expiryMs: monoMs(9000) });
  t.equal(cache.size, 2);
  t.equal(cache.collect(monoMs(6000)), 0, 'an extension that was not passed on yet still counts');
  t.equal(cache.collect(monoMs(6000 + COLLECT_GRACE_MS)), 1);
  t.equal(cache.size, 1);
  t.equal(cache.clean({ matchPattern: null, endpointUid: 'u', atMs: monoMs(6000 + COLLECT_GRACE_MS) }), 2, 'an endpoint that is gone takes its zombies along');
  t.equal(cache.size, 0);
  t.same([...cache.endpointUids()], []);
  t.end();
});

t.test('a later look-up with an earlier expiry counts once a clean has removed the longer-lived one', (t) => {
  const cache = newCache(LIMIT);
  const base = { endpointUid: 'u', name: 'a.test.', address: '192.0.2.1', ttlSeconds: 5 };
  cache.merge({ ...base, lookupMs: monoMs(0), expiryMs: monoMs(20_000) });
  cache.merge({ ...base, lookupMs: monoMs(10_000), expiryMs: monoMs(15_000) });
  t.same([...cache.mappings()].map((m) => m.expiryMs), [20_000]);
  t.equal(cache.clean({ matchPattern: null, endpointUid: null, atMs: monoMs(5000) }), 0, 'the address stays');
  t.same([...cache.mappings()].map((m) => m.expiryMs), [15_000]);
  t.end();
});

t.test('a clean removes what was looked up before it and stops late copies of it', (t) => {
  const cache = newCache(LIMIT);
  const early: Mapping = {
    endpointUid: 'u',
    name: 'a.test.',
    address: '192.0.2.1',
    ttlSeconds: 60,
    lookupMs: monoMs(1000),
    expiryMs: monoMs(61_000),
  };
  t.ok(cache.merge(early));
  t.equal(cache.clean({ matchPattern: 'a.test.', endpointUid: null, atMs: monoMs(2000) }), 1);
  t.notOk(cache.merge(early), 'a copy still on its way');
  t.ok(cache.merge({ ...early, lookupMs: monoMs(3000), expiryMs: monoMs(63_000) }), 'a later look-up');
  t.end();
});

t.test('the latest expiry stays whatever came before it, and names without end take only their own endpoint\'s room', (t) => {
  const base = { endpointUid: 'u', name: 'a.test.', address: '192.0.2.1', ttlSeconds: 5 };
  const shrinking = Array.from({ length: 12 }, (_, i) => ({ ...base, lookupMs: monoMs(i * 100), expiryMs: monoMs(100_000 - i * 100) }));
  for (const order of [shrinking, [...shrinking].reverse()]) {
    const cache = newCache(LIMIT);
    for (const m of order) cache.merge(m);
    t.same([...cache.mappings()].map((m) => m.expiryMs), [100_000]);
    t.equal([...cache.everything()].length, 8);
    t.equal(cache.size, 1);
  }
  const cache = newCache(LIMIT);
  cache.merge({ ...base, endpointUid: 'other', lookupMs: monoMs(0), expiryMs: monoMs(1) });
  for (let i = 0; i < MAPPINGS_PER_ENDPOINT_MAX + 10; i++) {
    cache.merge({ ...base, name: `n${i}.test.`, lookupMs: monoMs(0), expiryMs: monoMs(10_000 + (i > MAPPINGS_PER_ENDPOINT_MAX / 2 ? 1 : 0)) });
  }
  t.ok(cache.size <= MAPPINGS_PER_ENDPOINT_MAX + 1);
  t.ok(cache.evictedCount > 0);
  t.ok(cache.size > MAPPINGS_PER_ENDPOINT_MAX / 2);
  t.ok([...cache.mappings()].some((m) => m.endpointUid === 'other'));
  t.ok([...cache.mappings()].some((m) => m.name === `n${MAPPINGS_PER_ENDPOINT_MAX}.test.`), 'the latest stays');
  t.end();
});
