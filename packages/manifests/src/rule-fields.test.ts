import t from 'tap';
import { ANY_PEER, type DirectionSpec, type L4Protocol, type RuleSpec } from '@tandem/core';
import { loadManifests } from './load.js';
import { formatProblem } from './problem.js';

type Section = 'egress' | 'egressDeny' | 'ingress' | 'ingressDeny';

function read(section: Section, rules: string): { spec: DirectionSpec | null; problems: string[] } {
  const text = `apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec:\n  endpointSelector: {}\n  ${section}:\n${rules}\n`;
  const { objects, problems } = loadManifests([{ path: 'a.yaml', text }]);
  const spec = objects?.policies[0].specs[0] ?? null;
  return { spec: spec === null ? null : section.startsWith('egress') ? spec.egress : spec.ingress, problems: problems.map(formatProblem) };
}

const labels = (matchLabels: Record<string, string>) => ({ matchLabels, matchExpressions: [] });
const ranges = (path: string, ...ports: (readonly [number, number, L4Protocol | null])[]) => [{ path, ports: ports.map(([first, last, protocol]) => ({ first, last, protocol })), dns: null }];
const NAMESPACE = 'k8s:io.kubernetes.pod.namespace';

/** One rule as written, and as read. */
const RULES: readonly (readonly [Section, string, Partial<RuleSpec>])[] = [
  ['egress', '- {}', {}],
  ['egress', '- toEndpoints: []', { endpoints: [] }],
  ['egress', '- toEndpoints: [{}]', { endpoints: [labels({})] }],
  ['egress', `- toEndpoints: [{matchLabels: {"${NAMESPACE}": batch, app: api}}]`, { endpoints: [labels({ [NAMESPACE]: 'batch', app: 'api' })] }],
  ['egress', '- toEndpoints: [{matchLabels: {io.cilium.k8s.namespace.labels.team: red}}]', { endpoints: [labels({ 'io.cilium.k8s.namespace.labels.team': 'red' })] }],
  ['egress', '- toEndpoints: [{matchLabels: {io.cilium.k8s.policy.serviceaccount: robot}}]', { endpoints: [labels({ 'io.cilium.k8s.policy.serviceaccount': 'robot' })] }],
  ['egress', '- toEndpoints: [{matchLabels: {io.cilium.k8s.policy.cluster: default}}]', { endpoints: [labels({ 'io.cilium.k8s.policy.cluster': 'default' })] }],
  ['egress', '- toEndpoints: [{matchLabels: {"reserved:host": ""}}]', { endpoints: [labels({ 'reserved:host': '' })] }],
  ['egress', '- toCIDR: []', { cidrs: [] }],
  ['egress', '- toCIDR: [10.0.0.0/8, 192.0.2.7, "FD00:0::/8", "2001:db8::1"]', {
    cidrs: [{ cidr: '10.0.0.0/8', except: [] }, { cidr: '192.0.2.7/32', except: [] }, { cidr: 'fd00::/8', except: [] }, { cidr: '2001:db8::1/128', except: [] }],
  }],
  ['egress', '- toCIDR: [0.0.0.0/0, "::/0"]', { cidrs: [{ cidr: '0.0.0.0/0', except: [] }, { cidr: '::/0', except: [] }] }],
  ['egress', '- toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.96.0.0/12, 10.0.0.0/8]}, {cidr: "fd00::/8", except: ["fd12:3456::/32"]}]', {
    cidrs: [{ cidr: '10.0.0.0/8', except: ['10.96.0.0/12', '10.0.0.0/8'] }, { cidr: 'fd00::/8', except: ['fd12:3456::/32'] }],
  }],
  ['egress', '- toEntities: []', { entities: [] }],
  ['egress', '- toEntities: [all, world, world-ipv4, world-ipv6, cluster, host, remote-node, kube-apiserver, none]', {
    entities: ['all', 'world', 'world-ipv4', 'world-ipv6', 'cluster', 'host', 'remote-node', 'kube-apiserver', 'none'],
  }],
  ['egress', '- toServices: [{k8sService: {serviceName: api, namespace: batch}}, {k8sService: {serviceName: db}}]', {
    services: [{ namespace: 'batch', name: 'api', selector: null }, { namespace: null, name: 'db', selector: null }],
  }],
  ['egress', '- toServices: [{k8sServiceSelector: {selector: {matchLabels: {tier: db}}, namespace: batch}}, {k8sServiceSelector: {selector: {}}}]', {
    services: [{ namespace: 'batch', name: null, selector: labels({ tier: 'db' }) }, { namespace: null, name: null, selector: labels({}) }],
  }],
  ['egress', '- toServices: [{k8sService: {serviceName: api}, k8sServiceSelector: {selector: {}}}]', {
    services: [{ namespace: null, name: 'api', selector: null }, { namespace: null, name: null, selector: labels({}) }],
  }],
  ['egress', '- {toServices: [{k8sService: {serviceName: api}}], toPorts: [{ports: [{port: "443"}]}]}', {
    services: [{ namespace: null, name: 'api', selector: null }], ports: ranges('toPorts[0]', [443, 443, null]),
  }],
  ['egress', '- {toFQDNs: [{matchName: Api.example}], toPorts: [{ports: [{port: "443", protocol: TCP}]}]}', {
    fqdns: [{ matchName: 'api.example.', matchPattern: null }], ports: ranges('toPorts[0]', [443, 443, 6]),
  }],
  ['egress', '- toPorts: [{ports: [{port: "8000", endPort: 8999, protocol: UDP}, {port: "9", protocol: SCTP}, {port: "0", protocol: TCP}, {port: "7", endPort: 0}]}]', {
    ports: ranges('toPorts[0]', [8000, 8999, 17], [9, 9, 132], [0, 65535, 6], [7, 7, null]),
  }],
  ['egress', '- toPorts: [{ports: [{port: dns-tcp, protocol: TCP}, {port: HTTP, endPort: 0}, {port: "0x10"}]}, {ports: [{port: "1"}]}]', {
    ports: [{ path: 'toPorts[0]', ports: [{ portName: 'dns-tcp', protocol: 6 }, { portName: 'http', protocol: null }, { portName: '0x10', protocol: null }], dns: null }, ...ranges('toPorts[1]', [1, 1, null])],
  }],
  ['egress', '- toPorts: [{ports: [{port: dns, protocol: UDP}], rules: {dns: [{matchName: a.example, matchPattern: "*.example"}]}}]', {
    ports: [{ path: 'toPorts[0]', ports: [{ portName: 'dns', protocol: 17 }], dns: [{ matchName: 'a.example.', matchPattern: '*.example.' }] }],
  }],
  ['egress', '- icmps: [{fields: [{type: 8}, {type: EchoReply, family: IPv4}, {type: "3"}]}, {fields: [{type: EchoRequest, family: IPv6}, {type: 255, family: IPv6}]}]', {
    ports: [...ranges('icmps[0]', [8, 8, 1], [0, 0, 1], [3, 3, 1]), ...ranges('icmps[1]', [128, 128, 58], [255, 255, 58])],
  }],
  ['egress', '- {toEndpoints: [{}], icmps: [{fields: [{type: 0}]}]}', { endpoints: [labels({})], ports: ranges('icmps[0]', [0, 0, 1]) }],
  ['ingress', '- fromEndpoints: [{matchLabels: {app: web}}]\n    toPorts: [{ports: [{port: "80", protocol: TCP}]}]', { endpoints: [labels({ app: 'web' })], ports: ranges('toPorts[0]', [80, 80, 6]) }],
  ['ingress', '- fromCIDR: [192.0.2.0/24]', { cidrs: [{ cidr: '192.0.2.0/24', except: [] }] }],
  ['ingress', '- fromCIDRSet: [{cidr: 192.0.2.0/24, except: [192.0.2.128/25]}]', { cidrs: [{ cidr: '192.0.2.0/24', except: ['192.0.2.128/25'] }] }],
  ['ingress', '- fromEntities: [world]', { entities: ['world'] }],
  ['ingress', '- icmps: [{fields: [{type: 8}]}]', { ports: ranges('icmps[0]', [8, 8, 1]) }],
  ['egressDeny', '- {toCIDR: [10.0.0.0/8], toPorts: [{ports: [{port: "25", protocol: TCP}]}]}', { cidrs: [{ cidr: '10.0.0.0/8', except: [] }], ports: ranges('toPorts[0]', [25, 25, 6]) }],
  ['egressDeny', '- toServices: [{k8sService: {serviceName: db}}]', { services: [{ namespace: null, name: 'db', selector: null }] }],
  ['ingressDeny', '- fromEntities: [world]', { entities: ['world'] }],
];

t.test('every kind of rule becomes plain data, without complaint', (t) => {
  for (const [section, rule, expected] of RULES) {
    const { spec, problems } = read(section, `  ${rule}`);
    t.same(problems, [], rule);
    const list = [{ ...ANY_PEER, ...expected }];
    t.strictSame(spec, section.endsWith('Deny') ? { allow: null, deny: list, defaultDeny: null } : { allow: list, deny: null, defaultDeny: null }, `${section} ${rule}`);
  }
  t.end();
});

t.test('host bits are masked and said', (t) => {
  const { spec, problems } = read('egress', '  - toCIDRSet: [{cidr: 10.1.2.3/9, except: ["10.64.0.9/30"]}, {cidr: "fd00::1/7"}]');
  t.same(spec?.allow?.[0].cidrs, [{ cidr: '10.0.0.0/9', except: ['10.64.0.8/30'] }, { cidr: 'fc00::/7', except: [] }]);
  t.same(problems, [
    'a.yaml:7:24: spec.egress[0].toCIDRSet[0].cidr: warning: "10.1.2.3/9" has bits beyond its prefix length; it is taken as 10.0.0.0/9',
    'a.yaml:7:45: spec.egress[0].toCIDRSet[0].except[0]: warning: "10.64.0.9/30" has bits beyond its prefix length; it is taken as 10.64.0.8/30',
    'a.yaml:7:70: spec.egress[0].toCIDRSet[1].cidr: warning: "fd00::1/7" has bits beyond its prefix length; it is taken as fc00::/7',
  ]);
  t.end();
});

t.test('sections, their denials and the default of each direction are kept apart', (t) => {
  const text = `apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: all}
specs:
- {endpointSelector: {}, egressDeny: [{toEntities: [world]}], enableDefaultDeny: {egress: false}}
- {endpointSelector: {}, ingress: [{}], enableDefaultDeny: {ingress: true, egress: true}}
- {nodeSelector: {matchLabels: {role: edge}}, ingress: [{fromEntities: [cluster]}]}
`;
  const { objects, problems } = loadManifests([{ path: 'a.yaml', text }]);
  t.same(problems.map(formatProblem), ['a.yaml:7:4: specs[2].nodeSelector: warning: host policies are not enforced by this version']);
  t.strictSame(objects?.policies[0].specs, [
    {
      path: 'specs[0]', endpointSelector: labels({}),
      egress: { allow: null, deny: [{ ...ANY_PEER, entities: ['world'] }], defaultDeny: false }, ingress: { allow: null, deny: null, defaultDeny: null },
    },
    {
      path: 'specs[1]', endpointSelector: labels({}),
      egress: { allow: null, deny: null, defaultDeny: true }, ingress: { allow: [ANY_PEER], deny: null, defaultDeny: true },
    },
    {
      path: 'specs[2]', endpointSelector: null,
      egress: { allow: null, deny: null, defaultDeny: null }, ingress: { allow: [{ ...ANY_PEER, entities: ['cluster'] }], deny: null, defaultDeny: null },
    },
  ]);
  t.end();
});

t.test('an empty list of rules or denials says nothing, and that is said', (t) => {
  const allowed = read('ingress', '    []');
  t.equal(allowed.spec?.allow, null);
  t.same(allowed.problems, ['a.yaml:7:5: spec.ingress: warning: is an empty list, which says nothing (as in Cilium); write [{}] to deny all']);
  const denied = read('egressDeny', '    []');
  t.equal(denied.spec?.deny, null);
  t.same(denied.problems, ['a.yaml:7:5: spec.egressDeny: warning: is an empty list, which says nothing (as in Cilium); leave it out']);
  t.end();
});

t.test('an empty list of ports is as good as none', (t) => {
  const { spec, problems } = read('egress', '  - {toEndpoints: [{}], toPorts: [], icmps: []}');
  t.equal(spec?.allow?.[0].ports, null);
  t.same(problems, [
    'a.yaml:7:34: spec.egress[0].toPorts: warning: is an empty list, which restricts nothing (as in Cilium); leave it out',
    'a.yaml:7:45: spec.egress[0].icmps: warning: is an empty list, which restricts nothing (as in Cilium); leave it out',
  ]);
  t.end();
});

t.test('a denial of nobody is said to deny nothing, and an empty toFQDNs to differ from Cilium', (t) => {
  const all = (entities: string) => `write "${entities}: [all]" to deny all`;
  const cases: readonly (readonly [Section, string, string])[] = [
    ['egressDeny', '- {}', `5: spec.egressDeny[0]: warning: is empty, which denies nothing (as in Cilium); ${all('toEntities')}`],
    ['ingressDeny', '- {}', `5: spec.ingressDeny[0]: warning: is empty, which denies nothing (as in Cilium); ${all('fromEntities')}`],
    ['egressDeny', '- toCIDR: []', `13: spec.egressDeny[0].toCIDR: warning: is an empty list, so that the rule denies nothing (as in Cilium); ${all('toEntities')}`],
    ['ingressDeny', '- fromEndpoints: []', `20: spec.ingressDeny[0].fromEndpoints: warning: is an empty list, so that the rule denies nothing (as in Cilium); ${all('fromEntities')}`],
    ['egress', '- toFQDNs: []', '14: spec.egress[0].toFQDNs: warning: is an empty list, which selects nobody; in Cilium it restricts nothing, so leave it out if that is meant'],
  ];
  for (const [section, rule, expected] of cases) t.same(read(section, `  ${rule}`).problems, [`a.yaml:7:${expected}`], `${section} ${rule}`);
  t.end();
});

t.test('an IPv4 prefix written as IPv6 is told in its own form', (t) => {
  for (const [cidr, advice] of [['::ffff:10.0.0.0/104', 'write it as 10.0.0.0/8'], ['::ffff:10.0.0.0/64', 'write it as IPv4, such as 10.0.0.0/8']]) {
    t.same(read('egress', `  - toCIDR: ["${cidr}"]`).problems, [`a.yaml:7:14: spec.egress[0].toCIDR[0]: error: "${cidr}" is an IPv4 address written as IPv6; ${advice}`]);
  }
  t.end();
});
