import t from 'tap';
import { monoMs } from '../base/seams.js';
import type { Clean, Mapping } from './mapping.js';
import { ENDPOINT_CLEANS_MAX, PATTERN_CLEANS_MAX, Tombstones } from './tombstones.js';

const exact = (pattern: string) => (name: string): boolean => name === pattern;

function mapping(endpointUid: string, name: string, lookupMs: number): Mapping {
  return { endpointUid, name, address: '192.0.2.1', lookupMs: monoMs(lookupMs), ttlSeconds: 1, expiryMs: monoMs(lookupMs + 1000) };
}

function clean(endpointUid: string | null, matchPattern: string | null, atMs: number): Clean {
  return { endpointUid, matchPattern, atMs: monoMs(atMs) };
}

t.test('a clean beats what it matches and was looked up at or before it', (t) => {
  const rows: readonly [Clean, Mapping, boolean][] = [
    [clean(null, null, 5), mapping('u', 'a.', 5), true],
    [clean(null, null, 5), mapping('u', 'a.', 6), false],
    [clean(null, 'a.', 5), mapping('u', 'a.', 5), true],
    [clean(null, 'a.', 5), mapping('u', 'b.', 5), false],
    [clean('u', null, 5), mapping('u', 'b.', 5), true],
    [clean('u', null, 5), mapping('u', 'b.', 6), false],
    [clean('u', null, 5), mapping('v', 'b.', 5), false],
    [clean('u', 'a.', 5), mapping('u', 'a.', 5), true],
    [clean('u', 'a.', 5), mapping('u', 'b.', 5), false],
    [clean('u', 'a.', 5), mapping('v', 'a.', 5), false],
  ];
  for (const [past, of, isBeaten] of rows) {
    const tombstones = new Tombstones(exact);
    const beats = tombstones.add(past);
    t.equal(beats?.(of), isBeaten, JSON.stringify([past, of]));
    t.equal(tombstones.covers(of), isBeaten);
  }
  t.end();
});

t.test('of one target the latest is kept, and an earlier one is no news', (t) => {
  const targets: readonly [string | null, string | null][] = [[null, 'a.'], ['u', null], ['u', 'a.'], [null, null]];
  for (const target of targets) {
    const tombstones = new Tombstones(exact);
    t.not(tombstones.add(clean(...target, 5)), null);
    t.equal(tombstones.add(clean(...target, 5)), null);
    t.equal(tombstones.add(clean(...target, 4)), null);
    t.not(tombstones.add(clean(...target, 6)), null);
    t.same(tombstones.all(), [clean(...target, 6)]);
  }
  t.end();
});

t.test('a flood of one kind leaves the other alone, and the latest stay whatever the order', (t) => {
  const gone = Array.from({ length: 2 * ENDPOINT_CLEANS_MAX }, (_, i) => clean(`u${i}`, null, i));
  const cleaned = Array.from({ length: 2 * PATTERN_CLEANS_MAX }, (_, i) => clean(null, `n${i}.`, i));
  for (const order of [1, -1]) {
    const tombstones = new Tombstones(exact);
    for (const one of [...gone, ...cleaned].sort((a, b) => order * (a.atMs - b.atMs))) tombstones.add(one);
    const all = tombstones.all();
    t.ok(all.length <= PATTERN_CLEANS_MAX + ENDPOINT_CLEANS_MAX * 1.125, `${all.length} are kept`);
    t.ok(all.every((one, i) => i === 0 || all[i - 1].atMs <= one.atMs), 'oldest first');
    t.ok(tombstones.covers(mapping(`u${ENDPOINT_CLEANS_MAX}`, 'x.', 0)));
    t.ok(tombstones.covers(mapping('v', `n${PATTERN_CLEANS_MAX}.`, 0)));
    t.notOk(tombstones.covers(mapping('u0', 'x.', 0)));
    t.notOk(tombstones.covers(mapping('v', 'n0.', 0)));
  }
  t.end();
});

t.test('of more endpoints than are remembered that go at one time, the same are remembered in any order', (t) => {
  const gone = Array.from({ length: ENDPOINT_CLEANS_MAX * 1.5 }, (_, i) => clean(`u${String(i).padStart(5, '0')}`, null, 1));
  const kept = [gone, [...gone].reverse()].map((order) => {
    const tombstones = new Tombstones(exact);
    for (const one of order) tombstones.add(one);
    return tombstones.all().slice(-ENDPOINT_CLEANS_MAX);
  });
  t.equal(kept[0].length, ENDPOINT_CLEANS_MAX);
  t.same(kept[0], kept[1]);
  t.end();
});
