import t from 'tap';
import { AppError } from '../base/app-error.js';
import { compileSnapshot } from './compile.js';
import { PolicyIndex } from './decide.js';
import { ANY_PEER, NO_EXTENSIONS, NO_OBJECTS, NOTHING_SAID, type DirectionSpec, type PodObject, type PolicyObject, type RuleSpec } from './objects.js';
import { trace } from './trace.js';
import { traceConnection } from './trace-connection.js';

const CONTESTED = '10.0.0.50';
const pod = (name: string, app: string, address: string): PodObject => ({
  namespace: 'one', name, uid: null, labels: { app }, nodeName: null, hostNetwork: false, serviceAccount: null, phase: null, addresses: [address], ports: [],
});
const PODS = [pod('a', 'a', '10.0.0.1'), pod('b', 'b', '10.0.0.2'), pod('x', 'x', CONTESTED), pod('y', 'y', CONTESTED)];
const app = (...apps: string[]): RuleSpec => ({ ...ANY_PEER, endpoints: apps.map((one) => ({ matchLabels: { app: one }, matchExpressions: [] })) });

function policy(name: string, subject: string, egress: Partial<DirectionSpec>): PolicyObject {
  const endpointSelector = { matchLabels: { app: subject }, matchExpressions: [] };
  return {
    kind: 'CiliumNetworkPolicy', namespace: 'one', name, extensions: NO_EXTENSIONS,
    specs: [{ path: 'spec', endpointSelector, egress: { ...NOTHING_SAID, ...egress }, ingress: NOTHING_SAID }],
  };
}

function indexOf(...policies: PolicyObject[]): PolicyIndex {
  const objects = { ...NO_OBJECTS, pods: PODS, policies };
  return PolicyIndex.build(compileSnapshot(objects, { nodeName: 'n', enablePolicy: 'default', allotment: null, revision: 3 }).snapshot, null);
}

t.test('a contested address is allowed where each claimant is, denied where one is, and never outside the cluster', (t) => {
  const cases: readonly (readonly [string, Partial<DirectionSpec>, 'allowed' | 'denied'])[] = [
    ['one claimant is selected', { allow: [app('x')] }, 'denied'],
    ['both are', { allow: [app('x', 'y')] }, 'allowed'],
    ['both are, by two rules', { allow: [app('x'), app('y')] }, 'allowed'],
    ['its prefix is', { allow: [{ ...ANY_PEER, cidrs: [{ cidr: '10.0.0.0/8', except: [] }] }] }, 'denied'],
    ['the world is', { allow: [{ ...ANY_PEER, entities: ['world'] }] }, 'denied'],
    ['all is', { allow: [{ ...ANY_PEER, entities: ['all'] }] }, 'allowed'],
    ['all is, but one is denied', { allow: [{ ...ANY_PEER, entities: ['all'] }], deny: [app('y')] }, 'denied'],
  ];
  for (const [name, egress, verdict] of cases) {
    const index = indexOf(policy('p', 'a', egress));
    t.equal(traceConnection(index, { from: 'one/a', to: CONTESTED, port: 80, protocol: 6, name: null }).verdict, verdict, name);
    const asked = trace(index, { from: 'one/a', server: CONTESTED, port: 53, protocol: 17, name: 'x.test', type: 1 });
    t.equal(asked.verdict, verdict === 'allowed' ? 'allowed' : 'refused', `${name}, as a DNS server`);
    t.same([asked.server.kind, asked.server.targets.length], ['pod', 2]);
  }
  const ingress: PolicyObject = { ...policy('in', 'b', {}), specs: [{
    path: 'spec', endpointSelector: { matchLabels: { app: 'b' }, matchExpressions: [] }, egress: NOTHING_SAID, ingress: { ...NOTHING_SAID, allow: [app('x')] },
  }] };
  t.match(traceConnection(indexOf(ingress), { from: CONTESTED, to: 'one/b', port: 80, protocol: 6, name: null }), { ingress: { verdict: 'denied', reason: 'no-rule' } });
  t.end();
});

t.test('a pod with too many labels is refused and selected by no label, and nobody else notices', (t) => {
  const labels = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`l${i}`, 'x']));
  const objects = {
    ...NO_OBJECTS, pods: [...PODS, { ...pod('big', 'big', '10.0.0.9'), labels: { app: 'big', ...labels } }],
    policies: [policy('p', 'a', { allow: [app('b', 'big'), { ...ANY_PEER, entities: ['world'] }, { ...ANY_PEER, cidrs: [{ cidr: '10.0.0.0/8', except: [] }] }] })],
  };
  const { snapshot, notices } = compileSnapshot(objects, { nodeName: 'n', enablePolicy: 'default', allotment: null, revision: 1 });
  t.match(notices, [/^address 10\.0\.0\.50/, /^pod one\/big has 2005 labels; the limit is 1024: it is refused everything$/]);
  const index = PolicyIndex.build(snapshot, null);
  const to = (peer: string) => traceConnection(index, { from: 'one/a', to: peer, port: 80, protocol: 6, name: null }).verdict;
  t.same([to('one/b'), to('10.0.0.9')], ['allowed', 'denied']);
  t.match(trace(index, { from: '10.0.0.9', server: '10.0.0.2', port: 53, protocol: 17, name: 'x.test', type: 1 }), { verdict: 'refused', reason: 'unknown-endpoint' });
  t.end();
});

t.test('a Service with too many ports or backends keeps what fits, and the rest leads nowhere', (t) => {
  const ports = Array.from({ length: 1500 }, (_, i) => ({ name: `p${i}`, port: 1000 + i, protocol: 6 as const, targetPort: null }));
  const addresses = Array.from({ length: 20_000 }, (_, i) => `10.1.${i >> 8}.${i & 255}`);
  const objects = {
    ...NO_OBJECTS, pods: PODS,
    services: [
      { namespace: 'one', name: 'wide', labels: {}, addresses: ['10.96.0.1'], ports, selector: { app: 'b' } },
      { namespace: 'one', name: 'deep', labels: {}, addresses: ['10.96.0.2'], ports: [{ name: '', port: 80, protocol: 6 as const, targetPort: null }], selector: null },
    ],
    endpointSlices: [{ namespace: 'one', name: 's', serviceName: 'deep', addresses, ports: [{ name: '', port: 80, protocol: 6 as const }] }],
    policies: [policy('p', 'a', { allow: [app('b')] })],
  };
  const { snapshot, notices } = compileSnapshot(objects, { nodeName: 'n', enablePolicy: 'default', allotment: null, revision: 1 });
  t.equal(notices.filter((notice) => /^Service one\/(wide has 1500 ports; the limit is 1024|deep has 20000 backends at port 80; the limit is 16384)/.test(notice)).length, 2);
  const index = PolicyIndex.build(snapshot, null);
  const to = (peer: string, port: number) => traceConnection(index, { from: 'one/a', to: peer, port, protocol: 6, name: null }).verdict;
  t.same([to('10.96.0.1', 1001), to('10.96.0.1', 2499), to('10.96.0.2', 80)], ['allowed', 'denied', 'denied']);
  t.end();
});

t.test('a connection says which rule decided, or what each lacked', (t) => {
  const port = (first: number): RuleSpec['ports'] => [{ path: 'toPorts[0]', ports: [{ first, last: first, protocol: 6 }], dns: null }];
  const names: RuleSpec = { ...ANY_PEER, fqdns: [{ matchName: null, matchPattern: '*.shop.test.' }], ports: port(443) };
  const index = indexOf(policy('p', 'a', { allow: [{ ...app('b'), ports: port(80) }, names], deny: [{ ...app('b'), ports: port(22) }] }));
  const to = (peer: string, number: number, name: string | null = null) => traceConnection(index, { from: 'one/a', to: peer, port: number, protocol: 6, name });
  t.match(to('one/b', 80), { verdict: 'allowed', egress: { reason: 'rule', rule: { path: 'spec.egress[0].toPorts[0]' } }, ingress: { reason: 'no-policy' } });
  t.match(to('one/b', 22), { verdict: 'denied', egress: { reason: 'denied-by-rule', rule: { path: 'spec.egressDeny[0].toPorts[0]' } } });
  t.match(to('one/b', 81).egress.near, [{ missed: 'port', explanation: 'the rule allows 80/TCP, the port is 81' }, { missed: 'server' }]);
  t.match(to('203.0.113.7', 443, 'api.shop.test'), { verdict: 'allowed', name: 'api.shop.test.', egress: { rule: { path: 'spec.egress[1].toPorts[0]' } }, ingress: { reason: 'not-local' } });
  t.match(to('203.0.113.7', 443).egress.near[0], { missed: 'server', explanation: 'the rule does not select the peer (identity 2)' });
  t.equal(to('one/b', 443, 'api.shop.test').verdict, 'denied', 'a pod is itself, whatever name leads to it');
  t.match(traceConnection(index, { from: '203.0.113.7', to: 'one/b', port: 80, protocol: 6, name: null }), { verdict: 'allowed', egress: { reason: 'not-local' } });
  t.match(to('one/a', 81), { verdict: 'allowed', from: { endpoint: { pod: 'a' } }, egress: { reason: 'itself' }, ingress: { reason: 'itself' } });
  for (const wrong of [{ to: 'nobody' }, { to: '' }, { port: 70000 }, { port: 256, protocol: 1 as const }, { name: 'x..y' }]) {
    t.throws(() => traceConnection(index, { from: 'one/a', to: 'one/b', port: 80, protocol: 6, name: null, ...wrong }), AppError, JSON.stringify(wrong));
  }
  t.end();
});
