import { ChangeLog, type EndpointRecord, FqdnCache, type Mapping, monoMs, nameMatcher, Replica } from '@tandem/core';
import t from 'tap';
import { fqdnMapping } from './fqdn-mapping.js';
import { type Untold, UntoldMappings } from './untold-mappings.js';

const NOW = 1_000_000;
const TTL_SECONDS = 60;
const ENDPOINT: EndpointRecord = { id: 1, uid: 'uid-1', namespace: '', pod: 'a', identity: 1001, addresses: ['10.0.0.1'], ruleSet: null };

function mappingOf(name: string, address = '192.0.2.1', change: Partial<Mapping> = {}): Mapping {
  return { endpointUid: 'uid-1', name, address, lookupMs: monoMs(NOW), ttlSeconds: TTL_SECONDS, expiryMs: monoMs(NOW + TTL_SECONDS * 1000), ...change };
}

function rig(changesMax?: number): { readonly cache: FqdnCache; readonly replica: Replica; readonly untold: UntoldMappings } {
  const cache = new FqdnCache({ maxAddressesPerName: 1000, matcher: nameMatcher });
  const replica = new Replica(cache, 'me', new ChangeLog(cache.table, changesMax));
  const untold = new UntoldMappings({ cache, log: replica.log, endpointByUid: (uid) => (uid === ENDPOINT.uid ? ENDPOINT : null) });
  return { cache, replica, untold };
}

function all(untold: UntoldMappings, nowMs = NOW): Untold[] {
  const found: Untold[] = [];
  for (let next = untold.next(nowMs); next !== null; next = untold.next(nowMs)) found.push(next);
  return found;
}

/** With nothing in the cache yet. */
function up(untold: UntoldMappings): void {
  untold.taken([ENDPOINT], NOW);
  all(untold);
}

const names = (list: readonly Untold[]): string[] => list.map(({ name }) => name);

t.test('nothing is given out while there is no connection; then all of the cache, then what is new', (t) => {
  const { replica, untold } = rig();
  replica.merge([mappingOf('a.'), mappingOf('b.')], null);
  t.strictSame([all(untold), untold.waiting], [[], 2]);
  untold.taken([ENDPOINT], NOW);
  t.equal(untold.waiting, 2);
  const first = all(untold);
  t.strictSame(names(first), ['a.', 'b.']);
  replica.merge([mappingOf('c.')], null);
  const second = all(untold);
  t.strictSame(names(second), ['c.']);
  t.equal(untold.waiting, 3);
  for (const one of [...first, ...second]) untold.acknowledged(one);
  t.strictSame([untold.waiting, untold.counts.told, untold.counts.acknowledged], [0, 3, 3]);
  replica.merge([mappingOf('c.')], null);
  t.strictSame(all(untold), [], 'what is known is no news');
  t.end();
});

t.test('addresses of one answer go together; another name, or another end, does not', (t) => {
  const { replica, untold } = rig();
  up(untold);
  replica.merge([mappingOf('a.', '192.0.2.1'), mappingOf('a.', '192.0.2.2'), mappingOf('b.', '192.0.2.3'), mappingOf('b.', '192.0.2.4', { expiryMs: monoMs(NOW + 5000) })], null);
  t.strictSame(all(untold).map(({ name, addresses }) => [name, addresses]), [['a.', ['192.0.2.1', '192.0.2.2']], ['b.', ['192.0.2.3']], ['b.', ['192.0.2.4']]]);
  t.end();
});

t.test('a later look-up supersedes one that waits', (t) => {
  const { replica, untold } = rig();
  up(untold);
  replica.merge([mappingOf('a.')], null);
  replica.merge([mappingOf('a.', '192.0.2.1', { lookupMs: monoMs(NOW + 1000), expiryMs: monoMs(NOW + 90_000) })], null);
  t.strictSame(all(untold).map(({ expiryMs }) => expiryMs), [NOW + 90_000]);
  t.end();
});

t.test('a new connection is told all anew, but for what is over: that is counted', (t) => {
  const { replica, untold } = rig();
  up(untold);
  replica.merge([mappingOf('a.')], null);
  for (const one of all(untold)) untold.acknowledged(one);
  untold.down();
  replica.merge([mappingOf('long.'), mappingOf('short.', '192.0.2.9', { expiryMs: monoMs(NOW + 1000) })], null);
  untold.taken([ENDPOINT], NOW + 2000);
  t.strictSame(names(all(untold, NOW + 2000)), ['a.', 'long.']);
  t.equal(untold.counts.expired, 1);
  t.end();
});

t.test('what was collected while nobody was there is counted, too', (t) => {
  const { cache, replica, untold } = rig();
  replica.merge([mappingOf('a.')], null);
  cache.clean({ matchPattern: '*', endpointUid: null, atMs: monoMs(NOW + 1) });
  untold.taken([ENDPOINT], NOW + 2);
  t.strictSame([all(untold), untold.counts.expired], [[], 1]);
  t.end();
});

t.test('where the log of changes is overtaken, the cache is told once more', (t) => {
  const { replica, untold } = rig(4);
  up(untold);
  replica.merge(Array.from({ length: 20 }, (_, i) => mappingOf(`n${i}.`)), null);
  t.strictSame(new Set(names(all(untold))), new Set(Array.from({ length: 20 }, (_, i) => `n${i}.`)));
  t.end();
});

t.test('one that is refused is told again after a while, three times in all', (t) => {
  const { replica, untold } = rig();
  up(untold);
  replica.merge([mappingOf('a.')], null);
  let nowMs = NOW;
  for (let i = 0; i < 3; i++) {
    const [one, ...rest] = all(untold, nowMs);
    t.strictSame([one.name, rest], ['a.', []]);
    untold.refused(one, nowMs);
    t.strictSame(all(untold, nowMs), []);
    nowMs += 1000;
  }
  t.strictSame([all(untold, nowMs + 10_000), untold.counts.refused, untold.waiting, untold.dueMs], [[], 1, 0, Infinity]);
  t.end();
});

t.test('one without an answer is told again as often as it takes, until it is over', (t) => {
  const { replica, untold } = rig();
  up(untold);
  replica.merge([mappingOf('a.')], null);
  for (let i = 0; i < 10; i++) {
    const [one] = all(untold, NOW + i * 1000);
    untold.unanswered(one, NOW + i * 1000);
  }
  t.equal(untold.waiting, 1);
  t.strictSame(all(untold, NOW + TTL_SECONDS * 1000), []);
  t.strictSame([untold.counts.expired, untold.waiting], [1, 0]);
  t.end();
});

t.test('what is held of endpoints that only a later state has is told then, and nothing else anew', (t) => {
  const { cache, replica } = rig();
  const late: EndpointRecord = { ...ENDPOINT, id: 2, uid: 'late', addresses: ['10.0.0.2'] };
  let policy: readonly EndpointRecord[] = [];
  const untold = new UntoldMappings({ cache, log: replica.log, endpointByUid: (uid) => policy.find((one) => one.uid === uid) ?? null });
  const taken = (...endpoints: readonly EndpointRecord[]): string[] => {
    policy = endpoints;
    untold.taken(policy, NOW);
    return all(untold).map(({ endpoint, name }) => `${endpoint.uid} ${name}`);
  };
  replica.merge([mappingOf('a.'), mappingOf('b.', '192.0.2.2', { endpointUid: 'late' })], null);
  t.strictSame(taken(ENDPOINT), ['uid-1 a.']);
  t.strictSame(taken(ENDPOINT, { ...late, addresses: [] }), [], 'nobody has its address');
  t.strictSame(taken(ENDPOINT, late), ['late b.']);
  t.strictSame(taken(late), []);
  t.strictSame(taken(ENDPOINT, late), ['uid-1 a.'], 'the agent may have forgotten it meanwhile');
  untold.down();
  t.strictSame(all(untold), []);
  t.strictSame(taken(late), ['late b.'], 'another connection begins anew');
  t.end();
});

t.test('states that come while the cache is told are told of after it', (t) => {
  const { cache, replica } = rig();
  const policy = ['uid-1', 'x', 'y'].map((uid, i) => ({ ...ENDPOINT, id: i + 1, uid }));
  const untold = new UntoldMappings({ cache, log: replica.log, endpointByUid: (uid) => policy.find((one) => one.uid === uid) ?? null });
  replica.merge(policy.map(({ uid }) => mappingOf('a.', '192.0.2.1', { endpointUid: uid })), null);
  for (const count of [1, 2, 3]) untold.taken(policy.slice(0, count), NOW);
  const found = all(untold).map(({ endpoint }) => endpoint.uid);
  t.strictSame(['x', 'y'].map((uid) => found.filter((one) => one === uid).length), [2, 2], 'the pass that was under way need not have come to them');
  t.equal(untold.next(NOW), null);
  t.end();
});

t.test('of more that wait for an answer than there is room for none is dropped: the cache is told once more', (t) => {
  const { replica, untold } = rig();
  up(untold);
  replica.merge(Array.from({ length: 1500 }, (_, i) => mappingOf(`n${i}.`)), null);
  for (const one of all(untold)) untold.unanswered(one, NOW);
  const found = all(untold);
  t.equal(new Set(names(found)).size, 1500);
  for (const one of [...found, ...all(untold, NOW + 1000)]) untold.acknowledged(one);
  t.strictSame([all(untold, NOW + 5000), untold.waiting, untold.counts.refused], [[], 0, 0]);
  t.end();
});

t.test('of more that were refused than there is room for the oldest are given up', (t) => {
  const { replica, untold } = rig();
  up(untold);
  replica.merge(Array.from({ length: 1500 }, (_, i) => mappingOf(`n${i}.`)), null);
  for (const one of all(untold)) untold.refused(one, NOW);
  t.strictSame([all(untold).length, untold.waiting, untold.counts.refused], [0, 1024, 476]);
  t.end();
});

t.test('of an endpoint that is gone nothing is told', (t) => {
  const { replica, untold } = rig();
  up(untold);
  replica.merge([mappingOf('a.', '192.0.2.1', { endpointUid: 'gone' })], null);
  t.strictSame([all(untold), untold.counts.unknownEndpoint, untold.waiting], [[], 1, 0]);
  t.end();
});

t.test('the time to live that is told is what is left, and never below zero', (t) => {
  const untold: Untold = { endpoint: ENDPOINT, name: 'a.', addresses: ['192.0.2.1', '2001:db8::1'], expiryMs: NOW + 10_500, tries: 0 };
  t.strictSame([0, 600, 10_500, 20_000].map((ms) => fqdnMapping(untold, NOW + ms).ttl), [11, 10, 0, 0]);
  t.strictSame(fqdnMapping(untold, NOW).recordIp.map(String), ['192.0.2.1', '2001:db8::1']);
  t.strictSame(fqdnMapping(untold, NOW).metricsData?.dnsResponseData?.qtypes, [1, 28]);
  t.end();
});
