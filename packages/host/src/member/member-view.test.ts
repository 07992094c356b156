import t, { type Test } from 'tap';
import { AppError, monoMs, PROTOCOL } from '@tandem/core';
import { bootTimeMs } from 'node-reuseport';
import { Node, snapshotOf } from '../pair/testing/members.js';
import { settingsView } from '../control/settings-view.js';
import type { Member } from './member.js';
import { MemberView } from './member-view.js';

function viewed(t: Test): { member: Member; view: MemberView } {
  const node = new Node();
  const { member } = node.member('agent');
  t.teardown(async () => {
    await member.stop();
    node.remove();
  });
  return { member, view: new MemberView(member) };
}

function merge(member: Member, rows: readonly { uid?: string; name: string; address: string; lookupMs?: number; ttlSeconds?: number }[]): void {
  const nowMs = bootTimeMs();
  member.mappings.merge(rows.map(({ uid = 'uid-1', name, address, lookupMs = nowMs, ttlSeconds = 30 }) => ({
    endpointUid: uid, name, address, lookupMs: monoMs(lookupMs), ttlSeconds, expiryMs: monoMs(lookupMs + ttlSeconds * 1000),
  })));
}

t.test('expiration less look-up is the TTL, in every row', (t) => {
  const { member, view } = viewed(t);
  const nowMs = bootTimeMs();
  merge(member, Array.from({ length: 2000 }, (_, i) => ({ name: `n${i}.example.`, address: '192.0.2.1', lookupMs: nowMs - i * 0.37, ttlSeconds: 1 + (i % 600) })));
  const rows = view.cacheList({ endpointId: null, matchPattern: null, source: null });
  t.equal(rows.length, 2000);
  const wrong = rows.filter((row) => Date.parse(row['expiration-time']) - Date.parse(row['lookup-time']) !== row.ttl * 1000);
  t.strictSame(wrong, []);
  t.end();
});

t.test('a row is a look-up with all its addresses; rows are sorted and filtered', async (t) => {
  const { member, view } = viewed(t);
  await member.enforce(snapshotOf(1));
  const lookupMs = bootTimeMs();
  merge(member, [
    { name: 'b.example.', address: '192.0.2.9', lookupMs }, { name: 'b.example.', address: '192.0.2.10', lookupMs },
    { name: 'b.example.', address: '192.0.2.1', lookupMs: lookupMs - 1000 }, { name: 'a.example.', address: '2001:db8::1', lookupMs },
    { uid: 'gone', name: 'c.example.', address: '192.0.2.1', lookupMs },
  ]);
  const list = (filter: Partial<Parameters<MemberView['cacheList']>[0]>): string[] =>
    view.cacheList({ endpointId: null, matchPattern: null, source: null, ...filter }).map((row) => `${row['endpoint-id']} ${row.fqdn} ${row.ips.join(',')}`);
  t.strictSame(list({}), ['0 c.example. 192.0.2.1', '1 a.example. 2001:db8::1', '1 b.example. 192.0.2.1', '1 b.example. 192.0.2.10,192.0.2.9']);
  t.strictSame(list({ endpointId: 0 }), ['0 c.example. 192.0.2.1'], 'an endpoint that is gone has the number 0');
  t.strictSame(list({ matchPattern: 'a.*' }), ['1 a.example. 2001:db8::1']);
  t.strictSame(list({ source: 'connection' }), []);
  t.throws(() => list({ matchPattern: 'a[b' }), AppError);
  t.match(view.status().cache, { names: 3, mappings: 5 });
  t.strictSame(view.cacheClean('b.example'), { removed: 3 });
  t.strictSame(list({}), ['0 c.example. 192.0.2.1', '1 a.example. 2001:db8::1']);
  t.throws(() => view.cacheClean('a[b'), AppError, 'and nothing is cleaned');
  t.strictSame(view.cacheClean(null), { removed: 2 });
});

t.test('mappings that have expired and were not collected yet are told apart', (t) => {
  const { member, view } = viewed(t);
  merge(member, [{ name: 'a.example.', address: '192.0.2.1' }, { name: 'b.example.', address: '192.0.2.1', lookupMs: bootTimeMs() - 60_000 }]);
  t.match(view.status().cache, { names: 2, mappings: 2, valid: 1 });
  t.end();
});

t.test('a member without addresses and policy says what is missing', async (t) => {
  const { member, view } = viewed(t);
  t.match(view.ready(), { ready: false, reason: /not bound/ });
  t.match(view.status().policy, { revision: null, hash: null, appliedAt: null, endpoints: 0 });
  t.strictSame(view.endpoints(), []);
  t.strictSame(view.policies(), []);
  t.throws(() => view.trace({ from: 'shop/web', server: { address: '192.0.2.53', port: 53, protocol: PROTOCOL.udp }, name: 'a.example.' } as never), AppError);
  await member.enforce(snapshotOf(1));
  t.match(view.endpoints(), [{ id: 1, namespace: 'shop', pod: 'web', uid: 'uid-1', enforced: false }]);
  t.match(view.ready(), { ready: false }, 'policy alone is not enough');
});

t.test('a step of the wall clock changes no duration', (t) => {
  const { member, view } = viewed(t);
  merge(member, [{ name: 'a.example.', address: '192.0.2.1' }]);
  const now = Date.now.bind(Date);
  t.teardown(() => { Date.now = now; });
  const longest = 60_000;
  for (const stepMs of [-3_600_000, 3_600_000]) {
    Date.now = () => now() + stepMs;
    const { uptimeSeconds } = view.status();
    t.ok(uptimeSeconds >= 0 && uptimeSeconds * 1000 < longest, `up for ${uptimeSeconds} s`);
    t.ok(member.lagMs >= 0 && member.lagMs < longest, `without a peer for ${member.lagMs} ms`);
  }
  t.end();
});

t.test('settings are shown by their names, as flags would have them', (t) => {
  const { member, view } = viewed(t);
  const settings = view.settings();
  t.match(settings, { 'node-name': member.settings.nodeName, 'slots': member.settings.slots, 'policy-audit-mode': false, 'tofqdns-endpoint-max-ip-per-hostname': member.settings.maxIpsPerHostname });
  t.equal(settingsView({ ...member.settings, hubbleListen: '/run/a.sock' }, 'agent')['hubble-listen'], 'unix:/run/a.sock');
  t.match(settings.listen, [/^127\.[0-9.]+:[0-9]+$/]);
  t.match(settings['tofqdns-idle-connection-grace-period'], /^[0-9]+ms$/);
  t.end();
});

t.test('the HTTP address is shown as it was bound', (t) => {
  const { member, view } = viewed(t);
  member.httpListen = { address: '127.0.0.1', family: 4, port: 12_345 };
  t.equal(view.status().httpListen, '127.0.0.1:12345');
  t.end();
});

t.test('metrics are there before there is anything to measure', async (t) => {
  const { view } = viewed(t);
  t.match(await view.metricsText(), /tandem_policy_revision\{node="node",role="agent"\} 0\n/);
});
