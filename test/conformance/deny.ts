/** egressDeny and ingressDeny: they beat whatever allows. */
import { cite, DNS_SERVER, type Group } from './case.js';
import { ccnp, cnp, HOST, KUBE_DNS, manifests, namesAtKubeDns, np, OUTSIDE, WORLD, WORLD_WITHOUT_DNS } from './world.js';

const at = cite('Documentation/security/policy/deny.rst');

const peers: Group = {
  name: 'denied peers',
  manifests: manifests(
    WORLD,
    cnp('shop/open', `
      endpointSelector: {}
      egress: [{toEntities: [all]}]`),
    cnp('shop/not-back', `
      endpointSelector: {matchLabels: {app: web}}
      egressDeny: [{toEndpoints: [{matchLabels: {tier: back}}]}]`),
    cnp('shop/not-outside', `
      endpointSelector: {matchLabels: {app: cart}}
      egressDeny:
        - {toEntities: [world], toPorts: [{ports: [{port: "80", protocol: TCP}]}]}
        - {toCIDR: [198.51.100.0/24]}`),
    cnp('bank/only-deny', `
      endpointSelector: {matchLabels: {app: ledger}}
      egressDeny: [{toEntities: [world]}]`),
    ccnp('nobody-to-bank', `
      endpointSelector: {matchLabels: {app: probe}}
      egress: [{toEntities: [all]}]
      egressDeny: [{toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: bank}}]}]`),
  ),
  cases: [
    at.isDenied('shop/web', 'shop/api', 'tcp/80', { rule: 'not-back spec.egressDeny[0]' }),
    at.isDenied('shop/web', 'shop/cart', 'tcp/80'),
    at.reaches('shop/web', 'bank/vault', 'tcp/80', { rule: 'open spec.egress[0]' }),
    at.reaches('shop/web', OUTSIDE, 'tcp/80'),
    at.isDenied('shop/cart', OUTSIDE, 'tcp/80', { rule: 'not-outside spec.egressDeny[0]' }),
    at.reaches('shop/cart', OUTSIDE, 'tcp/443'),
    at.reaches('shop/cart', 'shop/api', 'tcp/80'),
    at.isDenied('shop/cart', '198.51.100.1', 'tcp/443', { rule: 'not-outside spec.egressDeny[1]' }),
    at.isDenied('shop/cart', '198.51.100.1', 'tcp/80'),
    at.isDenied('bank/ledger', OUTSIDE, 'tcp/80', { rule: 'only-deny spec.egressDeny[0]' }),
    at.isDenied('bank/ledger', 'bank/vault', 'tcp/80'),
    at.isDenied('lab/probe', 'bank/vault', 'tcp/80', { rule: 'nobody-to-bank spec.egressDeny[0]' }),
    at.reaches('lab/probe', 'shop/api', 'tcp/80'),
  ],
};

const ports: Group = {
  name: 'denied ports and protocols',
  manifests: manifests(
    WORLD,
    cnp('shop/web', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEndpoints: [{matchLabels: {app: api}}], toPorts: [{ports: [{port: "1", endPort: 1000}]}]}]
      egressDeny:
        - {toEndpoints: [{matchLabels: {app: api}}], toPorts: [{ports: [{port: "80", protocol: TCP}, {port: "200", endPort: 300}]}]}
        - {toPorts: [{ports: [{port: "25", protocol: TCP}]}]}`),
    cnp('shop/names', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toFQDNs: [{matchPattern: "*"}]}]
      egressDeny: [{toCIDR: [203.0.113.0/28]}]`),
    cnp('bank/holes', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{toEntities: [world]}]
      egressDeny: [{toCIDRSet: [{cidr: 203.0.113.0/24, except: [203.0.113.128/25]}]}]`),
  ),
  cases: [
    at.isDenied('shop/web', 'shop/api', 'tcp/80', { rule: 'web spec.egressDeny[0].toPorts[0]' }),
    at.reaches('shop/web', 'shop/api', 'udp/80', { rule: 'web spec.egress[0].toPorts[0]' }),
    at.reaches('shop/web', 'shop/api', 'tcp/81'),
    at.reaches('shop/web', 'shop/api', 'tcp/199'),
    at.isDenied('shop/web', 'shop/api', 'tcp/200'),
    at.isDenied('shop/web', 'shop/api', 'udp/300'),
    at.reaches('shop/web', 'shop/api', 'tcp/301'),
    at.isDenied('shop/web', 'shop/api', 'tcp/25', { rule: 'web spec.egressDeny[1]' }),
    at.isDenied('shop/web', 'bank/vault', 'tcp/443'),
    at.isDenied('shop/cart', '203.0.113.7', 'tcp/443', { fqdn: 'www.shop.test', rule: 'names spec.egressDeny[0]' }),
    at.reaches('shop/cart', '203.0.113.77', 'tcp/443', { fqdn: 'www.shop.test' }),
    at.isDenied('bank/ledger', '203.0.113.7', 'tcp/443'),
    at.reaches('bank/ledger', '203.0.113.200', 'tcp/443'),
    at.reaches('bank/ledger', '198.51.100.1', 'tcp/443'),
  ],
};

const ingress: Group = {
  name: 'ingressDeny',
  manifests: manifests(
    WORLD,
    cnp('shop/table', `
      endpointSelector: {matchLabels: {app: web}}
      ingress: [{fromEndpoints: [{matchLabels: {app: api}}]}]
      ingressDeny: [{fromEndpoints: [{matchLabels: {app: api}}], toPorts: [{ports: [{port: "80", protocol: TCP}]}]}]`),
    cnp('shop/not-from-bank', `
      endpointSelector: {matchLabels: {app: cart}}
      ingress: [{fromEntities: [all]}]
      ingressDeny:
        - {fromEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: bank}}]}
        - {fromCIDRSet: [{cidr: 203.0.113.0/24, except: [203.0.113.7/32]}]}
        - {fromEntities: [remote-node]}`),
    np('bank/open', `
      podSelector: {}
      ingress: [{}]`),
    ccnp('bank-closed', `
      endpointSelector: {matchLabels: {app: ledger}}
      ingressDeny: [{fromEntities: [world]}]`),
    cnp('bank/host-denied', `
      endpointSelector: {matchLabels: {app: web}}
      ingressDeny: [{fromEntities: [world], toPorts: [{ports: [{port: "22", protocol: TCP}]}]}]`),
  ),
  cases: [
    at.reaches('shop/api', 'shop/web', 'tcp/81', { rule: 'table spec.ingress[0]' }),
    at.isDenied('shop/api', 'shop/web', 'tcp/80', { rule: 'table spec.ingressDeny[0].toPorts[0]' }),
    at.reaches('shop/api', 'shop/web', 'icmp/8'),
    at.reaches('shop/api', 'shop/cart', 'tcp/80'),
    at.isDenied('bank/vault', 'shop/cart', 'tcp/80', { rule: 'not-from-bank spec.ingressDeny[0]' }),
    at.isDenied('bank/web', 'shop/cart', 'tcp/80'),
    at.isDenied('203.0.113.8', 'shop/cart', 'tcp/80', { rule: 'not-from-bank spec.ingressDeny[1]' }),
    at.reaches('203.0.113.7', 'shop/cart', 'tcp/80'),
    at.isDenied('127.0.3.2', 'shop/cart', 'tcp/80', { rule: 'not-from-bank spec.ingressDeny[2]' }),
    at.isDenied(OUTSIDE, 'bank/ledger', 'tcp/80', { rule: 'bank-closed spec.ingressDeny[0]' }),
    at.reaches('shop/api', 'bank/ledger', 'tcp/80', { rule: 'open spec.ingress[0]' }),
    at.isDenied(OUTSIDE, 'bank/web', 'tcp/22'),
    at.reaches(OUTSIDE, 'bank/web', 'tcp/80'),
    at.reaches(HOST, 'bank/ledger', 'tcp/80'),
  ],
};

const dns: Group = {
  name: 'a denied DNS server answers nothing',
  manifests: manifests(
    WORLD,
    cnp('shop/names', `
      endpointSelector: {}
      egress: [${namesAtKubeDns('{matchPattern: "*"}')}]`),
    cnp('shop/no-server', `
      endpointSelector: {matchLabels: {app: web}}
      egressDeny: [{toEndpoints: [${KUBE_DNS}]}]`),
    cnp('shop/no-tcp', `
      endpointSelector: {matchLabels: {app: cart}}
      egressDeny: [{toEndpoints: [${KUBE_DNS}], toPorts: [{ports: [{port: "53", protocol: TCP}]}]}]`),
    cnp('bank/names', `
      endpointSelector: {}
      egress: [${namesAtKubeDns('{matchPattern: "*"}')}]
      egressDeny: [{toEntities: [world]}, {toEndpoints: [${KUBE_DNS}], toPorts: [{ports: [{port: "9153", protocol: TCP}]}]}]`),
    ccnp('quarantine', `
      endpointSelector: {matchLabels: {app: ledger}}
      egressDeny: [{toEntities: [all]}]`),
  ),
  cases: [
    at.isRefused('shop/web', 'www.shop.test'),
    at.isRefused('shop/web', 'www.shop.test', { protocol: 'tcp' }),
    at.asks('shop/cart', 'www.shop.test', { rule: 'names spec.egress[0]' }),
    at.isRefused('shop/cart', 'www.shop.test', { protocol: 'tcp' }),
    at.asks('bank/web', 'www.shop.test'),
    at.isRefused('bank/ledger', 'www.shop.test'),
    at.asks('lab/probe', 'www.shop.test'),
  ],
};

const outside: Group = {
  name: 'a denied prefix holds a DNS server',
  manifests: manifests(
    WORLD_WITHOUT_DNS,
    cnp('shop/open', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEntities: [world]}]
      egressDeny: [{toCIDR: [127.0.0.0/24]}]`),
    cnp('shop/hole', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toEntities: [world]}]
      egressDeny: [{toCIDRSet: [{cidr: 127.0.0.0/24, except: [${DNS_SERVER}/32]}]}]`),
    cnp('bank/names', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchPattern: "*"}]}}]}]
      egressDeny: [{toPorts: [{ports: [{port: "53", protocol: UDP}]}]}]`),
  ),
  cases: [
    at.isRefused('shop/web', 'www.shop.test'),
    at.asks('shop/cart', 'www.shop.test'),
    at.isRefused('shop/cart', 'www.shop.test', { server: '127.0.0.54' }),
    at.isRefused('bank/ledger', 'www.shop.test'),
    at.asks('bank/ledger', 'www.shop.test', { protocol: 'tcp' }),
  ],
};

export const deny: readonly Group[] = [peers, ports, ingress, dns, outside];
