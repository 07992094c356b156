import t from 'tap';
import { compileSnapshot, type CompileOptions } from './compile.js';
import { ANY_PEER, NO_EXTENSIONS, NO_OBJECTS, NOTHING_SAID, type RuleSpec, type LabelSelector, type Labels, type PodObject, type PolicyObject, type PolicyObjects, type PolicySpec } from './objects.js';
import { admitMatchName } from './pattern.js';
import { PROTOCOL, type Snapshot } from './snapshot.js';
import { validateSnapshot } from './validate.js';

const select = (matchLabels: Labels): LabelSelector => ({ matchLabels, matchExpressions: [] });
const KUBE_DNS = select({ 'k8s:io.kubernetes.pod.namespace': 'kube-system', 'k8s-app': 'kube-dns' });
const PORT_53 = { first: 53, last: 53, protocol: null };

function pod(path: string, labels: Labels, addresses: readonly string[], more: Partial<PodObject> = {}): PodObject {
  const [namespace, name] = path.split('/');
  return {
    namespace, name, uid: null, labels, nodeName: null, hostNetwork: false, serviceAccount: null, phase: 'Running', addresses, ports: [], ...more,
  };
}

function policy(name: string, subject: LabelSelector, egress: readonly RuleSpec[] | null, more: Partial<PolicyObject> = {}): PolicyObject {
  return { kind: 'CiliumNetworkPolicy', namespace: 'default', name, specs: [spec(subject, egress)], extensions: NO_EXTENSIONS, ...more };
}

function spec(subject: LabelSelector | null, egress: readonly RuleSpec[] | null, defaultDeny: boolean | null = null, path = 'spec'): PolicySpec {
  return { path, endpointSelector: subject, egress: { allow: egress, deny: null, defaultDeny }, ingress: NOTHING_SAID };
}

const ALLOW_DNS: RuleSpec = {
  ...ANY_PEER, endpoints: [KUBE_DNS], fqdns: null, ports: [{ path: 'toPorts[0]', ports: [PORT_53], dns: [{ matchName: null, matchPattern: '*.k8s.intra.' }] }],
};
const TO_FQDN: RuleSpec = { ...ANY_PEER, endpoints: null, fqdns: [{ matchName: 'cilium.io.', matchPattern: null }], ports: null };
const EMPTY_RULE: RuleSpec = ANY_PEER;
const OPTIONS: CompileOptions = { nodeName: 'n1', enablePolicy: 'default', allotment: null, revision: 7 };
const PODS = [
  pod('default/a', { app: 'net' }, ['10.0.0.1', 'FD00:0::1']),
  pod('default/b', { app: 'free' }, ['10.0.0.2'], { uid: 'uid-b', nodeName: 'n1' }),
  pod('default/c', { app: 'net' }, ['10.0.0.3'], { nodeName: 'n2' }),
  pod('kube-system/dns', { 'k8s-app': 'kube-dns' }, ['10.0.0.9'], { nodeName: 'n2', ports: [{ name: 'dns', port: 1053, protocol: PROTOCOL.udp }] }),
];
const OBJECTS: PolicyObjects = { ...NO_OBJECTS, pods: PODS, policies: [policy('p', select({ app: 'net' }), [ALLOW_DNS, TO_FQDN])] };

const ruleSetOf = (snapshot: Snapshot, name: string) => {
  const row = snapshot.endpoints.find((one) => one.pod === name)?.ruleSet;
  return row === null || row === undefined ? null : snapshot.ruleSets[row].rules;
};

t.test('endpoints are the pods of this node that live and have addresses', (t) => {
  const pods = [
    ...PODS,
    pod('default/done', {}, ['10.0.1.1'], { phase: 'Succeeded' }),
    pod('default/failed', {}, ['10.0.1.2'], { phase: 'Failed' }),
    pod('default/host', {}, ['192.0.2.1'], { hostNetwork: true }),
    pod('default/other-host', {}, ['192.0.2.2'], { hostNetwork: true, nodeName: 'n2' }),
    pod('default/pending', {}, []),
  ];
  const { snapshot } = compileSnapshot({ ...OBJECTS, pods }, OPTIONS);
  t.same(snapshot.endpoints.map(({ id, uid, pod: name, addresses }) => [id, uid, name, addresses]), [
    [1, 'default/a', 'a', ['10.0.0.1', 'fd00::1']],
    [2, 'uid-b', 'b', ['10.0.0.2']],
  ]);
  t.same(snapshot.identities.map(({ identity, addresses }) => [identity, addresses]), [
    [1, ['192.0.2.1']],
    [6, ['192.0.2.2']],
    [256, ['10.0.0.2']],
    [257, ['10.0.0.1', '10.0.0.3', 'fd00::1']],
    [258, ['10.0.0.9']],
  ]);
  t.equal(snapshot.revision, 7);
  t.same(validateSnapshot(JSON.parse(JSON.stringify(snapshot))), snapshot);
  t.end();
});

t.test('rules are flattened, with their selectors resolved and their place kept', (t) => {
  const { snapshot } = compileSnapshot(OBJECTS, OPTIONS);
  const origin = { kind: 'CiliumNetworkPolicy', namespace: 'default', name: 'p' };
  t.same(ruleSetOf(snapshot, 'a'), [
    { identities: [258], fqdns: [], ports: [PORT_53], dnsPatterns: [{ matchName: null, matchPattern: '*.k8s.intra.' }], origin: { ...origin, path: 'spec.egress[0].toPorts[0]' } },
    { identities: [], fqdns: [{ matchName: 'cilium.io.', matchPattern: null }], ports: [], dnsPatterns: null, origin: { ...origin, path: 'spec.egress[1]' } },
  ]);
  t.equal(ruleSetOf(snapshot, 'b'), null);
  t.same(snapshot.fqdnSelectors, [{ matchName: 'cilium.io.', matchPattern: null }]);
  t.end();
});

/** Egress section, `enableDefaultDeny.egress`, mode; number of rules, or null for "may ask anything". */
const POSTURES: readonly (readonly [string, readonly RuleSpec[] | null, boolean | null, CompileOptions['enablePolicy'], number | null])[] = [
  ['no egress section', null, null, 'default', null],
  ['egress: [{}] denies all', [EMPTY_RULE], null, 'default', 0],
  ['an empty egress list denies all', [], null, 'default', 0],
  ['a rule closes all else', [ALLOW_DNS], null, 'default', 1],
  ['default deny turned off', [TO_FQDN], false, 'default', null],
  ['default deny turned off, names limited', [ALLOW_DNS], false, 'default', 1],
  ['default deny without rules', null, true, 'default', 0],
  ['never enforced', [ALLOW_DNS], null, 'never', null],
  ['always enforced, without policy', null, null, 'always', 0],
  ['always enforced, with rules', [ALLOW_DNS], null, 'always', 1],
  ['toPorts: [] without L3 allows nothing', [{ ...EMPTY_RULE, ports: [] }], null, 'default', 0],
  ['toEndpoints: [] selects nothing', [{ ...EMPTY_RULE, endpoints: [] }], null, 'default', 1],
];

t.test('a pod is closed as in Cilium’s modes', (t) => {
  for (const [name, egress, defaultDeny, enablePolicy, rules] of POSTURES) {
    const specs = [spec(select({ app: 'net' }), egress, defaultDeny)];
    const objects = { ...OBJECTS, policies: [policy('p', select({}), null, { specs })] };
    const { snapshot } = compileSnapshot(objects, { ...OPTIONS, enablePolicy });
    t.equal(ruleSetOf(snapshot, 'a')?.length ?? null, rules, name);
    if (rules !== 0) t.equal(ruleSetOf(snapshot, 'b')?.length ?? null, enablePolicy === 'always' ? 0 : null, `${name}: others`);
  }
  t.end();
});

t.test('absent and empty L3 lists differ', (t) => {
  const ports = [{ path: 'toPorts[0]', ports: [PORT_53], dns: null }];
  const cases: readonly (readonly [RuleSpec, readonly number[] | null])[] = [
    [{ ...ANY_PEER, endpoints: null, fqdns: null, ports }, null],
    [{ ...ANY_PEER, endpoints: [], fqdns: null, ports }, []],
    [{ ...ANY_PEER, endpoints: null, fqdns: [], ports }, []],
    [{ ...ANY_PEER, endpoints: [select({})], fqdns: null, ports }, [256, 257]],
  ];
  for (const [rule, identities] of cases) {
    const { snapshot } = compileSnapshot({ ...OBJECTS, policies: [policy('p', select({ app: 'net' }), [rule])] }, OPTIONS);
    t.same(ruleSetOf(snapshot, 'a')?.[0].identities, identities, JSON.stringify(rule));
  }
  t.end();
});

t.test('an empty list of DNS rules becomes every name, in words', (t) => {
  const nothing = { matchName: null, matchPattern: null };
  for (const dns of [[], [nothing], [nothing, nothing]]) {
    const rule = { ...ALLOW_DNS, ports: [{ path: 'toPorts[0]', ports: [PORT_53], dns }] };
    const { snapshot } = compileSnapshot({ ...OBJECTS, policies: [policy('p', select({}), [rule])] }, OPTIONS);
    t.same(ruleSetOf(snapshot, 'a')?.[0].dnsPatterns, [{ matchName: null, matchPattern: '*' }]);
  }
  t.end();
});

t.test('an address that two pods claim belongs to neither', (t) => {
  const pods = [pod('default/a', { app: 'x' }, ['10.0.0.1']), pod('default/b', { app: 'y' }, ['10.0.0.1', 'fd00::2'])];
  const { snapshot, notices } = compileSnapshot({ ...NO_OBJECTS, pods }, OPTIONS);
  t.same(snapshot.endpoints.map(({ addresses }) => addresses), [[], ['fd00::2']]);
  t.same(snapshot.identities.map(({ addresses }) => addresses), [[], ['fd00::2']]);
  t.same(notices, ['address 10.0.0.1 is claimed by 2 pods (default/a, default/b): it belongs to none of them']);
  t.end();
});

t.test('a name that pods give to more ports than one rule holds becomes several rules, and the policy stays small enough to publish', (t) => {
  const pods = Array.from({ length: 100 }, (_, i) => pod(`default/p${i}`, {}, [`10.0.1.${i}`], { ports: [{ name: 'http', port: 8000 + i, protocol: PROTOCOL.tcp }] }));
  const rule: RuleSpec = { ...ANY_PEER, ports: [{ path: 'toPorts[0]', ports: [{ portName: 'http', protocol: null }], dns: null }] };
  const { snapshot } = compileSnapshot({ ...NO_OBJECTS, pods, policies: [policy('p', select({}), [rule])] }, OPTIONS);
  const rules = ruleSetOf(snapshot, 'p0')!;
  t.same(rules.map(({ ports }) => ports.length), [40, 40, 20]);
  t.same(rules.flatMap(({ ports }) => ports.map(({ first }) => first)), pods.map((_, i) => 8000 + i));
  t.same(validateSnapshot(JSON.parse(JSON.stringify(snapshot))), snapshot);
  t.end();
});

const LONGEST = 'x'.repeat(255);

t.test('the longest names that are admitted can be published', (t) => {
  const admission = admitMatchName(LONGEST);
  if (!admission.ok) throw new Error(admission.reason);
  const names = [{ matchName: admission.text, matchPattern: null }];
  const dns: RuleSpec = { ...ANY_PEER, ports: [{ path: 'toPorts[0]', ports: [PORT_53], dns: names }] };
  const extensions = { ...NO_EXTENSIONS, denyFqdns: names, privateNames: names };
  const { snapshot, notices } = compileSnapshot({ ...OBJECTS, policies: [policy('p', select({}), [{ ...TO_FQDN, fqdns: names }, dns], { extensions })] }, OPTIONS);
  t.same(notices, []);
  t.same(validateSnapshot(JSON.parse(JSON.stringify(snapshot))), snapshot);
  t.end();
});

t.test('a policy that cannot be published is closed alone, and named', (t) => {
  const odd: RuleSpec = { ...TO_FQDN, fqdns: [{ matchName: 'A b', matchPattern: null }] };
  const bad = (egress: PolicySpec['egress']): PolicyObject => policy('odd', select({ app: 'free' }), null, { specs: [{ ...spec(select({ app: 'free' }), null), egress }] });
  const why = (path: string): string => `CiliumNetworkPolicy default/odd: allows nothing in spec.egress, for it cannot be published: policy snapshot refused: ${path}.fqdns[0].matchName holds " "; allowed are letters, digits, "-", "_" and "."`;
  const compiled = (egress: PolicySpec['egress']): readonly [readonly boolean[] | undefined, number | undefined, readonly string[]] => {
    const { snapshot, notices } = compileSnapshot({ ...OBJECTS, policies: [...OBJECTS.policies, bad(egress)] }, OPTIONS);
    t.same(validateSnapshot(JSON.parse(JSON.stringify(snapshot))), snapshot);
    return [ruleSetOf(snapshot, 'b')?.map(({ deny }) => deny === true), ruleSetOf(snapshot, 'a')?.length, notices];
  };
  t.same(compiled({ allow: [ALLOW_DNS, odd], deny: null, defaultDeny: false }), [[], 2, [why('spec.egress[1]')]], 'what it allows');
  t.same(compiled({ allow: [odd], deny: [ALLOW_DNS], defaultDeny: null }), [[true], 2, [why('spec.egress[0]')]], 'what it denies stays');
  t.same(compiled({ allow: null, deny: [ALLOW_DNS, odd], defaultDeny: false }), [[true], 2, [why('spec.egressDeny[1]')]], 'what it denies, and cannot say');
  const many = compiled({ allow: Array.from({ length: 16_385 }, () => TO_FQDN), deny: null, defaultDeny: null });
  t.same(many, [[], 2, ['CiliumNetworkPolicy default/odd: allows nothing in spec.egress, for it cannot be published: spec.egress has 16385 rules; the limit is 16384']]);
  t.end();
});

t.test('services lead to the pods of their selector, or to their slices', (t) => {
  const service = {
    namespace: 'kube-system', name: 'kube-dns', labels: {}, addresses: ['10.96.0.10'], selector: { 'k8s-app': 'kube-dns' },
    ports: [
      { name: 'dns', port: 53, protocol: PROTOCOL.udp, targetPort: 'dns' },
      { name: 'dns-tcp', port: 53, protocol: PROTOCOL.tcp, targetPort: 5353 },
      { name: 'none', port: 54, protocol: PROTOCOL.tcp, targetPort: 'no-such-port' },
      { name: 'same', port: 55, protocol: PROTOCOL.tcp, targetPort: null },
    ],
  };
  const bySelector = compileSnapshot({ ...OBJECTS, services: [service] }, OPTIONS).snapshot.services[0].ports;
  t.same(bySelector.map(({ port, protocol, backends }) => [port, protocol, backends.map((one) => `${one.address}:${one.port}`)]), [
    [53, 17, ['10.0.0.9:1053']],
    [53, 6, ['10.0.0.9:5353']],
    [54, 6, []],
    [55, 6, ['10.0.0.9:55']],
  ]);
  const slice = {
    namespace: 'kube-system', name: 's', serviceName: 'kube-dns', addresses: ['10.0.0.8', '10.0.0.7'],
    ports: [{ name: 'dns', port: 1053, protocol: PROTOCOL.udp }, { name: 'same', port: null, protocol: PROTOCOL.tcp }],
  };
  const bySlice = compileSnapshot({ ...OBJECTS, services: [service], endpointSlices: [slice] }, OPTIONS).snapshot.services[0].ports;
  t.same(bySlice.map(({ backends }) => backends.map((one) => `${one.address}:${one.port}`)), [
    ['10.0.0.7:1053', '10.0.0.8:1053'], [], [], ['10.0.0.7:55', '10.0.0.8:55'],
  ]);
  t.end();
});

t.test('a backend of a Service without a selector is an address: a prefix in its place opens nothing', (t) => {
  const slice = { namespace: 'default', name: 'out-a', serviceName: 'out', addresses: ['0.0.0.0/0', '::ffff:203.0.113.1', 'db.test', '2001:DB8::1'], ports: [] };
  const service = { namespace: 'default', name: 'out', labels: {}, addresses: [], ports: [], selector: null };
  const rule: RuleSpec = { ...ANY_PEER, services: [{ namespace: 'default', name: 'out', selector: null }] };
  const { snapshot } = compileSnapshot({ ...OBJECTS, services: [service], endpointSlices: [slice], policies: [policy('p', select({}), [rule])] }, OPTIONS);
  t.same(snapshot.cidrs?.map(({ cidr }) => cidr), ['2001:db8::1/128', '203.0.113.1/32']);
  t.end();
});

t.test('numbers are kept, and not given to others while their owner is known', (t) => {
  const first = compileSnapshot(OBJECTS, OPTIONS);
  const only = (names: readonly string[]) => ({ ...OBJECTS, pods: PODS.filter(({ name }) => names.includes(name)) });
  const second = compileSnapshot(only(['b']), { ...OPTIONS, allotment: first.allotment, revision: 8 });
  t.same(second.snapshot.endpoints.map(({ id, identity }) => [id, identity]), [[2, 256]]);
  t.same(second.allotment.endpoints, [
    { owner: 'default/a', number: 1, goneAt: 8 },
    { owner: 'uid-b', number: 2, goneAt: null },
  ]);
  const late = pod('default/0-first-by-name', { app: 'new' }, ['10.0.0.77']);
  const third = compileSnapshot({ ...OBJECTS, pods: [late, ...PODS] }, { ...OPTIONS, allotment: second.allotment });
  t.same(third.snapshot.endpoints.map(({ pod: name, id, identity }) => [name, id, identity]), [
    ['0-first-by-name', 3, 259], ['a', 1, 257], ['b', 2, 256],
  ]);
  t.end();
});

t.test('pods with equal rules share one rule set', (t) => {
  const pods = [pod('default/a', { app: 'net', v: '1' }, ['10.0.0.1']), pod('default/b', { app: 'net', v: '2' }, ['10.0.0.2'])];
  const { snapshot } = compileSnapshot({ ...OBJECTS, pods }, OPTIONS);
  t.equal(snapshot.ruleSets.length, 1);
  t.same(snapshot.endpoints.map(({ ruleSet }) => ruleSet), [0, 0]);
  t.end();
});

t.test('every policy is told of, whom it selects and whether it closes', (t) => {
  const policies = [
    policy('none', select({ app: 'nobody' }), [ALLOW_DNS]),
    policy('deny-all', select({}), []),
    policy('ingress', select({ app: 'free' }), null),
    policy('open', select({ app: 'net' }), null, { specs: [spec(select({ app: 'net' }), [ALLOW_DNS], false), spec(null, null, null, 'specs[1]')] }),
  ];
  const told = (enablePolicy: CompileOptions['enablePolicy']) =>
    compileSnapshot({ ...OBJECTS, policies }, { ...OPTIONS, enablePolicy }).snapshot.policies.map(({ name, specs }) =>
      [name, ...specs.map(({ path, rules, defaultDeny, endpoints }) => `${path} ${rules} ${defaultDeny} ${endpoints.join()}`)]);
  t.same(told('default'), [
    ['deny-all', 'spec 0 true 1,2'], ['ingress', 'spec 0 false 2'], ['none', 'spec 1 true '], ['open', 'spec 1 false 1', 'specs[1] 0 false '],
  ]);
  t.same(told('never')[0], ['deny-all', 'spec 0 false 1,2']);
  t.end();
});

t.test('a selector that matches no pod is noticed, within bounds, unless there are no pods at all', (t) => {
  const policies = [
    policy('typo', select({ app: 'nett' }), [ALLOW_DNS]), policy('elsewhere', select({ app: 'net' }), [ALLOW_DNS], { namespace: 'other' }),
    policy('host', select({}), null, { kind: 'CiliumClusterwideNetworkPolicy', namespace: '', specs: [spec(null, null)] }),
    policy('all', select({}), null), policy('remote', select({ app: 'far' }), null),
  ];
  const pods = [...PODS, pod('default/far', { app: 'far' }, ['10.0.0.50'], { nodeName: 'n2' })];
  t.same(compileSnapshot({ ...OBJECTS, pods, policies }, OPTIONS).notices, [
    'CiliumNetworkPolicy default/typo: spec.endpointSelector matches no pod', 'CiliumNetworkPolicy other/elsewhere: spec.endpointSelector matches no pod',
  ]);
  t.same(compileSnapshot({ ...NO_OBJECTS, policies }, OPTIONS).notices, []);
  const many = Array.from({ length: 1200 }, (_, i) => policy(`p${i}`, select({ app: 'nobody' }), null));
  const { notices } = compileSnapshot({ ...OBJECTS, policies: many }, OPTIONS);
  t.same([notices.length, notices.at(-1)], [1000, '201 more notices are not shown']);
  t.end();
});

t.test('an API server outside the cluster has its label and counts as the cluster’s', (t) => {
  const slice = { namespace: 'default', name: 'kubernetes', serviceName: 'kubernetes', addresses: ['203.0.113.7'], ports: [] };
  const cases: readonly (readonly [string, Partial<RuleSpec>, boolean])[] = [
    ['the entity', { entities: ['kube-apiserver'] }, true],
    ['the label', { endpoints: [select({ 'reserved:kube-apiserver': '' })] }, true],
    ['the cluster', { entities: ['cluster'] }, true],
    ['the world', { entities: ['world'] }, true],
    ['a prefix around it', { cidrs: [{ cidr: '203.0.113.0/24', except: [] }] }, true],
    ['all but it', { endpoints: [{ matchLabels: {}, matchExpressions: [{ key: 'reserved:kube-apiserver', operator: 'DoesNotExist', values: [] }] }] }, false],
    ['nodes', { entities: ['host', 'remote-node'] }, false],
  ];
  for (const [name, peers, isSelected] of cases) {
    const objects = { ...OBJECTS, endpointSlices: [slice], policies: [policy('p', select({ app: 'net' }), [{ ...ANY_PEER, ...peers }])] };
    const { snapshot } = compileSnapshot(objects, OPTIONS);
    const server = snapshot.cidrs?.find(({ cidr }) => cidr === '203.0.113.7/32');
    t.same(server?.labels, ['reserved:kube-apiserver=']);
    t.equal(ruleSetOf(snapshot, 'a')?.[0].identities?.includes(server!.identity), isSelected, name);
  }
  t.end();
});

t.test('a pod of which nothing but its address is known is selected by no label, and is not the world', (t) => {
  const any: RuleSpec = { ...ANY_PEER, endpoints: [select({})] };
  const world: RuleSpec = { ...ANY_PEER, entities: ['world'] };
  const opaque = [pod('default/x', {}, ['10.0.2.1'], { nodeName: 'n2', isOpaque: true }), pod('default/y', {}, ['10.0.2.2'], { nodeName: 'n2', isOpaque: true })];
  const { snapshot, notices } = compileSnapshot({ ...OBJECTS, pods: [...PODS, ...opaque], policies: [policy('p', select({ app: 'net' }), [any, world])] }, OPTIONS);
  const unmanaged = snapshot.identities.find(({ addresses }) => addresses.includes('10.0.2.1'));
  t.match(unmanaged, { labels: ['reserved:unmanaged='], addresses: ['10.0.2.1', '10.0.2.2'] });
  t.notOk(ruleSetOf(snapshot, 'a')?.some(({ identities }) => identities?.includes(unmanaged!.identity) !== false), 'neither rule selects it');
  t.strictSame(notices, []);
  t.end();
});
