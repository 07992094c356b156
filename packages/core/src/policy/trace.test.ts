import t from 'tap';
import { AppError } from '../base/app-error.js';
import { compileSnapshot } from './compile.js';
import { PolicyIndex } from './decide.js';
import { ANY_PEER, NO_EXTENSIONS, NO_OBJECTS, NOTHING_SAID, type RuleSpec, type PodObject, type PolicyObjects } from './objects.js';
import { trace, underSettings, type TraceRequest } from './trace.js';

const pod = (namespace: string, name: string, labels: Record<string, string>, address: string): PodObject => ({
  namespace, name, uid: null, labels, nodeName: null, hostNetwork: false, serviceAccount: null, phase: null, addresses: [address], ports: [],
});
const peer = (app: string) => [{ matchLabels: { app }, matchExpressions: [] }];
const dnsRule = (app: string, port: number, protocol: 6 | 17 | null, pattern: string): RuleSpec => ({
  ...ANY_PEER, endpoints: peer(app), fqdns: null, ports: [{ path: 'toPorts[0]', ports: [{ first: port, last: port, protocol }], dns: [{ matchName: null, matchPattern: pattern }] }],
});
const OBJECTS: PolicyObjects = {
  ...NO_OBJECTS,
  pods: [pod('one', 'a', { app: 'a' }, '127.0.1.1'), pod('one', 'free', { app: 'free' }, '127.0.1.2'), pod('two', 'free', { app: 'free' }, '127.0.1.3'), pod('one', 'dns', { app: 'dns' }, '127.0.0.153')],
  services: [{ namespace: 'one', name: 'dns', labels: {}, addresses: ['10.96.0.10'], ports: [{ name: '', port: 53, protocol: 17, targetPort: null }], selector: { app: 'dns' } }],
  policies: [{
    kind: 'CiliumNetworkPolicy', namespace: 'one', name: 'p', extensions: NO_EXTENSIONS,
    specs: [{
      path: 'spec', endpointSelector: { matchLabels: { app: 'a' }, matchExpressions: [] }, ingress: NOTHING_SAID,
      egress: { deny: null, defaultDeny: null, allow: [
        dnsRule('other', 53, null, '*'), dnsRule('dns', 5353, null, '*'), dnsRule('dns', 53, 17, '*.a.io.'),
        { ...ANY_PEER, endpoints: null, fqdns: [{ matchName: 'a.io.', matchPattern: null }], ports: null },
      ] },
    }],
  }],
};
const index = PolicyIndex.build(compileSnapshot(OBJECTS, { nodeName: 'n', enablePolicy: 'default', allotment: null, revision: 3 }).snapshot, null);
const ASK: TraceRequest = { from: 'one/a', server: '127.0.0.153', port: 53, protocol: 17, name: 'X.a.io', type: 1 };

t.test('an allowed query names its rule and pattern', (t) => {
  const result = trace(index, ASK);
  t.match(result, { verdict: 'allowed', reason: 'rule', name: 'x.a.io.', protocol: 'udp', revision: 3, near: [] });
  t.same(result.rule, { origin: { kind: 'CiliumNetworkPolicy', namespace: 'one', name: 'p', path: 'spec.egress[2].toPorts[0]' }, pattern: '*.a.io.' });
  t.equal(result.endpoint?.pod, 'a');
  t.end();
});

t.test('a refused query lists what each rule lacked, the nearest first', (t) => {
  const told = (change: Partial<TraceRequest>) => trace(index, { ...ASK, ...change }).near.map(({ missed, explanation }) => [missed, explanation]);
  t.same(told({ name: 'b.io' }).map(([missed]) => missed), ['name', 'port', 'server', 'server']);
  t.same(told({ name: 'b.io' })[0], ['name', 'the rule allows matchPattern *.a.io., not b.io.']);
  t.same(told({ name: 'b.io' })[1], ['port', "the rule allows 5353/ANY, the server's port is 53"]);
  t.same(told({ name: 'b.io' })[3], ['server', 'the rule selects names to connect to (toFQDNs), no DNS server (identity 257)']);
  t.same(told({ protocol: 6 })[0], ['protocol', 'the rule allows 53/UDP, the query came by TCP']);
  t.same(told({ server: '8.8.8.8' }).map(([missed]) => missed), ['server', 'server', 'server', 'server']);
  t.same(told({ server: '10.96.0.10', protocol: 6 })[0], ['server', 'the Service leads to no backend at this port and protocol']);
  t.end();
});

t.test('the server is described as policy sees it', (t) => {
  t.match(trace(index, { ...ASK, server: '10.96.0.10' }).server, { kind: 'service', services: ['one/dns'], targets: [{ identity: 257, ports: [53] }] });
  t.match(trace(index, ASK).server, { kind: 'pod', services: [], targets: [{ identity: 257 }] });
  t.same(trace(index, { ...ASK, server: '8.8.8.8' }).server, { address: '8.8.8.8', kind: 'world', services: [], targets: [{ identity: 2, labels: ['reserved:world='], ports: [53] }] });
  t.end();
});

t.test('endpoints are named by path, by a unique name, or by address', (t) => {
  t.equal(trace(index, { ...ASK, from: 'a' }).verdict, 'allowed');
  t.equal(trace(index, { ...ASK, from: '::ffff:127.0.1.1' }).endpoint?.pod, 'a');
  t.match(trace(index, { ...ASK, from: 'one/free' }), { verdict: 'allowed', reason: 'no-policy', rule: null });
  t.match(trace(index, { ...ASK, from: '192.0.2.1' }), { verdict: 'refused', reason: 'unknown-endpoint', endpoint: null });
  t.end();
});

t.test('requests that make no sense are refused', (t) => {
  const cases: readonly (readonly [Partial<TraceRequest>, string, string])[] = [
    [{ from: 'one/none' }, 'NOT_FOUND', 'no local pod is called "one/none"; give namespace/pod or an address'],
    [{ from: 'free' }, 'USAGE', '2 local pods are called "free"; give namespace/pod'],
    [{ name: 'a..b' }, 'USAGE', '"a..b" is not a DNS name'],
    [{ server: 'dns' }, 'USAGE', '"dns" is not an address'],
    [{ port: 70000 }, 'USAGE', 'port 70000 is not in 0 to 65535'],
  ];
  for (const [change, code, message] of cases) {
    try {
      trace(index, { ...ASK, ...change });
      t.fail(message);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      t.same([error.code, error.message], [code, message]);
    }
  }
  t.end();
});

t.test('settings decide about strangers and in audit mode, as they do about queries', (t) => {
  const stranger = { from: '192.0.2.1' };
  const denied = { name: 'b.io' };
  const cases: readonly (readonly [Partial<TraceRequest>, 'refuse' | 'allow', boolean, string])[] = [
    [stranger, 'refuse', false, 'refused'], [stranger, 'allow', false, 'allowed'], [stranger, 'refuse', true, 'audit'], [stranger, 'allow', true, 'allowed'],
    [denied, 'allow', false, 'refused'], [denied, 'refuse', true, 'audit'], [{}, 'refuse', true, 'allowed'],
  ];
  for (const [change, unknownEndpoint, auditMode, verdict] of cases) {
    const told = underSettings(trace(index, { ...ASK, ...change }), { unknownEndpoint, auditMode });
    t.equal(told.verdict, verdict, JSON.stringify([change, unknownEndpoint, auditMode]));
    t.equal(told.near.length > 0, change === denied, 'what rules lacked is still told');
  }
  t.end();
});

t.test('a refusal names the policies that close the endpoint, those without rules too', (t) => {
  const closing = { path: 'spec', endpointSelector: { matchLabels: { app: 'free' }, matchExpressions: [] }, egress: { allow: [], deny: null, defaultDeny: null }, ingress: NOTHING_SAID };
  const objects: PolicyObjects = {
    ...OBJECTS, policies: [...OBJECTS.policies, { kind: 'CiliumNetworkPolicy', namespace: 'one', name: 'deny-all', specs: [closing], extensions: NO_EXTENSIONS }],
  };
  const built = (enablePolicy: 'default' | 'always') =>
    PolicyIndex.build(compileSnapshot(objects, { nodeName: 'n', enablePolicy, allotment: null, revision: 1 }).snapshot, null);
  const told = (from: string, mode: 'default' | 'always' = 'default') => trace(built(mode), { ...ASK, from, name: 'b.io' });
  t.match(told('one/free'), { reason: 'no-rule', near: [], deniedBy: [{ kind: 'CiliumNetworkPolicy', namespace: 'one', name: 'deny-all', path: 'spec' }] });
  t.same(told('one/a').deniedBy.map(({ name }) => name), ['p']);
  t.same(told('two/free').deniedBy, []);
  t.match(told('two/free', 'always'), { reason: 'no-rule', near: [], deniedBy: [] });
  t.end();
});
