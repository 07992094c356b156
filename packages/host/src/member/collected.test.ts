/** What a member does with its cache over time: zombies in list and metrics, pods that are gone, files of mappings. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Mapping, type MonoMs, monoMs, NODE_UID, type Role, type Settings, snapshotHash, type Snapshot } from '@tandem/core';
import { bootTimeMs } from 'node-reuseport';
import { Node, snapshotOf } from '../pair/testing/members.js';
import { Member } from './member.js';
import { MemberView } from './member-view.js';
import { takePreCache } from './pre-cache.js';

const ALL = { endpointId: null, matchPattern: null, source: null } as const;
const LONG_AGO_MS = 600_000;

function memberOf(t: Test, role: Role = 'agent', change: Partial<Settings> = {}): { member: Member; view: MemberView; node: Node; complaints: string[] } {
  const node = new Node();
  const first = node.member(role).member;
  const complaints: string[] = [];
  const quiet = (): undefined => undefined;
  const member = new Member({
    settings: { ...first.settings, ...change }, version: '0', fail: quiet,
    log: { debug: quiet, info: quiet, warn: quiet, error: (message, fields) => { complaints.push(`${message} ${JSON.stringify(fields)}`); } },
  });
  t.teardown(async () => {
    await first.stop();
    await member.stop();
    node.remove();
  });
  return { member, view: new MemberView(member), node, complaints };
}

function mapping(change: Partial<Mapping> = {}, ttlSeconds = 30): Mapping {
  const lookupMs = change.lookupMs ?? monoMs(bootTimeMs());
  return { endpointUid: 'uid-1', name: 'a.example.', address: '192.0.2.1', ttlSeconds, expiryMs: monoMs(lookupMs + ttlSeconds * 1000), ...change, lookupMs };
}

function withPods({ revision }: Snapshot, pods: number): Snapshot {
  const endpoints = Array.from({ length: pods }, (_, i) => ({ id: i + 1, uid: `uid-${i + 1}`, namespace: 'shop', pod: `web-${i}`, identity: 256, addresses: [`127.0.0.${i + 1}`], ruleSet: null }));
  const content = { nodeName: 'node', endpoints, identities: [], services: [], ruleSets: [], fqdnSelectors: [], policies: [] };
  return { revision, hash: snapshotHash(content), ...content };
}

t.test('a zombie is a row of source connection, and counted', async (t) => {
  const { member, view } = memberOf(t);
  await member.enforce(snapshotOf(1));
  const lookupMs = monoMs(Math.max(0, bootTimeMs() - LONG_AGO_MS));
  member.mappings.teach([mapping({ lookupMs }, 1), mapping({ lookupMs, name: 'b.example.' }, 1), mapping({ name: 'c.example.' })]);
  member.cache.collect(monoMs(bootTimeMs()));
  t.match(view.cacheList({ ...ALL, source: 'connection' }), [
    { 'fqdn': 'a.example.', 'ips': ['192.0.2.1'], 'ttl': 0, 'endpoint-id': 1, 'source': 'connection', 'lookup-time': '0001-01-01T00:00:00.000Z' },
    { 'fqdn': 'b.example.', 'ips': ['192.0.2.1'], 'ttl': 0, 'endpoint-id': 1, 'source': 'connection' },
  ]);
  t.strictSame(view.cacheList({ ...ALL, source: 'lookup' }).map((row) => row.fqdn), ['c.example.']);
  t.strictSame(view.cacheList(ALL).map((row) => row.fqdn), ['a.example.', 'b.example.', 'c.example.']);
  t.strictSame(view.cacheList({ ...ALL, matchPattern: 'b.*', endpointId: 1 }).map((row) => row.fqdn), ['b.example.']);
  const startedMs = monoMs(bootTimeMs());
  member.cache.connectionsSeen({ startedMs, live: [{ endpointUid: 'uid-1', address: '192.0.2.1' }] });
  const [row] = view.cacheList({ ...ALL, source: 'connection' });
  t.ok(Math.abs(Date.parse(row['lookup-time']) - Date.now()) < 5000, 'the time it was last seen');
  t.ok(Date.parse(row['expiration-time']) > Date.now(), 'the next pass over the connections');
  const text = await view.metricsText();
  for (const line of [
    'cilium_fqdn_alive_zombie_connections{endpoint="1",node="node",role="agent"} 1', 'cilium_fqdn_active_names{endpoint="1",node="node",role="agent"} 1',
    'cilium_fqdn_active_ips{endpoint="1",node="node",role="agent"} 1', 'tandem_zombies{node="node",role="agent"} 1', 'tandem_zombies_evicted_total{node="node",role="agent"} 0', 'tandem_mappings{node="node",role="agent"} 1',
  ]) t.ok(text.includes(line), line);
  t.strictSame(view.cacheClean(null), { removed: 3 });
  t.strictSame(view.cacheList(ALL), []);
});

t.test('what a pod had learned goes when it is gone at two collections, and does not come back; the peer makes no such judgement', async (t) => {
  const { member } = memberOf(t);
  const names = (of: Member): string[] => [...of.cache.mappings()].map((m) => m.name).sort();
  const now = (): MonoMs => monoMs(bootTimeMs());
  await member.enforce(snapshotOf(1));
  const learned = mapping();
  member.mappings.teach([learned, mapping({ endpointUid: NODE_UID, name: 'node.example.' })]);
  await member.enforce(withPods(snapshotOf(2), 0));
  member.mappings.collect(now());
  await member.enforce(snapshotOf(3));
  member.mappings.collect(now());
  await member.enforce(withPods(snapshotOf(4), 0));
  member.mappings.collect(now());
  t.strictSame(names(member), ['a.example.', 'node.example.'], 'a pod that comes back has lost nothing');
  member.mappings.collect(now());
  t.strictSame(names(member), ['node.example.']);
  await member.mappings.merge([learned], 'peer');
  t.strictSame(names(member), ['node.example.'], 'a copy that a peer still had');
  t.match(member.cache.pastCleans(), [{ endpointUid: 'uid-1', matchPattern: null }]);

  const { member: proxy } = memberOf(t, 'dns-proxy');
  await proxy.enforce(withPods(snapshotOf(4), 0));
  await proxy.mappings.merge([learned], 'peer');
  for (let i = 0; i < 3; i++) proxy.mappings.collect(now());
  t.strictSame(names(proxy), ['a.example.'], 'its snapshot may be older than what it is told');
  proxy.mappings.applyCleans(member.cache.pastCleans(), 'peer');
  t.strictSame(names(proxy), []);
});

t.test('an import of an export gives the same list', async (t) => {
  const { member, view } = memberOf(t);
  await member.enforce(snapshotOf(1));
  member.mappings.teach([
    mapping({ lookupMs: monoMs(bootTimeMs()) }), mapping({ address: '2001:db8::1' }, 60), mapping({ name: 'b.example.' }, 600), mapping({ endpointUid: NODE_UID }, 70),
  ]);
  const { member: other, view: otherView } = memberOf(t, 'dns-proxy');
  await other.enforce(snapshotOf(1));
  const file = JSON.parse(JSON.stringify(view.cacheExport())) as unknown;
  t.strictSame(await otherView.cacheImport(file), { read: 4, learned: 4, known: 0, expired: 0, strangers: 0, cleaned: 0, evicted: 0 });
  const rows = (of: MemberView): unknown[] => of.cacheList(ALL).map((row) => [row.fqdn, row.ips, row.ttl, row['endpoint-id'], row.source]);
  t.strictSame(rows(otherView), rows(view));
  const timesOf = (of: MemberView): number[] => of.cacheList(ALL).flatMap((row) => [Date.parse(row['lookup-time']), Date.parse(row['expiration-time'])]);
  const expected = timesOf(view);
  t.ok(timesOf(otherView).every((ms, i) => Math.abs(ms - expected[i]) <= 2), 'times are the same but for rounding');
});

t.test('an import is all or nothing, and passes over what cannot count', async (t) => {
  const { member, view } = memberOf(t);
  await member.enforce(snapshotOf(1));
  const entry = {
    'fqdn': 'a.example.', 'lookup-time': new Date(Date.now() - 1000).toISOString(), 'expiration-time': new Date(Date.now() + 60_000).toISOString(), 'ttl': 61,
    'ips': ['192.0.2.1'], 'endpoint-uid': 'uid-1',
  };
  await t.rejects(view.cacheImport([entry, { ...entry, ttl: -1 }]), { code: 'CONFIGURATION', message: /^entry 2: ttl -1/ });
  t.equal(member.cache.size, 0);
  const expired = { ...entry, 'fqdn': 'old.example.', 'expiration-time': entry['lookup-time'] };
  const stranger = { ...entry, 'endpoint-uid': 'uid-elsewhere' };
  t.strictSame(await view.cacheImport([entry, expired, stranger]), { read: 3, learned: 1, known: 0, expired: 1, strangers: 1, cleaned: 0, evicted: 0 });
  t.match(await view.cacheImport([entry]), { learned: 0, known: 1 });
  t.match(await view.cacheImport(view.cacheExport()), { learned: 0, known: 1 }, 'what it exports itself is no news');
  view.cacheClean('a.example.');
  t.match(await view.cacheImport([entry]), { learned: 0, cleaned: 1 }, 'a clean beats what was looked up before it');
});

t.test('a large import is no fault of the disk, and what finds no room is said apart', async (t) => {
  const { member, view, complaints } = memberOf(t);
  const [pods, entries] = [4, 100_000];
  await member.enforce(withPods(snapshotOf(1), pods));
  const times = { 'lookup-time': new Date(Date.now() - 1000).toISOString(), 'expiration-time': new Date(Date.now() + 600_000).toISOString(), 'ttl': 601 };
  const entryOf = (i: number): object => ({ ...times, fqdn: `n${i}.example.`, ips: [`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`] });
  const ofPods = Array.from({ length: entries }, (_, i) => ({ ...entryOf(i), 'endpoint-uid': `uid-${(i % pods) + 1}` }));
  t.strictSame(await view.cacheImport(ofPods), { read: entries, learned: entries, known: 0, expired: 0, strangers: 0, cleaned: 0, evicted: 0 });
  t.equal(member.mappings.store.isBehind, false);
  await member.mappings.store.durable();
  const ofNode = Array.from({ length: 40_000 }, (_, i) => entryOf(i));
  const { read, learned, known, evicted } = await view.cacheImport(ofNode);
  t.equal(learned, [...member.cache.mappingsOf(NODE_UID)].length);
  t.strictSame([read, known, learned + evicted], [ofNode.length, 0, ofNode.length]);
  t.strictSame(complaints, []);
});

t.test('the pre-cache is taken; a bad one is complained about and left out', async (t) => {
  const node = new Node();
  t.teardown(() => { node.remove(); });
  const entry = {
    'fqdn': 'a.example.', 'lookup-time': new Date(Date.now() - 1000).toISOString(), 'expiration-time': new Date(Date.now() + 60_000).toISOString(), 'ttl': 61, 'ips': ['192.0.2.1'],
  };
  const path = join(node.dir, 'pre.json');
  const table: readonly [string, string | Uint8Array, RegExp | null][] = [
    ['good', JSON.stringify([entry]), null],
    ['one bad entry', JSON.stringify([entry, { ...entry, ips: ['x'] }]), /pre\.json: entry 2: ips\[0\] "x" is not allowed; allowed: an IP address/],
    ['no JSON', '[', /pre\.json: is not JSON/],
    ['no text', Uint8Array.of(0xff, 0xfe), /pre\.json: is not UTF-8 text/],
  ];
  for (const [what, content, complaint] of table) {
    writeFileSync(path, content);
    const { member, complaints } = memberOf(t, 'agent', { preCachePath: path });
    const problem = await takePreCache(member);
    t.strictSame([...member.cache.mappings()].map((m) => [m.endpointUid, m.name]), complaint === null ? [[NODE_UID, 'a.example.']] : [], what);
    if (complaint !== null) {
      t.match(problem, complaint, what);
      t.match(complaints, [/^the pre-cache is left out .*pre\.json/], what);
    }
  }
  mkdirSync(join(node.dir, 'folder'));
  for (const [file, complaint] of [['folder', /is not a regular file/], ['absent', /absent: cannot be read: ENOENT/]] as const) {
    const { member } = memberOf(t, 'agent', { preCachePath: join(node.dir, file) });
    t.match(await takePreCache(member), complaint);
  }
});
