/**
 * The cache with its zombies against a second implementation that is deliberately dumb: it keeps every mapping that it was
 * ever told in one list, and after each event works everything out anew.
 */
import t from 'tap';
import fc from 'fast-check';
import { type MonoMs, monoMs } from '../base/seams.js';
import { type Clean, FqdnCache, type Mapping, ZOMBIE_LOOKUP_MS } from './cache.js';
import type { ConnectionRun, LiveConnection } from './connections.js';
import { COLLECT_GRACE_MS } from './mapping.js';

const PER_NAME = 2;
const ZOMBIES = 4;
const GRACE_MS = 3000;

interface DumbZombie {
  readonly endpointUid: string;
  readonly address: string;
  readonly names: Set<string>;
  aliveAtMs: number;
  pendingAtMs: number;
  addedAtPass: number;
}

class DumbCache {
  told: Mapping[] = [];
  cleans: Clean[] = [];
  zombies: DumbZombie[] = [];
  buried: Mapping[] = [];
  passes: number[] = [];
  nowMs = -Infinity;

  merge(mapping: Mapping): void {
    const isOldNews = this.isPast(mapping) && this.buried.some((other) => isSame(other, mapping)
      && this.buriedMax(mapping, 'lookupMs') >= mapping.lookupMs && this.buriedMax(mapping, 'expiryMs') >= mapping.expiryMs);
    if (!isOldNews) this.told.push(mapping);
    this.settle();
  }

  clean(clean: Clean): void {
    this.cleans.push(clean);
    this.settle();
  }

  connectionsSeen(run: ConnectionRun): void {
    for (const live of run.live) {
      for (const zombie of this.zombies) {
        if (zombie.endpointUid === live.endpointUid && zombie.address === live.address) zombie.aliveAtMs = Math.max(zombie.aliveAtMs, run.startedMs);
      }
    }
    this.passes.push(run.startedMs);
  }

  collect(nowMs: number): void {
    this.nowMs = Math.max(this.nowMs, nowMs);
    this.settle();
    for (const uid of new Set(this.zombies.map(({ endpointUid }) => endpointUid))) this.collectEndpoint(uid);
  }

  /** What holds: of each address the latest expiry, of these the latest, as far as they have not expired. */
  holding(): Mapping[] {
    return this.pairs().filter((mapping) => !this.isPast(mapping)).filter((mapping, _, good) => {
      const better = good.filter((other) => other.endpointUid === mapping.endpointUid && other.name === mapping.name
        && (other.expiryMs > mapping.expiryMs || (other.expiryMs === mapping.expiryMs && other.address > mapping.address)));
      return better.length < PER_NAME;
    });
  }

  private pairs(): Mapping[] {
    const left = this.told.filter((mapping) => !this.cleans.some((clean) => mapping.lookupMs <= clean.atMs
      && (clean.endpointUid === null || clean.endpointUid === mapping.endpointUid)
      && (clean.matchPattern === null || clean.matchPattern === mapping.name)));
    return left.filter((mapping, at) => !left.some((other, otherAt) => isSame(other, mapping)
      && (other.expiryMs > mapping.expiryMs || (other.expiryMs === mapping.expiryMs && otherAt > at))));
  }

  private settle(): void {
    const pairs = this.pairs();
    const holding = this.holding();
    for (const zombie of this.zombies) {
      for (const name of zombie.names) {
        const of = (mapping: Mapping): boolean => isSame(mapping, { ...zombie, name });
        if (holding.some(of) || !pairs.some(of)) zombie.names.delete(name);
      }
    }
    this.zombies = this.zombies.filter(({ names }) => names.size > 0);
    for (const zombie of this.zombies) zombie.pendingAtMs = 0;
    for (const mapping of pairs) {
      if (holding.includes(mapping)) continue;
      let zombie = this.zombies.find(({ endpointUid, address }) => endpointUid === mapping.endpointUid && address === mapping.address);
      if (zombie === undefined) {
        zombie = { endpointUid: mapping.endpointUid, address: mapping.address, names: new Set(), aliveAtMs: -Infinity, pendingAtMs: 0, addedAtPass: 0 };
        this.zombies.push(zombie);
      }
      if (!zombie.names.has(mapping.name)) zombie.addedAtPass = this.passes.length;
      zombie.names.add(mapping.name);
      zombie.pendingAtMs = Math.max(zombie.pendingAtMs, mapping.expiryMs + COLLECT_GRACE_MS);
    }
  }

  private collectEndpoint(uid: string): void {
    const mine = this.zombies.filter(({ endpointUid }) => endpointUid === uid);
    const connected = mine.filter((zombie) => this.isConnected(zombie));
    const isNameAlive = (name: string): boolean => connected.some(({ names }) => names.has(name));
    const dead = new Set(mine.filter(({ names }) => ![...names].some(isNameAlive)));
    const alive = mine.filter((zombie) => !dead.has(zombie));
    for (const name of new Set(alive.flatMap(({ names }) => [...names]).filter(isNameAlive))) {
      const ofName = alive.filter(({ names }) => names.has(name)).sort(leastFirst);
      for (const zombie of ofName.slice(0, Math.max(0, ofName.length - PER_NAME))) dead.add(zombie);
    }
    const left = mine.filter((zombie) => !dead.has(zombie)).sort(leastFirst);
    for (const zombie of left.slice(0, Math.max(0, left.length - ZOMBIES))) dead.add(zombie);
    for (const { endpointUid, address, names } of dead) {
      const isGone = (mapping: Mapping): boolean => mapping.endpointUid === endpointUid && mapping.address === address && names.has(mapping.name);
      this.buried.push(...this.told.filter(isGone).filter((mapping) => this.pairsOf(mapping)));
      this.told = this.told.filter((mapping) => !isGone(mapping));
    }
    this.zombies = this.zombies.filter((zombie) => !dead.has(zombie));
  }

  /** Whether no clean has taken it. */
  private pairsOf(mapping: Mapping): boolean {
    return !this.cleans.some((clean) => mapping.lookupMs <= clean.atMs
      && (clean.endpointUid === null || clean.endpointUid === mapping.endpointUid)
      && (clean.matchPattern === null || clean.matchPattern === mapping.name));
  }

  private isConnected(zombie: DumbZombie): boolean {
    if (this.passes.length < zombie.addedAtPass + 2) return true;
    const last = Math.max(...this.passes);
    return last <= zombie.pendingAtMs + GRACE_MS || last <= zombie.aliveAtMs;
  }

  private buriedMax(mapping: Mapping, field: 'lookupMs' | 'expiryMs'): number {
    return Math.max(...this.buried.filter((other) => isSame(other, mapping)).map((other) => other[field]));
  }

  private isPast(mapping: Mapping): boolean {
    return mapping.expiryMs + COLLECT_GRACE_MS <= this.nowMs;
  }
}

function isSame(a: Pick<Mapping, 'endpointUid' | 'name' | 'address'>, b: Pick<Mapping, 'endpointUid' | 'name' | 'address'>): boolean {
  return a.endpointUid === b.endpointUid && a.name === b.name && a.address === b.address;
}

function leastFirst(a: DumbZombie, b: DumbZombie): number {
  if (a.aliveAtMs !== b.aliveAtMs) return a.aliveAtMs < b.aliveAtMs ? -1 : 1;
  if (a.pendingAtMs !== b.pendingAtMs) return a.pendingAtMs < b.pendingAtMs ? -1 : 1;
  if (a.names.size !== b.names.size) return a.names.size < b.names.size ? -1 : 1;
  return a.address < b.address ? -1 : 1;
}

type Event =
  | { readonly kind: 'learn'; readonly mapping: Omit<Mapping, 'lookupMs' | 'expiryMs'>; readonly agoMs: number }
  | { readonly kind: 'clean'; readonly matchPattern: string | null; readonly endpointUid: string | null; readonly agoMs: number }
  | { readonly kind: 'pass'; readonly live: readonly LiveConnection[]; readonly agoMs: number }
  | { readonly kind: 'collect' };

const uid = fc.constantFrom('uid-a', 'uid-b');
const name = fc.constantFrom('a.test.', 'b.test.', 'c.test.');
const address = fc.constantFrom('192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4', '2001:db8::1', '2001:db8::2', '2001:db8::3');
const agoMs = fc.constantFrom(0, 0, 0, 1000, 9000);

const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ kind: fc.constant('learn' as const), mapping: fc.record({ endpointUid: uid, name, address, ttlSeconds: fc.integer({ min: 0, max: 30 }) }), agoMs }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('clean' as const), matchPattern: fc.option(name), endpointUid: fc.option(uid), agoMs }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('pass' as const), live: fc.array(fc.record({ endpointUid: uid, address }), { maxLength: 3 }), agoMs }) },
  { weight: 6, arbitrary: fc.constant({ kind: 'collect' as const }) },
);

interface Seen {
  died: number;
  evicted: number;
}

function bothSay(events: readonly { readonly event: Event; readonly waitMs: number }[], seen: Seen): boolean {
  const cache = new FqdnCache({
    maxAddressesPerName: PER_NAME, maxZombies: ZOMBIES, idleGraceMs: GRACE_MS, matcher: (pattern) => (text) => text === pattern,
  });
  const dumb = new DumbCache();
  let nowMs = 100_000;
  for (const { event: one, waitMs } of events) {
    nowMs += waitMs;
    const before = cache.zombieCount;
    for (const side of [cache, dumb]) play(side, one, nowMs);
    if (one.kind === 'collect' && cache.zombieCount < before) seen.died++;
    if (said(cache.mappings()) !== said(dumb.holding()) || zombiesOf(cache) !== dumbZombiesOf(dumb)) return false;
    if (cache.size !== dumb.holding().length) return false;
  }
  seen.evicted += cache.zombiesEvictedCount;
  return true;
}

function play(side: FqdnCache | DumbCache, one: Event, nowMs: number): void {
  switch (one.kind) {
    case 'learn': {
      const lookupMs = nowMs - one.agoMs;
      side.merge({ ...one.mapping, lookupMs: monoMs(lookupMs), expiryMs: monoMs(lookupMs + one.mapping.ttlSeconds * 1000) });
      break;
    }
    case 'clean':
      side.clean({ matchPattern: one.matchPattern, endpointUid: one.endpointUid, atMs: monoMs(nowMs - one.agoMs) });
      break;
    case 'pass':
      side.connectionsSeen({ startedMs: monoMs(nowMs - one.agoMs), live: one.live });
      break;
    case 'collect':
      side.collect(monoMs(nowMs));
      break;
  }
}

function said(mappings: Iterable<Mapping>): string {
  return [...mappings].map((m) => `${m.endpointUid} ${m.name} ${m.address} ${m.expiryMs}`).sort().join('\n');
}

function zombiesOf(cache: FqdnCache): string {
  return [...cache.zombies()].map((z) => `${z.endpointUid} ${z.name} ${z.address} ${z.aliveAtMs} ${z.pendingAtMs}`).sort().join('\n');
}

function dumbZombiesOf({ zombies }: DumbCache): string {
  return zombies.flatMap((z) => [...z.names].map((one) => (
    `${z.endpointUid} ${one} ${z.address} ${z.aliveAtMs === -Infinity ? null : z.aliveAtMs} ${z.pendingAtMs}`
  ))).sort().join('\n');
}

t.test('the cache says after each event what the dumb one says', (t) => {
  const seen: Seen = { died: 0, evicted: 0 };
  const step = fc.record({ event, waitMs: fc.constantFrom(0, 1000, 5000, 20_000) });
  fc.assert(fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (events) => bothSay(events, seen)), { numRuns: 1500 });
  t.ok(seen.died > 100, `${seen.died} collections in which zombies died`);
  t.ok(seen.evicted > 100, `${seen.evicted} zombies that a limit took`);
  t.end();
});

function one(overrides: Partial<Mapping> = {}): Mapping {
  return { endpointUid: 'u', name: 'a.test.', address: '192.0.2.1', ttlSeconds: 5, lookupMs: monoMs(1000), expiryMs: monoMs(6000), ...overrides };
}

function cacheWith(...mappings: readonly Mapping[]): FqdnCache {
  const cache = new FqdnCache({ maxAddressesPerName: 10, matcher: (pattern) => (text) => text === pattern });
  for (const mapping of mappings) cache.merge(mapping);
  return cache;
}

function pass(startedMs: number, ...addresses: readonly string[]): ConnectionRun {
  return { startedMs: monoMs(startedMs), live: addresses.map((text) => ({ endpointUid: 'u', address: text })) };
}

const at = (ms: number): MonoMs => monoMs(ms);

t.test('an expired mapping is let go of only after two passes, of which the last began after its expiry', (t) => {
  const cache = cacheWith(one());
  for (const startedMs of [7000, 8000, 9000]) cache.connectionsSeen(pass(startedMs));
  t.equal(cache.collect(at(60_000)), 1);
  t.equal(cache.size, 0);
  t.equal(cache.zombieCount, 1, 'passes before it became a zombie do not count');
  cache.connectionsSeen(pass(61_000));
  cache.collect(at(62_000));
  t.equal(cache.zombieCount, 1, 'one is not enough');
  cache.connectionsSeen(pass(63_000));
  cache.collect(at(64_000));
  t.equal(cache.zombieCount, 0);
  t.same([...cache.everything()], []);
  t.end();
});

t.test('a connection keeps its address, and that the name\'s others, until a pass shows nothing of it', (t) => {
  const other = one({ address: '192.0.2.2' });
  const alien = one({ name: 'b.test.', address: '192.0.2.3' });
  const cache = cacheWith(one(), other, alien);
  cache.collect(at(60_000));
  cache.connectionsSeen(pass(61_000, '192.0.2.1'));
  cache.connectionsSeen(pass(62_000, '192.0.2.1'));
  cache.collect(at(63_000));
  t.same([...cache.zombies()].map((z) => [z.address, z.aliveAtMs]), [['192.0.2.1', 62_000], ['192.0.2.2', null]]);
  t.same([...cache.nodeSet().get('a.test.')!], [['192.0.2.1', 63_000 + ZOMBIE_LOOKUP_MS], ['192.0.2.2', 63_000 + ZOMBIE_LOOKUP_MS]]);
  t.equal(cache.nodeSet().has('b.test.'), false);
  cache.connectionsSeen(pass(64_000));
  cache.collect(at(65_000));
  t.equal(cache.zombieCount, 0);
  t.end();
});

t.test('where look-ups are everybody\'s, so are connections: another pod\'s keeps the address', (t) => {
  for (const isShared of [true, false]) {
    const cache = new FqdnCache({ maxAddressesPerName: 10, isShared, matcher: (pattern) => (text) => text === pattern });
    for (const address of ['192.0.2.1', '192.0.2.2']) cache.merge(one({ name: `${address}.test.`, address }));
    cache.collect(at(60_000));
    for (const startedMs of [61_000, 62_000]) cache.connectionsSeen({ startedMs: at(startedMs), live: [{ endpointUid: 'other', address: '192.0.2.2' }] });
    cache.collect(at(63_000));
    t.same([...cache.zombies()].map((z) => [z.endpointUid, z.address]), isShared ? [['u', '192.0.2.2']] : []);
  }
  t.end();
});

t.test('a new answer ends the zombie of that name alone, and a clean takes zombies, too', (t) => {
  const cache = cacheWith(one(), one({ name: 'b.test.' }));
  cache.collect(at(60_000));
  t.ok(cache.merge(one({ lookupMs: at(61_000), expiryMs: at(66_000) })));
  t.same([...cache.zombies()].map((z) => z.name), ['b.test.']);
  t.same([...cache.mappings()].map((m) => m.name), ['a.test.']);
  t.equal(cache.clean({ matchPattern: 'b.test.', endpointUid: null, atMs: at(61_000) }), 1);
  t.equal(cache.zombieCount, 0);
  t.equal(cache.size, 1);
  t.end();
});

t.test('what was let go of does not come back from a peer that still has it, a new look-up does', (t) => {
  const cache = cacheWith(one());
  cache.collect(at(60_000));
  cache.connectionsSeen(pass(61_000));
  cache.connectionsSeen(pass(62_000));
  cache.collect(at(63_000));
  t.notOk(cache.merge(one()));
  t.same([...cache.endpointUids()], []);
  t.ok(cache.merge(one({ lookupMs: at(64_000), expiryMs: at(69_000) })));
  const restarted = cacheWith();
  t.ok(restarted.merge(one()), 'a member that was away takes it');
  restarted.collect(at(63_000));
  t.equal(restarted.zombieCount, 1, 'and looks for its connections first');
  t.end();
});

t.test('names without end on one address stay within the bound, and cost their endpoint alone', (t) => {
  const cache = cacheWith(one({ endpointUid: 'other' }));
  for (let round = 0; round < 4; round++) {
    const nowMs = round * 60_000;
    for (let i = 0; i < 15_000; i++) cache.merge(one({ name: `n${round}-${i}.test.`, lookupMs: at(nowMs), expiryMs: at(nowMs + 1000) }));
    cache.collect(at(nowMs + 60_000));
  }
  const names = [...cache.zombies()].filter((z) => z.endpointUid === 'u');
  t.ok(names.length <= 32_768 && names.length > 16_384, `${names.length} names`);
  t.ok(names.some((z) => z.name === 'n3-14999.test.'), 'the latest stay');
  t.ok(cache.zombiesEvictedCount > 0);
  t.ok([...cache.zombies()].some((z) => z.endpointUid === 'other'));
  t.end();
});

t.test('members that tell each other all they know at any moment bury in the end what nothing uses', (t) => {
  const deed = fc.record({ who: fc.constantFrom(0, 1), what: fc.constantFrom('collect', 'pass', 'tell', 'tell'), waitMs: fc.constantFrom(0, 1000, 30_000) });
  let revived = 0;
  fc.assert(
    fc.property(fc.array(deed, { minLength: 20, maxLength: 80, size: 'max' }), (deeds) => {
      const members = [cacheWith(one(), one({ name: 'b.test.' })), cacheWith(one({ address: '192.0.2.2' }))];
      let nowMs = 60_000;
      const act = (who: number, what: string): void => {
        nowMs += 1;
        const [own, other] = [members[who], members[1 - who]];
        if (what === 'collect') own.collect(at(nowMs));
        else if (what === 'pass') own.connectionsSeen(pass(nowMs));
        else for (const known of [...own.everything()]) if (other.merge(known)) revived++;
      };
      for (const { who, what, waitMs } of deeds) {
        nowMs += waitMs;
        act(who, what);
      }
      // From here on they bury in turns, and tell each other before and after: each would revive the other's dead.
      for (let turn = 0; turn < 8; turn++) for (const what of ['tell', 'pass', 'pass', 'collect', 'tell']) act(turn % 2, what);
      return members.every((cache) => cache.size === 0 && cache.zombieCount === 0 && [...cache.everything()].length === 0);
    }),
    { numRuns: 500 },
  );
  t.ok(revived > 500, `${revived} mappings were told that were news`);
  t.end();
});
