import t from 'tap';
import { QueryView, nameFromString, scanName } from '@tandem/dns';
import { wordsOfAddress } from './address-table.js';
import { ALLOW_NO_POLICY, deniedBy, DENY, PolicyIndex, WORLD_ROW } from './decide.js';
import { ruleSetKey } from './snapshot-hash.js';
import { PROTOCOL, type PolicyRule, type Snapshot } from './snapshot.js';

const { tcp, udp } = PROTOCOL;
const DNS_A = '10.0.0.8';
const DNS_B = '10.0.0.9';
const SERVICE = '10.96.0.10';
const WORLD = '8.8.8.8';

function rule(change: Partial<PolicyRule>): PolicyRule {
  return {
    identities: [301], fqdns: [], ports: [{ first: 53, last: 53, protocol: null }], dnsPatterns: [{ matchName: null, matchPattern: '*.a.io.' }],
    origin: { kind: 'CiliumNetworkPolicy', namespace: 'default', name: 'p', path: 'spec.egress[0]' }, ...change,
  };
}

function snapshot(rules: readonly PolicyRule[]): Snapshot {
  const backends = (port: number) => [{ address: DNS_A, port }, { address: DNS_B, port }];
  return {
    revision: 1, hash: '', nodeName: 'n1',
    endpoints: [
      { id: 1, uid: 'a', namespace: 'default', pod: 'a', identity: 256, addresses: ['127.0.1.1', 'fd00::1'], ruleSet: 0 },
      { id: 2, uid: 'b', namespace: 'default', pod: 'b', identity: 257, addresses: ['127.0.1.2'], ruleSet: null },
    ],
    identities: [
      { identity: 301, labels: ['k8s:dns=a'], addresses: [DNS_A] },
      { identity: 302, labels: ['k8s:dns=b'], addresses: [DNS_B] },
    ],
    services: [
      { namespace: 'x', name: 'dns', addresses: [SERVICE], ports: [{ port: 53, protocol: udp, backends: backends(1053) }, { port: 54, protocol: udp, backends: [] }] },
    ],
    ruleSets: [{ key: ruleSetKey({ rules }), rules }],
    fqdnSelectors: [],
    policies: [],
  };
}

const view = new QueryView();

function ask(index: PolicyIndex, server: string, name: string, port = 53, protocol: number = udp, from = '127.0.1.1'): number {
  const wire = nameFromString(name)!;
  scanName(wire, 0, wire.length, view);
  const row = index.endpointAt(wordsOfAddress(from), 0);
  return index.decide(row, index.serverAt(wordsOfAddress(server), 0), port, protocol, wire, view);
}

t.test('a Service that leads nowhere is denied by what denies its address', (t) => {
  const cidrs = [{ identity: 0x1000000, cidr: '10.96.0.0/16' }];
  const any = rule({ identities: null, ports: [] });
  // Port 54 has no backends, 55 is none of the Service's ports; behind 53 are pods, whatever the prefix of the address.
  const verdicts = (snapshot: Snapshot) => [53, 54, 55].map((port) => ask(PolicyIndex.build(snapshot, null), SERVICE, 'x.a.io', port));
  const denying = (identity: number) => snapshot([any, rule({ identities: [identity], ports: [], dnsPatterns: null, deny: true })]);
  t.same(verdicts(snapshot([any])), [0, 0, 0]);
  t.same(verdicts({ ...denying(0x1000000), cidrs }), [0, deniedBy(1), deniedBy(1)]);
  t.same(verdicts(denying(2)), [0, deniedBy(1), deniedBy(1)]);
  t.same(verdicts({ ...denying(2), cidrs }), [0, 0, 0], 'the prefix is not the world');
  t.end();
});

t.test('addresses lead to endpoints and servers, strangers to neither', (t) => {
  const index = PolicyIndex.build(snapshot([]), null);
  t.equal(index.endpointAt(wordsOfAddress('127.0.1.1'), 0), 0);
  t.equal(index.endpointAt(wordsOfAddress('fd00::1'), 0), 0);
  t.equal(index.endpoint(index.endpointAt(wordsOfAddress('127.0.1.2'), 0)).pod, 'b');
  t.equal(index.endpointAt(wordsOfAddress('127.0.1.3'), 0), -1);
  t.equal(index.serverAt(wordsOfAddress(WORLD), 0), WORLD_ROW);
  t.not(index.serverAt(wordsOfAddress(SERVICE), 0), WORLD_ROW);
  t.end();
});

/** Rules, server, name, port, protocol; the rule that allows, or DENY. */
const CASES: readonly (readonly [string, readonly PolicyRule[], readonly [string, string, number?, number?], number])[] = [
  ['no rule denies', [], [DNS_A, 'x.a.io'], DENY],
  ['a rule allows its server, port and names', [rule({})], [DNS_A, 'x.a.io'], 0],
  ['letter case plays no part', [rule({})], [DNS_A, 'X.A.Io'], 0],
  ['another name is denied', [rule({})], [DNS_A, 'x.b.io'], DENY],
  ['another server is denied', [rule({})], [DNS_B, 'x.a.io'], DENY],
  ['the world is denied', [rule({})], [WORLD, 'x.a.io'], DENY],
  ['another port is denied', [rule({})], [DNS_A, 'x.a.io', 5353], DENY],
  ['ANY covers TCP', [rule({})], [DNS_A, 'x.a.io', 53, tcp], 0],
  ['UDP does not cover TCP', [rule({ ports: [{ first: 53, last: 53, protocol: udp }] })], [DNS_A, 'x.a.io', 53, tcp], DENY],
  ['a range covers its ends', [rule({ ports: [{ first: 50, last: 53, protocol: null }] })], [DNS_A, 'x.a.io'], 0],
  ['no ports means every port', [rule({ ports: [] })], [DNS_A, 'x.a.io', 9999], 0],
  ['without rules.dns any name is allowed, odd ones too', [rule({ dnsPatterns: null })], [DNS_A, 'a\\032b.\\255.'], 0],
  ['match-all allows odd names', [rule({ dnsPatterns: [{ matchName: null, matchPattern: '*' }] })], [DNS_A, 'a\\032b.'], 0],
  ['both matchName and matchPattern apply', [rule({ dnsPatterns: [{ matchName: 'one.io.', matchPattern: '*.two.io.' }] })], [DNS_A, 'one.io'], 0],
  ['both matchName and matchPattern apply (pattern)', [rule({ dnsPatterns: [{ matchName: 'one.io.', matchPattern: '*.two.io.' }] })], [DNS_A, 'x.two.io'], 0],
  ['without L3 part any server is allowed', [rule({ identities: null })], [WORLD, 'x.a.io'], 0],
  ['the world can be selected', [rule({ identities: [2] })], [WORLD, 'x.a.io'], 0],
  ['toFQDNs selects no DNS server', [rule({ identities: [], fqdns: [{ matchName: 'a.io.', matchPattern: null }], dnsPatterns: null })], [DNS_A, 'a.io'], DENY],
  ['toFQDNs selects no DNS server, even without identities', [rule({ identities: null, fqdns: [{ matchName: 'a.io.', matchPattern: null }], dnsPatterns: null })], [DNS_A, 'a.io'], DENY],
  ['the lowest rule that allows is told', [rule({ identities: [302] }), rule({}), rule({})], [DNS_A, 'x.a.io'], 1],
  ['a service needs every backend allowed', [rule({})], [SERVICE, 'x.a.io'], DENY],
  ['one rule for all backends', [rule({ identities: [301, 302] })], [SERVICE, 'x.a.io'], 0],
  ['different rules for different backends', [rule({ identities: [302] }), rule({})], [SERVICE, 'x.a.io'], 1],
  ['different names for different backends', [rule({ identities: [302], dnsPatterns: [{ matchName: 'y.a.io.', matchPattern: null }] }), rule({})], [SERVICE, 'x.a.io'], DENY],
  ['the backend’s port will do', [rule({ identities: [301, 302], ports: [{ first: 1053, last: 1053, protocol: udp }] })], [SERVICE, 'x.a.io'], 0],
  ['a third port will not', [rule({ identities: [301, 302], ports: [{ first: 1054, last: 1054, protocol: udp }] })], [SERVICE, 'x.a.io'], DENY],
  ['a service port without backends is denied', [rule({ identities: [301, 302], ports: [] })], [SERVICE, 'x.a.io', 54], DENY],
  ['a port that the service does not have is denied', [rule({ identities: [2, 301, 302], ports: [] })], [SERVICE, 'x.a.io', 53, tcp], DENY],
  ['unless any server is allowed', [rule({ identities: null, ports: [] })], [SERVICE, 'x.a.io', 54], 0],
];

t.test('queries are judged by server, port, protocol and name', (t) => {
  for (const [name, rules, [server, qname, port, protocol], expected] of CASES) {
    const index = PolicyIndex.build(snapshot(rules), null);
    t.equal(ask(index, server, qname, port, protocol), expected, name);
    t.equal(ask(index, server, qname, port, protocol), expected, `${name} (remembered)`);
    t.equal(ask(index, server, qname, port, protocol, '127.0.1.2'), ALLOW_NO_POLICY);
  }
  t.end();
});

t.test('more servers and ports than can be remembered change no verdict', (t) => {
  const index = PolicyIndex.build(snapshot([rule({ ports: [{ first: 1000, last: 30000, protocol: udp }] })]), null);
  let wrong = 0;
  for (let round = 0; round < 2; round++) {
    for (let port = 0; port < 40_000; port++) {
      if (ask(index, DNS_A, 'x.a.io', port) !== (port >= 1000 && port <= 30_000 ? 0 : DENY)) wrong++;
    }
  }
  t.equal(wrong, 0);
  t.end();
});

t.test('whichever of all types is asked for, in any order, rules hold for those that they name', (t) => {
  const rules = [rule({ queryTypes: [1, 28] }), rule({ queryTypes: [65], dnsPatterns: [{ matchName: 'h.a.io.', matchPattern: null }] }), rule({ dnsPatterns: [{ matchName: 'any.io.', matchPattern: null }] })];
  const index = PolicyIndex.build(snapshot(rules), null);
  const types = Array.from({ length: 0x10000 }, (_, i) => 0xffff - i);
  const allowed = (name: string) => types.filter((type) => {
    view.type = type;
    return ask(index, DNS_A, name) >= 0;
  });
  t.same(allowed('h.a.io'), [65, 28, 1]);
  t.same(allowed('x.a.io'), [28, 1]);
  t.same(allowed('any.io'), types);
  t.end();
});

t.test('compiled tables live on while the rules of their set are the same', (t) => {
  const rules = [rule({})];
  const first = PolicyIndex.build(snapshot(rules), null);
  const second = PolicyIndex.build({ ...snapshot(rules), revision: 2 }, first);
  const third = PolicyIndex.build(snapshot([rule({ ports: [] })]), second);
  t.same([first.tablesCompiled, second.tablesCompiled], [1, 0], 'compiled ahead, then shared');
  t.equal(ask(third, DNS_A, 'x.a.io', 99), 0);
  t.equal(third.tablesCompiled, 1, 'other rules, another table');
  t.end();
});
