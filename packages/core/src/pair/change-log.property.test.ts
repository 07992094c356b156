/**
 * The change log against what it is for: whoever has applied what a reader gave, from whatever revision on that the log still has, holds
 * what the cache holds, but for zombies, which each member judges itself. Rows are used again all the time here.
 */
import fc from 'fast-check';
import t from 'tap';
import { type MonoMs, monoMs } from '../base/seams.js';
import { type Clean, FqdnCache, type Mapping } from '../fqdn/cache.js';
import { ChangeLog } from './change-log.js';
import type { ChangeReader } from './change-reader.js';
import { Replica } from './replica.js';

const CHANGES_MAX = 8;
const PEER = 'peer';
const STEP_MS = 40_000;

type Event =
  | { readonly kind: 'learn'; readonly mapping: Omit<Mapping, 'lookupMs' | 'expiryMs'>; readonly isTaught: boolean }
  | { readonly kind: 'clean'; readonly clean: Omit<Clean, 'atMs'> }
  | { readonly kind: 'pass' }
  | { readonly kind: 'read'; readonly max: number };

const uid = fc.constantFrom('uid-a', 'uid-b');
const name = fc.constantFrom('a.test.', 'b.test.', 'c.test.');

const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('learn' as const), isTaught: fc.boolean(),
      mapping: fc.record({ endpointUid: uid, name, address: fc.constantFrom('192.0.2.1', '192.0.2.2', '2001:db8::1'), ttlSeconds: fc.integer({ min: 0, max: 200 }) }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('clean' as const), clean: fc.record({ endpointUid: fc.option(uid), matchPattern: fc.option(name) }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('pass' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('read' as const), max: fc.integer({ min: 1, max: 4 }) }) },
);

function newCache(): FqdnCache {
  return new FqdnCache({ maxAddressesPerName: 2, matcher: (pattern) => (text) => text === pattern });
}

/** A member, and a peer that holds all that it held when its reader was opened. */
class World {
  readonly cache = newCache();
  readonly replica = new Replica(this.cache, 'self', new ChangeLog(this.cache.table, CHANGES_MAX));
  private readonly peer = newCache();
  private reader: ChangeReader | null = null;
  nowMs = 1_000_000;
  lost = 0;
  /** Mappings that were in the log, and had left the cache when they were come to. */
  passedOver = 0;

  play(event: Event): void {
    this.nowMs += STEP_MS;
    const nowMs = monoMs(this.nowMs);
    switch (event.kind) {
      case 'learn':
        this.learn({ ...event.mapping, lookupMs: nowMs, expiryMs: monoMs(nowMs + event.mapping.ttlSeconds * 1000) }, event.isTaught);
        break;
      case 'clean':
        this.replica.clean([{ ...event.clean, atMs: nowMs }], null);
        break;
      case 'pass':
        this.pass(nowMs);
        break;
      case 'read':
        this.read(event.max);
    }
  }

  /** Reads to the end. True when both hold the same. */
  isEqual(): boolean {
    while (this.read(Infinity) > 0);
    return said(this.cache.mappings()) === said(this.peer.mappings());
  }

  private learn(mapping: Mapping, isTaught: boolean): void {
    // What the peer taught it has itself, and is not told.
    if (isTaught) this.peer.merge(mapping);
    this.replica.merge([mapping], isTaught ? PEER : null);
  }

  /** Both collect, and bury what has expired: no connection is seen. */
  private pass(startedMs: MonoMs): void {
    for (const cache of [this.cache, this.peer]) {
      cache.collect(startedMs);
      cache.connectionsSeen({ startedMs, live: [] });
    }
  }

  private read(max: number): number {
    if (this.reader === null || this.reader.isLost) this.startAnew();
    const { pending } = this.reader!;
    const { mappings, cleans } = this.reader!.take(max, Infinity);
    if (max === Infinity) this.passedOver += pending - mappings.length - cleans.length;
    for (const clean of cleans) this.peer.clean(clean);
    for (const mapping of mappings) this.peer.merge(mapping);
    return mappings.length + cleans.length;
  }

  /** As a pass of digests does where the log does not reach back. */
  private startAnew(): void {
    if (this.reader !== null) this.lost++;
    this.reader?.close();
    this.reader = this.replica.log.reader(this.replica.log.revision, PEER);
    for (const clean of this.cache.pastCleans()) this.peer.clean(clean);
    for (const mapping of this.cache.everything()) this.peer.merge(mapping);
  }
}

function said(mappings: Iterable<Mapping>): string {
  return [...mappings].map((mapping) => JSON.stringify(mapping)).sort().join('\n');
}

t.test('who applies what a reader gives holds what the cache holds, though mappings leave the cache in between', (t) => {
  let lost = 0;
  let passedOver = 0;
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60, size: 'max' }), (events) => {
      const world = new World();
      for (const one of events) world.play(one);
      const isEqual = world.isEqual();
      lost += world.lost;
      passedOver += world.passedOver;
      return isEqual;
    }),
    { numRuns: 3000 },
  );
  t.ok(lost > 100, `${lost} readers were lost`);
  t.ok(passedOver > 100, `${passedOver} mappings were passed over`);
  t.end();
});

t.test('a row that is another mapping\'s by now is not taken for the former one\'s change', (t) => {
  const cache = newCache();
  const log = new ChangeLog(cache.table);
  const mappingOf = (text: string, lookupMs: number): Mapping => ({
    endpointUid: 'u', name: text, address: '192.0.2.1', ttlSeconds: 60, lookupMs: monoMs(lookupMs), expiryMs: monoMs(lookupMs + 60_000),
  });
  const reader = log.reader(log.revision, PEER)!;
  const former = cache.merge(mappingOf('a.test.', 1000))!;
  log.mapping(former, null);
  cache.merge(mappingOf('kept.test.', 3000));
  cache.clean({ matchPattern: 'a.test.', endpointUid: null, atMs: monoMs(2000) });
  const later = cache.merge(mappingOf('b.test.', 3000))!;
  t.equal(later, former, 'the row is used again');
  t.strictSame(reader.take(10, 10), { mappings: [], cleans: [] }, 'before the later one is in the log, too');
  log.mapping(later, null);
  t.strictSame(reader.take(10, 10), { mappings: [mappingOf('b.test.', 3000)], cleans: [] });
  t.end();
});

t.test('a change that goes out of the log loses nobody when its mapping has left the cache', (t) => {
  const cache = newCache();
  const replica = new Replica(cache, 'self', new ChangeLog(cache.table, 2));
  const reader = replica.log.reader(replica.log.revision, PEER)!;
  const learn = (text: string, lookupMs: number): void => {
    replica.merge([{ endpointUid: 'u', name: text, address: '192.0.2.1', ttlSeconds: 60, lookupMs: monoMs(lookupMs), expiryMs: monoMs(lookupMs + 60_000) }], null);
  };
  learn('a.test.', 1000);
  replica.clean([{ matchPattern: 'a.test.', endpointUid: null, atMs: monoMs(2000) }], null);
  learn('b.test.', 3000);
  t.equal(replica.log.size, 2);
  t.notOk(reader.isLost);
  t.strictSame(reader.take(10, 10).cleans.length, 1);
  learn('c.test.', 3000);
  learn('d.test.', 3000);
  learn('e.test.', 3000);
  t.ok(reader.isLost, 'a mapping that is there was not read');
  t.end();
});
