/** toCIDR and toCIDRSet: prefixes, exceptions, what they never select. */
import { cite, type Group } from './case.js';
import { cnp, HOST, manifests, OUTSIDE, OUTSIDE_6, REMOTE_NODE, WORLD } from './world.js';

const CIDR = 'Documentation/security/policy/layer3.rst#ip-cidr-based';
const at = cite(CIDR);
const code = cite('pkg/policy/api/cidr.go');

const plain: Group = {
  name: 'prefixes and single addresses',
  manifests: manifests(
    WORLD,
    cnp('shop/blocks', `
      endpointSelector: {matchLabels: {app: web}}
      egress:
        - {toCIDR: [203.0.113.0/24, "2001:db8::/32"]}
        - {toCIDR: [198.51.100.9]}
        - {toCIDR: [192.0.2.128/25], toPorts: [{ports: [{port: "443", protocol: TCP}]}]}`),
    cnp('shop/all-v4', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toCIDR: [0.0.0.0/0]}]`),
    cnp('bank/none', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{toCIDR: []}]`),
  ),
  cases: [
    at.reaches('shop/web', OUTSIDE, 'tcp/443', { rule: 'blocks spec.egress[0]' }),
    at.reaches('shop/web', '203.0.113.0', 'udp/53'),
    at.reaches('shop/web', '203.0.113.255', 'sctp/9'),
    at.isDenied('shop/web', '203.0.114.0', 'tcp/443'),
    at.isDenied('shop/web', '203.0.112.255', 'tcp/443'),
    at.reaches('shop/web', OUTSIDE_6, 'tcp/443', { rule: 'blocks spec.egress[0]' }),
    at.isDenied('shop/web', '2001:db9::1', 'tcp/443'),
    code.reaches('shop/web', '198.51.100.9', 'tcp/1', { rule: 'blocks spec.egress[1]' }),
    code.isDenied('shop/web', '198.51.100.8', 'tcp/1'),
    at.reaches('shop/web', '192.0.2.128', 'tcp/443', { rule: 'blocks spec.egress[2]' }),
    at.isDenied('shop/web', '192.0.2.127', 'tcp/443'),
    at.isDenied('shop/web', '192.0.2.128', 'tcp/80'),
    at.reaches('shop/cart', OUTSIDE, 'tcp/443'),
    at.isDenied('shop/cart', OUTSIDE_6, 'tcp/443'),
    at.isDenied('shop/cart', 'shop/api', 'tcp/443'),
    at.isDenied('shop/cart', 'shop/web', 'tcp/443'),
    at.isDenied('shop/cart', HOST, 'tcp/443'),
    at.isDenied('shop/cart', REMOTE_NODE, 'tcp/443'),
    cite('pkg/policy/api/egress.go').isDenied('bank/ledger', OUTSIDE, 'tcp/443'),
  ],
};

const except: Group = {
  name: 'exceptions',
  manifests: manifests(
    WORLD,
    cnp('shop/holes', `
      endpointSelector: {matchLabels: {app: web}}
      egress:
        - toCIDRSet:
            - {cidr: 198.51.0.0/16, except: [198.51.100.0/24, 198.51.7.7/32]}
            - {cidr: "2001:db8::/32", except: ["2001:db8:1::/48"]}`),
    cnp('shop/refilled', `
      endpointSelector: {matchLabels: {app: cart}}
      egress:
        - {toCIDRSet: [{cidr: 198.51.0.0/16, except: [198.51.100.0/24]}]}
        - {toCIDR: [198.51.100.128/25], toPorts: [{ports: [{port: "80", protocol: TCP}]}]}`),
    cnp('bank/own-hole', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress:
        - toCIDRSet:
            - {cidr: 198.51.100.0/24, except: [198.51.100.0/25]}
            - {cidr: 198.51.100.64/26}`),
    cnp('bank/all-but', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toCIDRSet: [{cidr: 0.0.0.0/0, except: [203.0.113.0/24]}]}]`),
  ),
  cases: [
    at.reaches('shop/web', '198.51.99.1', 'tcp/443', { rule: 'holes spec.egress[0]' }),
    at.isDenied('shop/web', '198.51.100.1', 'tcp/443'),
    at.reaches('shop/web', '198.51.101.1', 'tcp/443'),
    at.isDenied('shop/web', '198.51.7.7', 'tcp/443'),
    at.reaches('shop/web', '198.51.7.8', 'tcp/443'),
    at.reaches('shop/web', '2001:db8::1', 'tcp/443'),
    at.isDenied('shop/web', '2001:db8:1::1', 'tcp/443'),
    at.reaches('shop/web', '2001:db8:2::1', 'tcp/443'),
    code.isDenied('shop/cart', '198.51.100.1', 'tcp/80'),
    code.reaches('shop/cart', '198.51.100.129', 'tcp/80', { rule: 'refilled spec.egress[1]' }),
    code.isDenied('shop/cart', '198.51.100.129', 'tcp/81'),
    code.reaches('bank/ledger', '198.51.100.200', 'tcp/80'),
    code.reaches('bank/ledger', '198.51.100.65', 'tcp/80'),
    code.isDenied('bank/ledger', '198.51.100.1', 'tcp/80'),
    at.reaches('bank/web', '198.51.100.1', 'tcp/80', { rule: 'all-but spec.egress[0]' }),
    at.isDenied('bank/web', OUTSIDE, 'tcp/80'),
    at.isDenied('bank/web', 'bank/vault', 'tcp/80'),
  ],
};

const nested: Group = {
  name: 'prefixes of several policies within each other',
  manifests: manifests(
    WORLD,
    cnp('shop/wide', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toCIDR: [10.0.0.0/8], toPorts: [{ports: [{port: "80", protocol: TCP}]}]}]`),
    cnp('shop/narrow', `
      endpointSelector: {matchLabels: {tier: front}}
      egress: [{toCIDR: [10.1.0.0/16], toPorts: [{ports: [{port: "443", protocol: TCP}]}]}]`),
    cnp('shop/single', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toCIDR: [10.1.2.3/32]}]`),
  ),
  cases: [
    at.reaches('shop/web', '10.1.2.3', 'tcp/80', { rule: 'wide spec.egress[0]' }),
    at.reaches('shop/web', '10.1.2.3', 'tcp/443', { rule: 'narrow spec.egress[0]' }),
    at.reaches('shop/web', '10.2.0.1', 'tcp/80'),
    at.isDenied('shop/web', '10.2.0.1', 'tcp/443'),
    at.reaches('shop/cart', '10.1.2.3', 'tcp/443'),
    at.isDenied('shop/cart', '10.1.2.4', 'tcp/443'),
    at.isDenied('shop/cart', '10.2.0.1', 'tcp/443'),
  ],
};

export const cidr: readonly Group[] = [plain, except, nested];
