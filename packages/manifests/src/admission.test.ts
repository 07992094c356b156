import t from 'tap';
import { loadManifests } from './load.js';
import { formatProblem } from './problem.js';

type Section = 'egress' | 'egressDeny' | 'ingress' | 'ingressDeny';

/** The rule stands on line 7, behind `  - `. */
const inSection = (section: Section, rule: string): string =>
  `apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec:\n  endpointSelector: {}\n  ${section}:\n  - ${rule}\n`;
const many = (count: number, item: string): string => `[${Array<string>(count).fill(item).join(', ')}]`;
const L3 = {
  toEndpoints: '[{}]', toCIDR: '[10.0.0.0/8]', toCIDRSet: '[{cidr: 10.0.0.0/8}]', toEntities: '[world]', toServices: '[{k8sService: {serviceName: a}}]',
  toFQDNs: '[{matchName: a.example}]',
} as const;
const L3_INGRESS = { fromEndpoints: '[{}]', fromCIDR: '[10.0.0.0/8]', fromCIDRSet: '[{cidr: 10.0.0.0/8}]', fromEntities: '[world]' } as const;

/** What each limit of Cilium's admission says: the rule, then complaints without `a.yaml:7:` and the section's path. */
const REFUSED: readonly (readonly [Section, string, readonly string[]])[] = [
  ['egress', '{toPorts: [{ports: [{port: "1"}]}], icmps: [{fields: [{type: 8}]}]}', ['48: icmps: error: stands next to toPorts; write two rules']],
  ['ingress', '{toPorts: [{ports: [{port: "1"}]}], icmps: [{fields: [{type: 8}]}]}', ['48: icmps: error: stands next to toPorts; write two rules']],
  ['egress', `{icmps: [{fields: ${many(41, '{type: 8}')}}]}`, ['23: icmps[0].fields: error: has 41 types; the limit is 40']],
  ['egress', '{icmps: [{}]}', ['14: icmps[0]: error: needs a type: an entry without one allows nothing']],
  ['egress', '{icmps: [{fields: []}]}', ['23: icmps[0].fields: error: needs a type: an entry without one allows nothing']],
  ['egress', '{icmps: [{fields: [{type: 256}]}]}', ['31: icmps[0].fields[0].type: error: is 256; allowed are 0 to 255']],
  ['egress', '{icmps: [{fields: [{type: "256"}]}]}', ['31: icmps[0].fields[0].type: error: is 256; allowed are 0 to 255']],
  ['egress', '{icmps: [{fields: [{family: IPv4}]}]}', ['24: icmps[0].fields[0]: error: has no type']],
  ['egress', '{icmps: [{fields: [{type: 8, family: ipv4}]}]}', ['42: icmps[0].fields[0].family: error: is "ipv4"; known are IPv4 and IPv6']],
  ['egress', '{icmps: [{fields: [{type: PacketTooBig}]}]}', ['31: icmps[0].fields[0].type: error: "PacketTooBig" is a type of IPv6; write "family: IPv6"']],
  ['egress', '{icmps: [{fields: [{type: EchoReqest}]}]}', ['31: icmps[0].fields[0].type: error: "EchoReqest" is no type of IPv4; write a number from 0 to 255 or its name; did you mean "EchoRequest"?']],
  ['egress', '{toPorts: [{ports: [{port: "1", protocol: ICMP}]}]}', ['47: toPorts[0].ports[0].protocol: error: "ICMP" has no ports; write icmps in a rule of its own']],
  ['egress', '{toPorts: [{ports: [{port: "1", protocol: VRRP}]}]}', ['47: toPorts[0].ports[0].protocol: error: "VRRP" is not enforced by this version; TCP, UDP, SCTP and ANY are']],
  ['egress', '{toPorts: [{ports: [{port: http, endPort: 90}]}]}', ['47: toPorts[0].ports[0].endPort: error: stands next to a named port; a range needs numbers']],
  ['egress', '{toPorts: [{ports: [{port: a--b}]}]}', ['32: toPorts[0].ports[0].port: error: "a--b" is no port; write a decimal number from 0 to 65535, or the name of a container port']],
  ['egress', '{toPorts: [{ports: [{port: sixteen-letters-}]}]}', ['32: toPorts[0].ports[0].port: error: "sixteen-letters-" is no port; write a decimal number from 0 to 65535, or the name of a container port']],
  ['egress', '{toPorts: [{ports: [{port: "53", protocol: SCTP}], rules: {dns: [{matchPattern: "*"}]}}]}', ['48: toPorts[0].ports[0].protocol: error: is SCTP, which DNS does not come by; write ANY']],
  ['egress', '{toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchPattern: "*"}], http: [{}]}}]}', [
    '47: toPorts[0].rules: error: has dns and http; one entry of toPorts takes one kind of rule',
    '76: toPorts[0].rules.http: error: is not supported by this version: only rules.dns is enforced; leave it out',
  ]],
  ['egress', '{toPorts: [{ports: [{port: "80"}], listener: {}, terminatingTLS: {}, originatingTLS: {}, serverNames: [a]}]}', [
    '40: toPorts[0].listener: error: is not supported by this version: leave it out',
    '54: toPorts[0].terminatingTLS: error: is not supported by this version: leave it out',
    '74: toPorts[0].originatingTLS: error: is not supported by this version: leave it out',
    '94: toPorts[0].serverNames: error: is not supported by this version: name destinations by toFQDNs',
  ]],
  ['ingress', '{toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchPattern: "*"}]}}]}', ['53: toPorts[0].rules.dns: error: stands in an ingress rule; what pods may ask is an egress rule of the pods that ask']],
  ['egressDeny', '{toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchPattern: "*"}]}}]}', ['47: toPorts[0].rules: error: stands in a rule that denies, which takes whole ports; for names write the annotation tandem.dev/deny-fqdns']],
  ['egressDeny', '{toFQDNs: [{matchName: a.example}]}', ['15: toFQDNs: error: stands in a rule that denies, where Cilium has no names; write them in the annotation tandem.dev/deny-fqdns']],
  ['egressDeny', '{toEntities: [world], toCIDR: [10.0.0.0/8]}', ['18: toEntities: error: stands next to toCIDR; write two egressDeny rules']],
  ['ingressDeny', '{fromEntities: [world], fromCIDR: [10.0.0.0/8]}', ['20: fromEntities: error: stands next to fromCIDR; write two ingressDeny rules']],
  ['ingress', '{toEndpoints: [{}]}', ['6: toEndpoints: error: belongs into egress rules; here write fromEndpoints']],
  ['ingress', '{toFQDNs: [{matchName: a.example}]}', ['6: toFQDNs: error: belongs into egress rules; name those who connect by labels or addresses']],
  ['egress', '{fromCIDR: [10.0.0.0/8]}', ['6: fromCIDR: error: belongs into ingress rules; here write toCIDR']],
  ['egress', '{toNodes: [{}]}', ['6: toNodes: error: is not supported by this version: write toEntities with host or remote-node, or the addresses of the nodes as toCIDR']],
  ['egress', '{toGroups: [{}]}', ['6: toGroups: error: is not supported by this version: write the addresses of the group as toCIDRSet, or its names as toFQDNs']],
  ['egress', '{toRequires: [{}]}', ['6: toRequires: error: is not supported by this version: put the labels into every selector of toEndpoints']],
  ['egress', '{authentication: {mode: required}}', ['6: authentication: error: is not supported by this version: leave it out; connections are judged by labels and addresses']],
  ['ingress', '{fromNodes: [{}]}', ['6: fromNodes: error: is not supported by this version: write fromEntities with host or remote-node, or the addresses of the nodes as fromCIDR']],
  ['ingress', '{fromGroups: [{}]}', ['6: fromGroups: error: is not supported by this version: write the addresses of the group as fromCIDRSet']],
  ['ingress', '{fromRequires: [{}]}', ['6: fromRequires: error: is not supported by this version: put the labels into every selector of fromEndpoints']],
  ['egress', '{toCIDR: [10.0.0.0/33, 10.0.0/8, example.com, "fd00::/129", 10.0.0.0/08, 10.0.0.0/8/8, "::ffff:10.0.0.1", ""]}', [
    '15: toCIDR[0]: error: "10.0.0.0/33" has no prefix length of 0 to 32',
    '28: toCIDR[1]: error: "10.0.0/8" is no CIDR; write it as 10.0.0.0/8 or fd00::/8',
    '38: toCIDR[2]: error: "example.com" is no CIDR; write it as 10.0.0.0/8 or fd00::/8',
    '51: toCIDR[3]: error: "fd00::/129" has no prefix length of 0 to 128',
    '65: toCIDR[4]: error: "10.0.0.0/08" has no prefix length of 0 to 32',
    '78: toCIDR[5]: error: "10.0.0.0/8/8" is no CIDR; write it as 10.0.0.0/8 or fd00::/8',
    '92: toCIDR[6]: error: "::ffff:10.0.0.1" is an IPv4 address written as IPv6; write it as 10.0.0.1',
    '111: toCIDR[7]: error: "" is no CIDR; write it as 10.0.0.0/8 or fd00::/8',
  ]],
  ['egress', '{toCIDRSet: [{cidr: 10.0.0.1}, {except: [10.0.0.0/8]}, {cidr: "fd00::1"}]}', [
    '25: toCIDRSet[0].cidr: error: "10.0.0.1" has no prefix length; write 10.0.0.1/32',
    '36: toCIDRSet[1]: error: has no cidr',
    '67: toCIDRSet[2].cidr: error: "fd00::1" has no prefix length; write fd00::1/128',
  ]],
  ['egress', '{toCIDRSet: [{cidr: 10.0.0.0/8, except: [192.0.2.0/24, 10.0.0.0/7, "fd00::/8"]}]}', [
    '46: toCIDRSet[0].except[0]: error: 192.0.2.0/24 does not lie inside 10.0.0.0/8; an exception takes a part out of its own cidr',
    '60: toCIDRSet[0].except[1]: error: 10.0.0.0/7 does not lie inside 10.0.0.0/8; an exception takes a part out of its own cidr',
    '72: toCIDRSet[0].except[2]: error: fd00::/8 does not lie inside 10.0.0.0/8; an exception takes a part out of its own cidr',
  ]],
  ['egress', '{toCIDRSet: [{cidrGroupRef: office}, {cidrGroupSelector: {}}]}', [
    '19: toCIDRSet[0].cidrGroupRef: error: is not supported: CiliumCIDRGroup objects are not read; list the CIDRs under toCIDRSet or fromCIDRSet',
    '43: toCIDRSet[1].cidrGroupSelector: error: is not supported: CiliumCIDRGroup objects are not read; list the CIDRs under toCIDRSet or fromCIDRSet',
  ]],
  ['egress', '{toEntities: [wrld, nonsense-entity]}', [
    '19: toEntities[0]: error: "wrld" is no entity; did you mean "world"?',
    '25: toEntities[1]: error: "nonsense-entity" is no entity; known are all, world, world-ipv4, world-ipv6, cluster, host, remote-node, kube-apiserver, init, ingress, unmanaged, health, none',
  ]],
  ['egress', '{toServices: [{}, {k8sService: {}}, {k8sService: {serviceName: A_b, namespace: T!}}, {k8sServiceSelector: {}}, {k8sService: {servicename: a}}]}', [
    '19: toServices[0]: error: has neither k8sService nor k8sServiceSelector',
    '36: toServices[1].k8sService: error: has no serviceName',
    '68: toServices[2].k8sService.serviceName: error: "A_b" is no name of a Service: lower-case letters, digits and "-" are allowed, 63 at most',
    '84: toServices[2].k8sService.namespace: error: "T!" is no name of a namespace: lower-case letters, digits and "-" are allowed, 63 at most',
    '111: toServices[3].k8sServiceSelector: error: has no selector; write "selector: {}" for every Service',
    '129: toServices[4].k8sService: error: has no serviceName',
    '130: toServices[4].k8sService.servicename: error: is unknown; did you mean "serviceName"?',
  ]],
  ['egress', '{toServices: [{k8sServiceSelector: {selector: {matchLabels: {"k8s:app": a}}}}]}', [
    '77: toServices[0].k8sServiceSelector.selector.matchLabels["k8s:app"]: error: "k8s:app" has a source prefix, which Kubernetes does not know; write "app"',
  ]],
];

t.test('each limit of admission names its place, what is wrong and what to write instead', (t) => {
  for (const [section, rule, expected] of REFUSED) {
    const { objects, problems } = loadManifests([{ path: 'a.yaml', text: inSection(section, rule) }]);
    const path = `spec.${section}[0].`;
    t.same(problems.map(formatProblem), expected.map((one) => `a.yaml:7:${one.replace(/^([0-9]+: )/, `$1${path}`)}`), `${section} ${rule}`.slice(0, 120));
    t.equal(objects, null, 'no objects');
  }
  t.end();
});

t.test('any two kinds of peers in one rule are refused, whichever they are', (t) => {
  for (const [section, kinds] of [['egress', L3], ['ingress', L3_INGRESS]] as const) {
    const entries = Object.entries(kinds);
    for (const [i, [first, firstValue]] of entries.entries()) {
      for (const [second, secondValue] of entries.slice(i + 1)) {
        const { problems } = loadManifests([{ path: 'a.yaml', text: inSection(section, `{${second}: ${secondValue}, ${first}: ${firstValue}}`) }]);
        t.same(problems.map(({ field, message }) => `${field} ${message}`), [`spec.${section}[0].${second} stands next to ${first}; write two ${section} rules`]);
      }
    }
  }
  t.end();
});

t.test('a spec has one subject, and something to say', (t) => {
  const spec = (kind: string, text: string): string[] =>
    loadManifests([{ path: 'a.yaml', text: `apiVersion: cilium.io/v2\nkind: ${kind}\nmetadata: {name: p${kind === 'CiliumNetworkPolicy' ? ', namespace: d' : ''}}\n${text}` }]).problems.map(formatProblem);
  t.same(spec('CiliumNetworkPolicy', 'spec: {egress: [{}]}'), ['a.yaml:4:7: spec: error: has no endpointSelector; write "endpointSelector: {}" for all pods']);
  t.same(spec('CiliumNetworkPolicy', 'spec: {nodeSelector: {}, egress: [{}]}'), ['a.yaml:4:22: spec.nodeSelector: error: belongs into a CiliumClusterwideNetworkPolicy']);
  t.same(spec('CiliumClusterwideNetworkPolicy', 'spec: {nodeSelector: {}, endpointSelector: {}, egress: [{}]}'), ['a.yaml:4:22: spec.nodeSelector: error: stands next to endpointSelector; one spec takes one of them']);
  t.same(spec('CiliumNetworkPolicy', 'spec: {endpointSelector: {}}'), ['a.yaml:4:7: spec: warning: has no rules; Cilium refuses such a policy; write "egress: [{}]" or "ingress: [{}]" to deny all']);
  t.same(spec('CiliumNetworkPolicy', 'spec: {endpointSelector: {}, egress: [{}], enableDefaultDeny: {egres: true, ingress: yes}}'), [
    'a.yaml:4:64: spec.enableDefaultDeny.egres: error: is unknown; did you mean "egress"?',
    'a.yaml:4:86: spec.enableDefaultDeny.ingress: error: is a string; true or false is wanted',
  ]);
  t.same(spec('CiliumNetworkPolicy', 'specs: []'), ['a.yaml:4:8: specs: warning: is an empty list: the policy does nothing']);
  t.same(spec('CiliumNetworkPolicy', ''), ['a.yaml:1:1: error: has neither spec nor specs']);
  t.end();
});

t.test('entities that select nothing here are taken with a warning', (t) => {
  const { objects, problems } = loadManifests([{ path: 'a.yaml', text: inSection('ingress', '{fromEntities: [init, ingress, unmanaged, health, none]}') }]);
  t.same(problems.map(({ message, severity }) => `${severity} ${message}`), ['init', 'ingress', 'unmanaged', 'health'].map((one) => `warning "${one}" selects nothing here: there are no such endpoints`));
  t.same(objects?.policies[0].specs[0].ingress.allow?.[0].entities, ['init', 'ingress', 'unmanaged', 'health', 'none']);
  t.end();
});
