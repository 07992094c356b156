import t from 'tap';
import { PolicyIndex } from './decide.js';
import { STALE_SOURCE_LABEL, withoutRemotePods } from './lapse.js';
import { L4_PROTOCOL, type PolicyRule, type RuleSet, type Snapshot } from './snapshot.js';
import { ruleSetKey, sha256OfTexts, snapshotHash } from './snapshot-hash.js';
import { traceConnection } from './trace-connection.js';
import { validateSnapshot } from './validate.js';

const ORIGIN = { kind: 'CiliumNetworkPolicy', namespace: 'n', name: 'p', path: 'spec' } as const;
const PODS_PREFIX = 0x100_0000;
const rule = (...identities: number[]): PolicyRule => ({ identities, fqdns: [], ports: [], dnsPatterns: null, origin: ORIGIN });

const keyed = (one: PolicyRule): RuleSet => ({ key: ruleSetKey({ rules: [one] }), rules: [one] });

/** client may reach 257's label and every address of 10.244.0.0/16 that is no pod's; 258's label may reach server. */
const CONTENT: Snapshot = {
  revision: 1, hash: '', nodeName: 'node-1',
  endpoints: [
    { id: 1, uid: 'u1', namespace: 'n', pod: 'client', identity: 256, addresses: ['10.244.1.1'], ruleSet: 0 },
    { id: 2, uid: 'u2', namespace: 'n', pod: 'server', identity: 257, addresses: ['10.244.1.2'], ruleSet: null, ingressRuleSet: 1 },
  ],
  identities: [
    { identity: 256, labels: ['k8s:app=client'], addresses: ['10.244.1.1'] },
    { identity: 257, labels: ['k8s:app=server'], addresses: ['10.244.1.2', '10.244.2.9'] },
    { identity: 258, labels: ['k8s:app=far'], addresses: ['10.244.2.1'] },
  ],
  cidrs: [{ identity: PODS_PREFIX, cidr: '10.244.0.0/16' }],
  services: [], fqdnSelectors: [], policies: [],
  ruleSets: [keyed(rule(257, PODS_PREFIX)), keyed(rule(256, 258))],
};
const snapshot: Snapshot = { ...CONTENT, hash: snapshotHash(CONTENT) };
const lapsed = withoutRemotePods(snapshot);

function verdict(from: string, to: string, of: Snapshot): string {
  return traceConnection(PolicyIndex.build(of, null), { from, to, port: 80, protocol: L4_PROTOCOL.tcp, name: null }).verdict;
}

t.test('pods of other nodes lose what their labels gave them, and gain nothing', (t) => {
  t.equal(verdict('10.244.2.1', 'server', snapshot), 'allowed', 'a client on another node, by its label');
  t.equal(verdict('10.244.2.1', 'server', lapsed), 'denied');
  t.equal(verdict('client', '10.244.2.9', snapshot), 'allowed', 'a server on another node');
  t.equal(verdict('client', '10.244.2.9', lapsed), 'denied', 'nor is it left to a prefix that contains it');
  t.equal(verdict('client', 'server', lapsed), 'allowed', 'local pods stay what they are');
  t.equal(verdict('client', '10.244.3.7', lapsed), 'allowed', 'so do addresses that are no pod\'s');
  t.end();
});

t.test('it is a snapshot of another hash, says why, and lapses once', (t) => {
  t.not(lapsed.hash, snapshot.hash);
  t.equal(snapshotHash(lapsed), lapsed.hash);
  t.ok(lapsed.identities.find(({ identity }) => identity === 3)!.labels.includes(STALE_SOURCE_LABEL));
  t.equal(withoutRemotePods(lapsed), lapsed);
  t.doesNotThrow(() => validateSnapshot(JSON.parse(JSON.stringify(lapsed)), sha256OfTexts));
  t.end();
});

t.test('what was unmanaged before stays so', (t) => {
  const before = { ...snapshot, identities: [{ identity: 3, labels: ['reserved:unmanaged='], addresses: ['10.244.1.7'] }, ...snapshot.identities] };
  t.strictSame(withoutRemotePods(before).identities[0].addresses, ['10.244.1.7', '10.244.2.1', '10.244.2.9']);
  t.end();
});
