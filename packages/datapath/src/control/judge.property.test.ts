/** The judge of living connections against core's trace of new ones: two readings of the same rules. */
import fc from 'fast-check';
import t from 'tap';
import { L4_PROTOCOL, parseAddress, PolicyIndex, type PolicyRule, RESERVED_IDENTITY, type Snapshot, traceConnection } from '@tandem/core';
import { Judge } from './judge.js';

const ORIGIN = { kind: 'CiliumNetworkPolicy', namespace: 'n', name: 'p', path: 'spec' } as const;
const PODS = ['10.0.0.1', '10.0.0.2', '10.0.0.3'];
const OUTSIDE = ['192.0.2.1', '192.0.2.9', '198.51.100.7'];
/** The node's own, of which no object tells; one lies in a prefix that rules speak of. */
const OWN = ['10.244.1.1', '192.0.2.53'];
const isOwn = (address: string): boolean => OWN.includes(address);
const NAME = 'a.example.com.';
const IDENTITIES = [256, 257, 258, 2, RESERVED_IDENTITY.host, 0x100_0000];

const rule: fc.Arbitrary<PolicyRule> = fc.record({
  identities: fc.option(fc.uniqueArray(fc.constantFrom(...IDENTITIES)).map((list) => [...list].sort((a, b) => a - b))),
  isNamed: fc.boolean(),
  ports: fc.array(fc.record({ first: fc.constantFrom(80, 443), last: fc.constantFrom(443, 500), protocol: fc.constantFrom(null, L4_PROTOCOL.tcp) }), { maxLength: 1 }),
  isDeny: fc.boolean(),
}).map(({ identities, isNamed, ports, isDeny }): PolicyRule => ({
  identities: isNamed ? [] : identities,
  fqdns: isNamed ? [{ matchName: null, matchPattern: '*.example.com.' }] : [],
  ports,
  dnsPatterns: null,
  ...(isDeny && !isNamed ? { deny: true as const } : {}),
  origin: ORIGIN,
}));

const ruleSet = fc.record({ rules: fc.array(rule, { maxLength: 4 }), isOpen: fc.boolean() });

function snapshotOf(sets: readonly { rules: readonly PolicyRule[]; isOpen: boolean }[]): Snapshot {
  return {
    revision: 1, hash: '0', nodeName: 'node',
    endpoints: PODS.map((address, i) => ({
      id: i + 1, uid: `u${i}`, namespace: 'n', pod: `p${i}`, identity: 256 + i, addresses: [address], ruleSet: i === 2 ? null : i, ...(i === 1 ? { ingressRuleSet: 2 } : {}),
    })),
    identities: PODS.map((address, i) => ({ identity: 256 + i, labels: [`k8s:i=${i}`], addresses: [address] })),
    cidrs: [{ identity: 0x100_0000, cidr: '192.0.2.0/24' }],
    services: [], fqdnSelectors: [], policies: [],
    ruleSets: sets.map(({ rules, isOpen }, i) => ({ key: `${i}`, rules, ...(isOpen ? { openByDefault: true as const } : {}) })),
  };
}

t.test('a connection may go on exactly where a new one may begin', (t) => {
  fc.assert(fc.property(
    fc.tuple(ruleSet, ruleSet, ruleSet), fc.constantFrom(...PODS, ...OWN), fc.constantFrom(...PODS, ...OWN, ...OUTSIDE), fc.constantFrom(80, 443, 8080), fc.boolean(), fc.constantFrom(L4_PROTOCOL.tcp, L4_PROTOCOL.udp),
    (sets, source, destination, port, isOpen, protocol) => {
      const index = PolicyIndex.build(snapshotOf(sets), null);
      const key = parseAddress(destination)!.slice(12).join();
      const judge = new Judge({ index, scope: 'node', isOpen: (element) => isOpen && element.key.join() === key, isOwn });
      const trace = traceConnection(index, { from: source, to: destination, port, protocol, name: isOpen ? NAME : null }, isOwn);
      return judge.allows({ source, backend: destination, protocol, backendPort: port, destinationPort: port, icmpType: null }) === (trace.verdict === 'allowed');
    },
  ), { numRuns: 3000 });
  t.pass('3000 policies and connections');
  t.end();
});

t.test('the port that was asked for counts as well as the one behind it', (t) => {
  const rules: PolicyRule[] = [{ identities: null, fqdns: [], ports: [{ first: 80, last: 80, protocol: null }], dnsPatterns: null, origin: ORIGIN }];
  const index = PolicyIndex.build(snapshotOf([{ rules, isOpen: false }, { rules: [], isOpen: true }, { rules: [], isOpen: true }]), null);
  const judge = new Judge({ index, scope: 'node', isOpen: () => false, isOwn });
  const flow = { source: '10.0.0.1', backend: '192.0.2.1', protocol: L4_PROTOCOL.tcp, backendPort: 8080, icmpType: null };
  t.ok(judge.allows({ ...flow, destinationPort: 80 }));
  t.notOk(judge.allows({ ...flow, destinationPort: 8080 }));
  const ingress = PolicyIndex.build(snapshotOf([{ rules: [], isOpen: true }, { rules: [], isOpen: true }, { rules, isOpen: false }]), null);
  const guest = new Judge({ index: ingress, scope: 'node', isOpen: () => false, isOwn });
  t.notOk(guest.allows({ ...flow, backend: '10.0.0.2', destinationPort: 80 }), 'but not to whom it comes');
  t.ok(guest.allows({ ...flow, backend: '10.0.0.2', backendPort: 80, destinationPort: 8080 }));
  t.end();
});

t.test('what no name could open is denied, what some name might is unknown, and then the kernel is asked', async (t) => {
  const named: PolicyRule = { identities: [], fqdns: [{ matchName: null, matchPattern: '*.example.com.' }], ports: [{ first: 443, last: 443, protocol: null }], dnsPatterns: null, origin: ORIGIN };
  const index = PolicyIndex.build(snapshotOf([{ rules: [named], isOpen: false }, { rules: [], isOpen: true }, { rules: [], isOpen: true }]), null);
  const flow = { source: '10.0.0.1', backend: '192.0.2.1', protocol: L4_PROTOCOL.tcp, backendPort: 443, destinationPort: 443, icmpType: null };
  const closed = new Judge({ index, scope: 'node', isOpen: () => false, isOwn });
  t.equal(closed.judge(flow), 'unknown');
  t.equal(new Judge({ index, scope: 'node', isOpen: () => true, isOwn }).judge(flow), 'allowed');
  t.equal(closed.judge({ ...flow, backendPort: 80, destinationPort: 80 }), 'denied');
  t.equal(closed.judge({ ...flow, backend: '10.0.0.3' }), 'denied', 'names open no pods');
  const asked: string[] = [];
  const isOpen = (answer: boolean) => ({ key }: { readonly key: Uint8Array }): Promise<boolean> => {
    asked.push(key.join('.'));
    return Promise.resolve(answer);
  };
  t.equal(await closed.allowsInKernel(flow, isOpen(true)), true);
  t.equal(await closed.allowsInKernel(flow, isOpen(false)), false);
  t.strictSame(asked, ['192.0.2.1', '192.0.2.1']);
});

t.test('what a rule says of names that may be asked keeps no connection alive: that traffic goes to the proxy', (t) => {
  const rules: PolicyRule[] = [{ identities: null, fqdns: [], ports: [], dnsPatterns: [{ matchName: null, matchPattern: '*' }], origin: ORIGIN }];
  const index = PolicyIndex.build(snapshotOf([{ rules, isOpen: false }, { rules, isOpen: false }, { rules, isOpen: false }]), null);
  const judge = new Judge({ index, scope: 'node', isOpen: () => true, isOwn });
  t.notOk(judge.allows({ source: '10.0.0.1', backend: '192.0.2.1', protocol: L4_PROTOCOL.udp, backendPort: 53, destinationPort: 53, icmpType: null }));
  t.end();
});

t.test('with grant scope endpoint an address is open for its pod alone', (t) => {
  const rules: PolicyRule[] = [{ identities: [], fqdns: [{ matchName: NAME, matchPattern: null }], ports: [], dnsPatterns: null, origin: ORIGIN }];
  const index = PolicyIndex.build(snapshotOf([{ rules, isOpen: false }, { rules, isOpen: false }, { rules: [], isOpen: true }]), null);
  const judge = new Judge({ index, scope: 'endpoint', isOpen: ({ key }) => key.join() === '10,0,0,1,192,0,2,1', isOwn });
  t.ok(judge.allows({ source: '10.0.0.1', backend: '192.0.2.1', protocol: 6, backendPort: 1, destinationPort: 1, icmpType: null }));
  t.notOk(judge.allows({ source: '10.0.0.2', backend: '192.0.2.1', protocol: 6, backendPort: 1, destinationPort: 1, icmpType: null }));
  t.end();
});

t.test('what is an address of this node is the host, whoever else has it by the policy source', (t) => {
  const to = (identities: readonly number[], deny = false): PolicyRule => ({ identities, fqdns: [], ports: [], dnsPatterns: null, origin: ORIGIN, ...(deny ? { deny: true as const } : {}) });
  const judgeOf = (...rules: readonly PolicyRule[]): Judge => {
    const closed = { rules: [], isOpen: false };
    const snapshot = snapshotOf([{ rules, isOpen: false }, closed, { rules, isOpen: false }]);
    const identities = [...snapshot.identities, { identity: RESERVED_IDENTITY.remoteNode, labels: ['reserved:remote-node='], addresses: ['10.244.1.1'] }];
    return new Judge({ index: PolicyIndex.build({ ...snapshot, identities }, null), scope: 'node', isOpen: () => true, isOwn });
  };
  const leaving = { source: '10.0.0.1', backend: '10.244.1.1', protocol: 6, backendPort: 1, destinationPort: 1, icmpType: null };
  const { host, remoteNode, world } = RESERVED_IDENTITY;
  t.ok(judgeOf(to([host])).allows(leaving));
  t.ok(judgeOf(to([remoteNode])).allows(leaving));
  t.notOk(judgeOf(to([world])).allows(leaving));
  t.notOk(judgeOf(to([remoteNode]), to([host], true)).allows(leaving));
  const arriving = { ...leaving, source: '10.244.1.1', backend: '10.0.0.2' };
  t.ok(judgeOf().allows(arriving));
  t.ok(judgeOf(to([remoteNode], true)).allows(arriving), 'who comes from here is this node, nobody else');
  t.notOk(judgeOf(to([host], true)).allows(arriving));
  t.end();
});
