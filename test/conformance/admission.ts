/** What is not admitted, with the field and what is said of it; and what is taken with a word of warning. */
import type { AdmissionCase } from './case.js';
import { ccnp, cnp, np } from './world.js';

const LIMITS = 'pkg/policy/api/rule_validation.go';
const FQDN = 'pkg/policy/api/fqdn.go';
const OWN = 'docs/reference/policy.md';

interface Row {
  readonly says: string;
  readonly field: string;
  readonly message: RegExp;
  readonly source?: string;
  readonly severity?: 'warning';
}

/** A rule of `section` in an otherwise good policy. */
function rule(section: string, text: string, row: Row): AdmissionCase {
  return object(cnp('shop/tested', `
    endpointSelector: {}
    ${section}: [${text}]`), { ...row, field: `spec.${section}[0]${row.field}` });
}

function object(yaml: string, { says, field, message, source, severity }: Row): AdmissionCase {
  return { kind: 'admission', says, yaml, field, message, source: source ?? LIMITS, severity: severity ?? 'error' };
}

const ports = (count: number): string => Array.from({ length: count }, (_, i) => `{port: "${String(i + 1)}"}`).join(', ');
const fields = (count: number): string => Array.from({ length: count }, (_, i) => `{type: ${String(i)}}`).join(', ');
const dnsRules = '{ports: [{port: "53"}], rules: {dns: [{matchPattern: "*"}]}}';
const annotated = (annotation: string): string => cnp('shop/tested', 'endpointSelector: {}\negress: [{}]', annotation);
const selected = (labels: string): string => `{toEndpoints: [{matchLabels: {${labels}}}]}`;

const peers: readonly AdmissionCase[] = [
  ...([
    ['toEndpoints: [{}], toCIDR: [10.0.0.0/8]', '.toCIDR', 'toEndpoints'],
    ['toEndpoints: [{}], toEntities: [world]', '.toEntities', 'toEndpoints'],
    ['toCIDR: [10.0.0.0/8], toCIDRSet: [{cidr: 10.0.0.0/8}]', '.toCIDRSet', 'toCIDR'],
    ['toEntities: [world], toFQDNs: [{matchName: a.test}]', '.toFQDNs', 'toEntities'],
    ['toEndpoints: [{}], toFQDNs: [{matchName: a.test}]', '.toFQDNs', 'toEndpoints'],
    ['toServices: [{k8sService: {serviceName: a}}], toEndpoints: [{}]', '.toServices', 'toEndpoints'],
  ] as const).map(([text, field, other]) => rule('egress', `{${text}}`, { says: `${field.slice(1)} beside ${other}`, field, message: new RegExp(`${other}; write two`) })),
  rule('ingress', '{fromEndpoints: [{}], fromCIDR: [10.0.0.0/8]}', { says: 'fromCIDR beside fromEndpoints', field: '.fromCIDR', message: /write two/ }),
  rule('egress', '{toCIDR: [nonsense]}', { says: 'a prefix that is none', field: '.toCIDR[0]', message: /"nonsense"/ }),
  rule('egress', '{toCIDR: [10.0.0.0/33]}', { says: 'a prefix length that is too long', field: '.toCIDR[0]', message: /0 to 32/ }),
  rule('egress', '{toCIDR: ["2001:db8::/129"]}', { says: 'an IPv6 prefix length that is too long', field: '.toCIDR[0]', message: /0 to 128/ }),
  rule('egress', '{toCIDR: [10.1.2.3/8]}', { says: 'bits beyond the prefix', field: '.toCIDR[0]', message: /10\.0\.0\.0\/8/, severity: 'warning', source: 'pkg/policy/api/cidr.go' }),
  rule('egress', '{toCIDRSet: [{cidr: 10.0.0.1}]}', { says: 'a bare address in a set', field: '.toCIDRSet[0].cidr', message: /10\.0\.0\.1\/32/ }),
  rule('egress', '{toCIDRSet: [{cidr: 10.0.0.0/8, except: [11.0.0.0/16]}]}', { says: 'an exception outside of its prefix', field: '.toCIDRSet[0].except[0]', message: /inside/ }),
  rule('egress', '{toCIDRSet: [{cidr: 10.0.0.0/8, except: ["2001:db8::/64"]}]}', { says: 'an exception of the other family', field: '.toCIDRSet[0].except[0]', message: /inside/ }),
  rule('egress', '{toCIDRSet: [{cidrGroupRef: office}]}', { says: 'a CIDR group', field: '.toCIDRSet[0].cidrGroupRef', message: /list the CIDRs/, source: OWN }),
  rule('egress', '{toEntities: [wrld]}', { says: 'an unknown entity', field: '.toEntities[0]', message: /"wrld".*world/ }),
  rule('ingress', '{fromEntities: [internet]}', { says: 'an unknown entity in ingress', field: '.fromEntities[0]', message: /"internet"/ }),
  rule('egress', '{toEntities: [health]}', { says: 'an entity without endpoints', field: '.toEntities[0]', message: /nothing here/, severity: 'warning', source: OWN }),
  rule('egress', '{toRequires: [{}]}', { says: 'toRequires', field: '.toRequires', message: /toEndpoints/, source: 'Documentation/security/policy/layer3.rst#additional-label-requirements' }),
  rule('ingress', '{fromRequires: [{}]}', { says: 'fromRequires', field: '.fromRequires', message: /fromEndpoints/, source: 'Documentation/security/policy/layer3.rst#additional-label-requirements' }),
  rule('egress', '{toNodes: [{}]}', { says: 'toNodes', field: '.toNodes', message: /remote-node/ }),
  rule('egress', '{toGroups: [{aws: {}}]}', { says: 'toGroups', field: '.toGroups', message: /toCIDRSet/, source: 'pkg/policy/api/groups.go' }),
  rule('egress', '{toServices: [{}]}', { says: 'a Service without a name', field: '.toServices[0]', message: /k8sService/, source: 'pkg/policy/api/service.go' }),
  rule('egress', '{toEndpoint: [{}]}', { says: 'a misspelt field', field: '.toEndpoint', message: /toEndpoints/, source: OWN }),
  rule('egress', '{fromEndpoints: [{}]}', { says: 'a field of the other direction', field: '.fromEndpoints', message: /toEndpoints/, source: OWN }),
  rule('egress', selected('"bad key": x'), { says: 'a label key that is none', field: '.toEndpoints[0].matchLabels["bad key"]', message: /label key/, source: 'pkg/policy/api/selector.go' }),
  rule('egress', '{toEndpoints: [{matchExpressions: [{key: a, operator: Is, values: [b]}]}]}', { says: 'an unknown operator', field: '.toEndpoints[0].matchExpressions[0].operator', message: /In/, source: 'pkg/policy/api/selector.go' }),
  rule('egress', '{toEndpoints: [{matchExpressions: [{key: a, operator: In}]}]}', { says: 'In without values', field: '.toEndpoints[0].matchExpressions[0]', message: /values/, source: 'pkg/policy/api/selector.go' }),
  rule('egress', '{toEndpoints: [{matchExpressions: [{key: a, operator: Exists, values: [b]}]}]}', { says: 'Exists with values', field: '.toEndpoints[0].matchExpressions[0].values', message: /no values/, source: 'pkg/policy/api/selector.go' }),
];

const l4: readonly AdmissionCase[] = [
  rule('egress', `{toPorts: [{ports: [${ports(41)}]}]}`, { says: '41 ports in an entry', field: '.toPorts[0].ports', message: /41 ports; the limit is 40/ }),
  rule('ingress', `{toPorts: [{ports: [${ports(41)}]}]}`, { says: '41 ports in an ingress entry', field: '.toPorts[0].ports', message: /40/ }),
  rule('egress', '{toPorts: [{ports: [{port: "65536"}]}]}', { says: 'a port beyond 65535', field: '.toPorts[0].ports[0].port', message: /65535/ }),
  rule('egress', '{toPorts: [{ports: [{port: "-1"}]}]}', { says: 'a negative port', field: '.toPorts[0].ports[0].port', message: /-1/ }),
  rule('egress', '{toPorts: [{ports: [{protocol: TCP}]}]}', { says: 'no port', field: '.toPorts[0].ports[0]', message: /port/ }),
  rule('egress', '{toPorts: [{ports: [{port: "80", protocol: tpc}]}]}', { says: 'an unknown protocol', field: '.toPorts[0].ports[0].protocol', message: /tpc/, source: 'pkg/policy/api/utils.go' }),
  rule('egress', '{toPorts: [{ports: [{port: "80", protocol: ICMP}]}]}', { says: 'ICMP as the protocol of a port', field: '.toPorts[0].ports[0].protocol', message: /icmps/, source: 'Documentation/security/policy/layer4.rst#limit-ingress-egress-ports' }),
  rule('egress', '{toPorts: [{ports: [{port: "80", endPort: 70}]}]}', { says: 'a range that ends before it begins', field: '.toPorts[0].ports[0].endPort', message: /below/, source: OWN }),
  rule('egress', '{toPorts: [{ports: [{port: http, endPort: 90}]}]}', { says: 'a range that begins with a name', field: '.toPorts[0].ports[0].endPort', message: /named port/, source: OWN }),
  rule('egress', `{icmps: [{fields: [${fields(41)}]}]}`, { says: '41 ICMP types', field: '.icmps[0].fields', message: /40/ }),
  rule('egress', '{icmps: [{fields: [{type: 256}]}]}', { says: 'an ICMP type beyond 255', field: '.icmps[0].fields[0].type', message: /255/, source: 'pkg/policy/api/icmp.go' }),
  rule('egress', '{icmps: [{fields: [{type: EchoRequst}]}]}', { says: 'an unknown ICMP type', field: '.icmps[0].fields[0].type', message: /EchoRequest/, source: 'pkg/policy/api/icmp.go' }),
  rule('egress', '{icmps: [{fields: [{type: PacketTooBig}]}]}', { says: 'an ICMPv6 type as IPv4', field: '.icmps[0].fields[0].type', message: /IPv6/, source: 'pkg/policy/api/icmp.go' }),
  rule('egress', '{icmps: [{fields: [{type: 8, family: IPv5}]}]}', { says: 'an unknown family', field: '.icmps[0].fields[0].family', message: /IPv4/ }),
  rule('egress', '{icmps: [{fields: [{type: 8}]}], toPorts: [{ports: [{port: "80"}]}]}', { says: 'icmps beside toPorts', field: '.icmps', message: /toPorts/ }),
];

const names: readonly AdmissionCase[] = [
  rule('egress', '{toFQDNs: [{matchName: a.test, matchPattern: "*.test"}]}', { says: 'both forms in toFQDNs', field: '.toFQDNs[0]', message: /two/, source: FQDN }),
  rule('egress', '{toFQDNs: [{}]}', { says: 'neither form in toFQDNs', field: '.toFQDNs[0]', message: /neither/, source: FQDN }),
  rule('egress', `{toFQDNs: [{matchName: ${'a.'.repeat(128)}}]}`, { says: 'a name of 256 characters', field: '.toFQDNs[0].matchName', message: /255/, source: FQDN }),
  rule('egress', `{toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchPattern: "*${'a'.repeat(255)}"}]}}]}`, { says: 'a pattern of 256 characters', field: '.toPorts[0].rules.dns[0].matchPattern', message: /255/, source: FQDN }),
  rule('egress', '{toFQDNs: [{matchName: "*.test"}]}', { says: 'a star in matchName', field: '.toFQDNs[0].matchName', message: /"\*"/, source: FQDN }),
  rule('egress', '{toFQDNs: [{matchPattern: "a..test"}]}', { says: 'an empty label', field: '.toFQDNs[0].matchPattern', message: /empty label/, source: FQDN }),
  rule('egress', '{toFQDNs: [{matchName: ".test"}]}', { says: 'a leading dot', field: '.toFQDNs[0].matchName', message: /dot/, source: FQDN }),
  rule('egress', '{toFQDNs: [{matchName: "a/b.test"}]}', { says: 'a character that is not admitted', field: '.toFQDNs[0].matchName', message: /"\/"/, source: FQDN }),
  rule('egress', '{toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: ""}]}}]}', { says: 'an empty name', field: '.toPorts[0].rules.dns[0].matchName', message: /empty/, source: FQDN }),
  rule('egress', '{toPorts: [{rules: {dns: [{matchPattern: "*"}]}}]}', { says: 'rules.dns without a port', field: '.toPorts[0]', message: /port/ }),
  rule('egress', '{toPorts: [{ports: [{port: "0"}], rules: {dns: [{matchPattern: "*"}]}}]}', { says: 'rules.dns at every port', field: '.toPorts[0].ports[0].port', message: /rules\.dns/ }),
  rule('egress', '{toPorts: [{ports: [{port: "53", endPort: 54}], rules: {dns: [{matchPattern: "*"}]}}]}', { says: 'rules.dns at a range', field: '.toPorts[0].ports[0].endPort', message: /range/ }),
  rule('egress', '{toPorts: [{ports: [{port: "53", protocol: SCTP}], rules: {dns: [{matchPattern: "*"}]}}]}', { says: 'rules.dns over SCTP', field: '.toPorts[0].ports[0].protocol', message: /SCTP/, source: OWN }),
  rule('ingress', `{toPorts: [${dnsRules}]}`, { says: 'rules.dns in ingress', field: '.toPorts[0].rules.dns', message: /ingress/ }),
  rule('egress', `{toFQDNs: [{matchName: a.test}], toPorts: [${dnsRules}]}`, { says: 'rules.dns beside toFQDNs', field: '.toPorts[0].rules.dns', message: /toFQDNs/, source: OWN }),
  rule('egress', '{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{path: /}]}}]}', { says: 'rules.http', field: '.toPorts[0].rules.http', message: /rules\.dns/, source: OWN }),
  rule('egress', '{toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchPattern: "*"}], http: [{path: /}]}}]}', { says: 'two kinds of L7 rules', field: '.toPorts[0].rules', message: /one kind/ }),
  rule('egress', '{toPorts: [{ports: [{port: "443", protocol: TCP}], serverNames: [a.test]}]}', { says: 'serverNames', field: '.toPorts[0].serverNames', message: /toFQDNs/, source: OWN }),
  rule('egress', '{toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchPatern: "*"}]}}]}', { says: 'a misspelt matchPattern', field: '.toPorts[0].rules.dns[0].matchPatern', message: /matchPattern/, source: OWN }),
  rule('egress', '{toPorts: [{ports: [{port: "53"}], rules: {dns: []}}]}', { says: 'rules.dns without entries', field: '.toPorts[0].rules.dns', message: /every name/, severity: 'warning', source: 'pkg/policy/api/l7.go' }),
];

const denials: readonly AdmissionCase[] = [
  rule('egressDeny', '{toFQDNs: [{matchName: a.test}]}', { says: 'toFQDNs in a rule that denies', field: '.toFQDNs', message: /tandem\.dev\/deny-fqdns/, source: 'Documentation/security/policy/deny.rst' }),
  rule('egressDeny', `{toPorts: [${dnsRules}]}`, { says: 'rules.dns in a rule that denies', field: '.toPorts[0].rules', message: /denies/, source: 'Documentation/security/policy/deny.rst' }),
  rule('ingressDeny', '{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{}]}}]}', { says: 'rules.http in a rule that denies', field: '.toPorts[0].rules', message: /denies/, source: 'Documentation/security/policy/deny.rst' }),
];

const wholes: readonly AdmissionCase[] = [
  object(cnp('shop/tested', 'egress: [{}]'), { says: 'no selector', field: 'spec', message: /endpointSelector/ }),
  object(ccnp('tested', 'endpointSelector: {}\nnodeSelector: {}\negress: [{}]'), { says: 'both selectors', field: 'spec.nodeSelector', message: /endpointSelector/ }),
  object(cnp('shop/tested', 'nodeSelector: {}\negress: [{}]'), { says: 'a node selector in a namespace', field: 'spec.nodeSelector', message: /Clusterwide/, source: 'Documentation/security/policy/intro.rst#node-selector' }),
  object(ccnp('tested', 'nodeSelector: {}\negress: [{}]'), { says: 'a host policy', field: 'spec.nodeSelector', message: /not enforced/, severity: 'warning', source: OWN }),
  object(cnp('shop/tested', 'endpointSelector: {}\negres: [{}]'), { says: 'a misspelt section', field: 'spec.egres', message: /egress/, source: OWN }),
  object(cnp('shop/tested', 'endpointSelector: {}\nenableDefaultDeny: {egres: false}\negress: [{}]'), { says: 'a misspelt direction', field: 'spec.enableDefaultDeny.egres', message: /egress/, source: OWN }),
  object(cnp('shop/tested', 'endpointSelector: {}\nenableDefaultDeny: {egress: "no"}\negress: [{}]'), { says: 'enableDefaultDeny that is no boolean', field: 'spec.enableDefaultDeny.egress', message: /true/, source: OWN }),
  object(cnp('shop/tested', 'endpointSelector: {}\negress: []'), { says: 'an empty section', field: 'spec.egress', message: /empty list/, severity: 'warning', source: 'pkg/policy/api/rule.go' }),
];

const annotations: readonly AdmissionCase[] = ([
  ['query-type: A', 'query-type', 'a misspelt annotation', /query-types/],
  ['query-types: "A, NOPE"', 'query-types', 'a type that is none', /NOPE/],
  ['deny-fqdns: "a..test"', 'deny-fqdns', 'a denied name that is none', /empty label/],
  ['deny-fqdns: ""', 'deny-fqdns', 'no denied name', /empty/],
  ['grant-scope: pod', 'grant-scope', 'an unknown grant scope', /endpoint/],
  ['query-rate: "0"', 'query-rate', 'a rate of nothing', /1000000/],
  ['query-rate: "many"', 'query-rate', 'a rate that is no number', /whole number/],
  ['query-rate: "1000001"', 'query-rate', 'a rate beyond the limit', /1000000/],
  ['label-entropy: "401"', 'label-entropy', 'an entropy beyond the limit', /400/],
  ['limit-action: drop', 'limit-action', 'an unknown action', /audit/],
  ['private-addresses: "a..test"', 'private-addresses', 'a private name that is none', /empty label/],
] as const).map(([text, key, says, message]) => object(annotated(`tandem.dev/${text}`), { says, field: `metadata.annotations["tandem.dev/${key}"]`, message, source: OWN }));

const DOCS = 'Kubernetes NetworkPolicy docs';
const kubernetes: readonly AdmissionCase[] = [
  object(np('shop/tested', 'podSelector: {}\npolicyTypes: [Both]'), { says: 'an unknown policy type', field: 'spec.policyTypes[0]', message: /Ingress and Egress/, source: DOCS }),
  object(np('shop/tested', 'podSelector: {}\ningress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]'), { says: 'ipBlock beside a selector', field: 'spec.ingress[0].from[0].ipBlock', message: /two peers/, source: DOCS }),
  object(np('shop/tested', 'podSelector: {}\ningress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/8]}}]}]'), { says: 'an exception outside of its block', field: 'spec.ingress[0].from[0].ipBlock.except[0]', message: /inside/, source: DOCS }),
  object(np('shop/tested', 'podSelector: {}\ningress: [{ports: [{port: 80, endPort: 70}]}]'), { says: 'a range that ends before it begins', field: 'spec.ingress[0].ports[0].endPort', message: /below/, source: `${DOCS}#targeting-a-range-of-ports` }),
  object(np('shop/tested', 'podSelector: {}\ningress: [{ports: [{port: http, endPort: 90}]}]'), { says: 'a range that begins with a name', field: 'spec.ingress[0].ports[0].endPort', message: /number/, source: `${DOCS}#targeting-a-range-of-ports` }),
  object(np('shop/tested', 'podSelector: {}\ningress: [{ports: [{port: 80, protocol: ANY}]}]'), { says: 'a protocol that Kubernetes has not', field: 'spec.ingress[0].ports[0].protocol', message: /TCP, UDP and SCTP/, source: DOCS }),
  object(np('shop/tested', 'podSelector: {}\ningress: [{from: [{}]}]'), { says: 'an empty peer', field: 'spec.ingress[0].from[0]', message: /podSelector/, source: DOCS }),
];

export const admission: readonly AdmissionCase[] = [...peers, ...l4, ...names, ...denials, ...wholes, ...annotations, ...kubernetes];
