import t from 'tap';
import { AppError } from '../base/app-error.js';
import { ruleSetKey, snapshotHash } from './snapshot-hash.js';
import type { EndpointLocation, PolicyRule, Snapshot } from './snapshot.js';
import { validateSnapshot } from './validate.js';

type Draft = { -readonly [K in keyof Snapshot]: Snapshot[K] } & Record<string, unknown>;

const RULE: PolicyRule = {
  identities: [256, 300], fqdns: [], ports: [{ first: 53, last: 53, protocol: 17 }], dnsPatterns: [{ matchName: null, matchPattern: '*' }],
  origin: { kind: 'CiliumNetworkPolicy', namespace: 'default', name: 'p', path: 'spec.egress[0]' },
};

const VETH = { address: '10.0.0.1', interface: 7 };
const BRIDGED = { ...VETH, mac: '02:00:00:00:00:0a', bridge: 3 };

/** Of `draft()`, by the release before places of endpoints. */
const HASH_BEFORE_PLACES = '94153718167e91ec22a3b7b4dec1dde4634b67d6cd850574e0a817b9a314f11f';

const SPEC = { path: 'spec', rules: 1, defaultDeny: true, endpoints: [1] };

function draft(rule: unknown = RULE): Draft {
  const rules = [rule] as PolicyRule[];
  return {
    revision: 1,
    hash: '',
    nodeName: 'n1',
    endpoints: [{ id: 1, uid: 'u', namespace: 'default', pod: 'a', identity: 256, addresses: ['10.0.0.1'], ruleSet: 0 }],
    identities: [{ identity: 256, labels: ['k8s:app=net'], addresses: ['10.0.0.1'] }],
    services: [{ namespace: 'x', name: 'y', addresses: ['10.96.0.10'], ports: [{ port: 53, protocol: 17, backends: [{ address: '10.0.0.1', port: 53 }] }] }],
    ruleSets: [{ key: ruleSetKey({ rules }), rules }],
    fqdnSelectors: [{ matchName: 'cilium.io.', matchPattern: null }],
    policies: [{ kind: 'CiliumNetworkPolicy', namespace: 'default', name: 'p', specs: [SPEC] }],
  };
}

const sealed = (value: Draft): Draft => ({ ...value, hash: snapshotHash(value) });

t.test('a sound snapshot comes back as a fresh copy', (t) => {
  const given = sealed(draft());
  const snapshot = validateSnapshot(given);
  t.same(snapshot, given);
  t.not(snapshot.endpoints, given.endpoints);
  t.end();
});

t.test('places of endpoints come back, and are part of the hash', (t) => {
  for (const place of [VETH, BRIDGED, { ...BRIDGED, link: '17' }]) {
    const given = withPlaces([place]);
    t.same(validateSnapshot(given), given);
    t.not(given.hash, sealed(draft()).hash);
    t.throws(() => validateSnapshot({ ...given, endpoints: [{ ...given.endpoints[0], at: [{ ...place, interface: 8 }] }] }), /hash is/);
  }
  t.end();
});

t.test('a snapshot without places has the hash that it had before there were any', (t) => {
  t.equal(sealed(draft()).hash, HASH_BEFORE_PLACES);
  t.end();
});

/** What is wrong, and the complaint. */
const REFUSED: readonly (readonly [string, unknown, string])[] = [
  ['nothing', null, 'snapshot is not an object'],
  ['a list', [], 'snapshot is not an object'],
  ['a missing field', { ...sealed(draft()), services: undefined }, 'services is not a list'],
  ['an unknown field', { ...sealed(draft()), extra: 1 }, 'snapshot.extra is unknown'],
  ['a wrong hash', { ...draft(), hash: '00' }, 'hash is 00, the content\'s is'],
  ['a changed content', { ...sealed(draft()), nodeName: 'n2' }, 'hash is'],
  ['a negative revision', { ...sealed(draft()), revision: -1 }, 'revision is -1; allowed are 0 to'],
  ['an index out of range', withEndpoint({ ruleSet: 1 }), 'endpoints[0].ruleSet is 1; allowed are 0 to 0'],
  ['an endpoint id out of range', withEndpoint({ id: 65536 }), 'endpoints[0].id is 65536; allowed are 1 to 65535'],
  ['an odd address', withEndpoint({ addresses: ['010.0.0.1'] }), 'endpoints[0].addresses[0] "010.0.0.1" is not a canonical address'],
  ['a place for an address of nobody', withPlaces([{ ...VETH, address: '10.0.0.2' }]), 'endpoints[0].at[0].address 10.0.0.2 is no address of the endpoint'],
  ['two places of one address', withPlaces([VETH, VETH]), 'endpoints[0].at has 2 entries; the limit is 1'],
  ['an empty list of places', withPlaces([]), 'endpoints[0].at is empty'],
  ['no interface', withPlaces([{ ...VETH, interface: 0 }]), 'at[0].interface is 0; allowed are 1 to 2147483647'],
  ['an interface beyond an int', withPlaces([{ ...VETH, interface: 2 ** 31 }]), 'at[0].interface is 2147483648'],
  ['a MAC without its bridge', withPlaces([{ ...VETH, mac: BRIDGED.mac }]), 'at[0] has one of mac and bridge without the other'],
  ['a bridge without a MAC', withPlaces([{ ...VETH, bridge: 3 }]), 'at[0] has one of mac and bridge without the other'],
  ['a MAC in upper case', withPlaces([{ ...BRIDGED, mac: '02:00:00:00:00:0A' }]), 'is not the MAC of a station'],
  ['a MAC of a group', withPlaces([{ ...BRIDGED, mac: '33:33:00:00:00:01' }]), 'is not the MAC of a station'],
  ['no MAC at all', withPlaces([{ ...BRIDGED, mac: '00:00:00:00:00:00' }]), 'is not the MAC of a station'],
  ['places of no known boot', withEndpoint({ at: [VETH] }), 'boot is missing'],
  ['a boot without places', sealed({ ...draft(), boot: 'b' }), 'boot stands without any location'],
  ['two owners of one address', twoEndpoints(), 'endpoints has the address 10.0.0.1 twice'],
  ['a long text', sealed({ ...draft(), nodeName: 'x'.repeat(1025) }), 'nodeName has more than 1024 characters'],
  ['a key that is not the hash of its rules', sealed({ ...draft(), ruleSets: [{ key: 'k', rules: [] }] }), 'ruleSets[0].key is not the hash of its content'],
  ['identities out of order', sealed(draft({ ...RULE, identities: [300, 256] })), 'ruleSets[0].rules[0].identities is not rising'],
  ['fqdns for any server', sealed(draft({ ...RULE, identities: null, fqdns: [{ matchName: 'a.', matchPattern: null }] })), 'ruleSets[0].rules[0].identities is null in a rule with fqdns'],
  ['no names at all', sealed(draft({ ...RULE, dnsPatterns: [] })), 'ruleSets[0].rules[0].dnsPatterns is empty'],
  ['an empty pattern', sealed(draft({ ...RULE, dnsPatterns: [{ matchName: null, matchPattern: null }] })), 'dnsPatterns[0] has neither matchName nor matchPattern'],
  ['a pattern not as admitted', sealed(draft({ ...RULE, dnsPatterns: [{ matchName: 'A.io', matchPattern: null }] })), 'dnsPatterns[0].matchName is not in its admitted form "a.io."'],
  ['a range that ends before it begins', sealed(draft({ ...RULE, ports: [{ first: 53, last: 52, protocol: null }] })), 'ports[0].last is 52; allowed are 53 to 65535'],
  ['an odd protocol', sealed(draft({ ...RULE, ports: [{ first: 53, last: 53, protocol: 47 }] })), 'ports[0].protocol is none of the protocols 6, 17, 1, 58, 132'],
  ['types without names', sealed(draft({ ...RULE, dnsPatterns: null, queryTypes: [1] })), 'queryTypes stands in a rule without dnsPatterns'],
  ['a flag that says no', sealed(draft({ ...RULE, deny: false })), 'deny is not true'],
  ['an identity of a pod for a prefix', sealed({ ...draft(), cidrs: [{ identity: 300, cidr: '10.0.0.0/8' }] }), 'cidrs[0].identity is 300'],
  ['a prefix with host bits', sealed({ ...draft(), cidrs: [{ identity: 0x1000000, cidr: '10.0.0.1/8' }] }), 'is not a canonical prefix'],
  ['too many ports', sealed(draft({ ...RULE, ports: Array(41).fill(RULE.ports[0]) })), 'ports has 41 entries; the limit is 40'],
  ['a policy twice', sealed({ ...draft(), policies: [...draft().policies, ...draft().policies] }), 'policies has the policy CiliumNetworkPolicy default/p twice'],
  ['a policy of an odd kind', withSpec(SPEC, { kind: 'Pod' }), 'policies[0].kind is no kind of policy'],
  ['a policy that selects a stranger', withSpec({ ...SPEC, endpoints: [1, 2] }), 'policies[0].specs[0].endpoints has 2, which is no endpoint'],
  ['selected endpoints out of order', withSpec({ ...SPEC, endpoints: [1, 1] }), 'policies[0].specs[0].endpoints is not rising'],
  ['a policy without its word on denial', withSpec({ ...SPEC, defaultDeny: 1 }), 'specs[0].defaultDeny is neither true nor false'],
  ['a hash without the policies', { ...sealed(draft()), policies: [] }, 'hash is'],
  ['an odd kind', sealed(draft({ ...RULE, origin: { ...RULE.origin, kind: 'Pod' } })), 'origin.kind is no kind of policy'],
];

t.test('what is not a snapshot is refused with the field that is wrong', (t) => {
  for (const [name, value, complaint] of REFUSED) {
    try {
      validateSnapshot(value);
      t.fail(`${name} was accepted`);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      t.equal(error.code, 'SNAPSHOT_REFUSED', name);
      t.ok(error.message.includes(complaint), `${name}: ${error.message}`);
    }
  }
  t.end();
});

function withEndpoint(change: Record<string, unknown>): Draft {
  const value = draft();
  return sealed({ ...value, endpoints: [{ ...value.endpoints[0], ...change }] });
}

function withPlaces(at: unknown): Draft {
  const value = draft();
  return sealed({ ...value, boot: 'b', endpoints: [{ ...value.endpoints[0], at: at as EndpointLocation[] }] });
}

function withSpec(spec: unknown, change: Record<string, unknown> = {}): Draft {
  const policies = [{ kind: 'CiliumNetworkPolicy', namespace: 'default', name: 'p', specs: [spec], ...change }];
  return sealed({ ...draft(), policies: policies as unknown as Snapshot['policies'] });
}

function twoEndpoints(): Draft {
  const value = draft();
  return sealed({ ...value, endpoints: [value.endpoints[0], { ...value.endpoints[0], id: 2, uid: 'v' }] });
}
