/** Which names `rules.dns` lets a pod ask for: matchName and matchPattern, and how rules add up. */
import { cite, DNS_TYPE, type Case, type Group } from './case.js';
import { cnp, COREDNS, KUBE_DNS, manifests, namesAtKubeDns, namespace, pod, WORLD } from './world.js';

const PATTERNS = 'pkg/fqdn/matchpattern/matchpattern.go';
const FQDN = 'pkg/policy/api/fqdn.go';
const LAYER7 = 'Documentation/security/policy/layer7.rst';
const DNS_POLICY = `${LAYER7}#dns-policy-and-ip-discovery`;
const UNION = `${LAYER7}#layer-7-policies`;

interface Row {
  /** Entries of `rules.dns`, a flow list without brackets. */
  readonly rules: string;
  readonly allowed: readonly string[];
  readonly refused: readonly string[];
  readonly source: string;
}

const rows: readonly Row[] = [
  { rules: '{matchName: www.shop.test}', allowed: ['www.shop.test', 'WWW.Shop.TEST', 'www.shop.test.'], refused: ['shop.test', 'a.www.shop.test', 'wwww.shop.test'], source: DNS_POLICY },
  { rules: '{matchName: WWW.Shop.test}', allowed: ['www.shop.test'], refused: ['ftp.shop.test'], source: FQDN },
  { rules: '{matchName: www.shop.test.}', allowed: ['www.shop.test'], refused: ['www.shop.test.cluster.local'], source: FQDN },
  { rules: '{matchName: _dmarc.shop.test}', allowed: ['_dmarc.shop.test'], refused: ['dmarc.shop.test'], source: FQDN },
  { rules: '{matchPattern: "*.shop.test"}', allowed: ['www.shop.test', '_a-b.shop.test'], refused: ['shop.test', 'a.b.shop.test'], source: DNS_POLICY },
  { rules: '{matchPattern: "*shop.test"}', allowed: ['shop.test', 'myshop.test', 'my-shop.test'], refused: ['www.shop.test', 'shop.test.org'], source: PATTERNS },
  { rules: '{matchPattern: "sub*.shop.test"}', allowed: ['sub.shop.test', 'subdomain.shop.test'], refused: ['www.shop.test', 'sub.a.shop.test', 'asub.shop.test'], source: PATTERNS },
  { rules: '{matchPattern: "part*ial.test"}', allowed: ['partial.test', 'part-extra-ial.test'], refused: ['part.ial.test', 'partia.test'], source: DNS_POLICY },
  { rules: '{matchPattern: "**.shop.test"}', allowed: ['a.shop.test', 'a.b.c.shop.test'], refused: ['shop.test', 'ashop.test'], source: 'Documentation/security/policy/layer3.rst#dns-based' },
  { rules: '{matchPattern: "a.**.test"}', allowed: ['a.b.test'], refused: ['a.b.c.test', 'a.test'], source: PATTERNS },
  { rules: '{matchPattern: "*.*.shop.test"}', allowed: ['a.b.shop.test'], refused: ['a.shop.test', 'a.b.c.shop.test'], source: PATTERNS },
  { rules: '{matchPattern: "*"}', allowed: ['shop.test', 'a.b.c.d.test', 'test', '.', 'odd/byte.test'], refused: [], source: DNS_POLICY },
  { rules: '{matchPattern: "**"}', allowed: ['shop.test', 'a.b.c.test'], refused: [], source: PATTERNS },
  { rules: '{matchPattern: "*."}', allowed: ['shop.test', 'a.b.c.test'], refused: [], source: PATTERNS },
  { rules: '{matchPattern: "*.test"}', allowed: ['shop.test'], refused: ['odd/byte.test', 'a.shop.test', '.'], source: PATTERNS },
  { rules: '{matchPattern: "*.SHOP.test"}', allowed: ['www.shop.test'], refused: ['www.bank.test'], source: FQDN },
  { rules: '{matchName: shop.test}, {matchPattern: "*.shop.test"}', allowed: ['shop.test', 'www.shop.test'], refused: ['a.b.shop.test'], source: DNS_POLICY },
  { rules: '{matchName: one.test}, {matchName: two.test}', allowed: ['one.test', 'two.test'], refused: ['three.test'], source: DNS_POLICY },
  { rules: '{matchName: one.test, matchPattern: "*.two.test"}', allowed: ['one.test', 'a.two.test'], refused: ['two.test'], source: FQDN },
  { rules: '{matchPattern: "*.*.svc.cluster.local"}', allowed: ['api.shop.svc.cluster.local'], refused: ['cluster.local', 'www.shop.test.shop.svc.cluster.local'], source: DNS_POLICY },
  { rules: '{}', allowed: ['any.test', 'a.b.c.test'], refused: [], source: 'pkg/policy/api/l7.go' },
];

const nameOf = (index: number): string => `p${String(index).padStart(2, '0')}`;

const patterns: Group = {
  name: 'names and patterns',
  manifests: manifests(
    namespace('names'), namespace('kube-system'), COREDNS,
    ...rows.flatMap(({ rules }, index) => [
      pod(`names/${nameOf(index)}`, `127.0.4.${String(index + 1)}`, { labels: `pod: ${nameOf(index)}` }),
      cnp(`names/${nameOf(index)}`, `
        endpointSelector: {matchLabels: {pod: ${nameOf(index)}}}
        egress: [${namesAtKubeDns(rules)}]`),
    ]),
  ),
  cases: rows.flatMap(({ allowed, refused, source }, index): Case[] => {
    const at = cite(source);
    const from = `names/${nameOf(index)}`;
    return [
      ...allowed.map((name) => at.asks(from, name, { rule: `${nameOf(index)} spec.egress[0].toPorts[0]` })),
      ...refused.map((name) => at.isRefused(from, name)),
    ];
  }),
};

const union = cite(UNION);
const rules = cite('Documentation/security/policy/intro.rst#rule-basics');
const sums: Group = {
  name: 'several rules and policies add up',
  manifests: manifests(
    WORLD,
    cnp('shop/first', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [${namesAtKubeDns('{matchName: one.test}')}, ${namesAtKubeDns('{matchName: two.test}')}]`),
    cnp('shop/second', `
      endpointSelector: {matchLabels: {tier: front}}
      egress: [${namesAtKubeDns('{matchPattern: "*.three.test"}')}]`),
    cnp('shop/listed', `
      endpointSelector: {matchLabels: {app: cart}}
      egress:
        - toEndpoints: [${KUBE_DNS}]
          toPorts:
            - ports: [{port: "53", protocol: UDP}]
              rules: {dns: [{matchName: udp.test}]}
            - ports: [{port: "53", protocol: TCP}]
              rules: {dns: [{matchName: tcp.test}]}`),
    `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: in-specs, namespace: bank}
specs:
  - endpointSelector: {matchLabels: {app: ledger}}
    egress: [${namesAtKubeDns('{matchName: one.test}')}]
  - endpointSelector: {matchLabels: {tier: back}}
    egress: [${namesAtKubeDns('{matchName: two.test}')}]
`,
    cnp('bank/wide', `
      endpointSelector: {matchLabels: {app: web}}
      egress:
        - ${namesAtKubeDns('{matchName: one.test}')}
        - toEndpoints: [${KUBE_DNS}]
          toPorts: [{ports: [{port: "53", protocol: UDP}]}]`),
  ),
  cases: [
    rules.asks('shop/web', 'one.test', { rule: 'first spec.egress[0]' }),
    rules.asks('shop/web', 'two.test', { rule: 'first spec.egress[1]' }),
    rules.asks('shop/web', 'a.three.test', { rule: 'second spec.egress[0]' }),
    rules.isRefused('shop/web', 'four.test'),
    rules.asks('fd00::1:1', 'one.test', { notLive: 'the client has no such address', rule: 'first spec.egress[0]' }),
    rules.isRefused('fd00::1:1', 'four.test', { notLive: 'the client has no such address' }),
    union.asks('shop/cart', 'udp.test', { rule: 'listed spec.egress[0].toPorts[0]' }),
    union.isRefused('shop/cart', 'tcp.test'),
    union.asks('shop/cart', 'tcp.test', { protocol: 'tcp', rule: 'listed spec.egress[0].toPorts[1]' }),
    union.isRefused('shop/cart', 'udp.test', { protocol: 'tcp' }),
    rules.asks('bank/ledger', 'one.test', { rule: 'in-specs specs[0].egress[0]' }),
    rules.asks('bank/ledger', 'two.test', { rule: 'in-specs specs[1].egress[0]' }),
    rules.isRefused('bank/ledger', 'three.test'),
    union.asks('bank/web', 'one.test'),
    union.asks('bank/web', 'anything.test', { rule: 'wide spec.egress[1]' }),
    union.isRefused('bank/web', 'anything.test', { protocol: 'tcp' }),
  ],
};

const types = cite(DNS_POLICY);
const fqdn = cite('Documentation/security/policy/layer3.rst#dns-based');
const kinds: Group = {
  name: 'types, and names to connect to',
  manifests: manifests(
    WORLD,
    cnp('shop/names', `
      endpointSelector: {matchLabels: {app: web}}
      egress:
        - ${namesAtKubeDns('{matchPattern: "*.asked.test"}')}
        - toFQDNs: [{matchPattern: "*.reached.test"}]`),
    cnp('shop/only-fqdns', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toFQDNs: [{matchName: www.reached.test}]}]`),
  ),
  cases: [
    ...[DNS_TYPE.AAAA, DNS_TYPE.TXT, DNS_TYPE.HTTPS, DNS_TYPE.MX, DNS_TYPE.SRV].map((type) => types.asks('shop/web', 'www.asked.test', { type })),
    types.isRefused('shop/web', 'www.other.test', { type: DNS_TYPE.TXT }),
    fqdn.isRefused('shop/web', 'www.reached.test'),
    fqdn.isRefused('shop/cart', 'www.reached.test'),
    fqdn.reaches('shop/web', '203.0.113.7', 'tcp/443', { fqdn: 'www.reached.test', rule: 'names spec.egress[1]' }),
    fqdn.isDenied('shop/web', '203.0.113.7', 'tcp/443', { fqdn: 'www.asked.test' }),
    fqdn.isDenied('shop/web', '203.0.113.7', 'tcp/443'),
    fqdn.reaches('shop/cart', '203.0.113.7', 'udp/443', { fqdn: 'www.reached.test' }),
    fqdn.isDenied('shop/cart', '203.0.113.7', 'udp/443', { fqdn: 'www.other.test' }),
  ],
};

const stars: Group = {
  name: 'patterns of toFQDNs',
  manifests: manifests(
    WORLD,
    cnp('shop/all', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toFQDNs: [{matchPattern: "*"}]}]`),
    cnp('shop/some', `
      endpointSelector: {matchLabels: {app: cart}}
      egress:
        - toFQDNs: [{matchPattern: "**.deep.test"}, {matchPattern: "www*.flat.test"}, {matchName: one.test}]
          toPorts: [{ports: [{port: "443", protocol: TCP}]}]`),
  ),
  cases: [
    fqdn.reaches('shop/web', '203.0.113.7', 'tcp/80', { fqdn: 'any.name.test' }),
    cite('Documentation/security/policy/layer7.rst#obtaining-dns-data-for-use-by-tofqdns').isDenied('shop/web', '203.0.113.7', 'tcp/80'),
    fqdn.reaches('shop/cart', '203.0.113.7', 'tcp/443', { fqdn: 'a.b.deep.test' }),
    fqdn.isDenied('shop/cart', '203.0.113.7', 'tcp/443', { fqdn: 'deep.test' }),
    fqdn.reaches('shop/cart', '203.0.113.7', 'tcp/443', { fqdn: 'www2.flat.test' }),
    fqdn.isDenied('shop/cart', '203.0.113.7', 'tcp/443', { fqdn: 'ftp.flat.test' }),
    fqdn.reaches('shop/cart', '203.0.113.7', 'tcp/443', { fqdn: 'one.test' }),
    fqdn.isDenied('shop/cart', '203.0.113.7', 'tcp/80', { fqdn: 'one.test' }),
    fqdn.isDenied('shop/cart', '203.0.113.7', 'udp/443', { fqdn: 'one.test' }),
    fqdn.reaches('shop/cart', '2001:db8::7', 'tcp/443', { fqdn: 'one.test' }),
    cite('pkg/policy/api/egress.go').isDenied('shop/web', 'bank/vault', 'tcp/443', { fqdn: 'vault.bank.test' }),
  ],
};

export const dnsNames: readonly Group[] = [patterns, sums, kinds, stars];
