/** toPorts: numbers, ranges, protocols, alone and with peers. */
import { cite, type Group } from './case.js';
import { cnp, HOST, manifests, OUTSIDE, OUTSIDE_6, WORLD } from './world.js';

const at = cite('Documentation/security/policy/layer4.rst#limit-ingress-egress-ports');
const ranges = cite('Documentation/security/policy/layer4.rst#example-port-ranges');
const withLabels = cite('Documentation/security/policy/layer4.rst#labels-dependent-layer-4-rule');
const withCidr = cite('Documentation/security/policy/layer4.rst#cidr-dependent-layer-4-rule');
const code = cite('pkg/policy/api/l4.go');

const alone: Group = {
  name: 'ports without a peer',
  manifests: manifests(
    WORLD,
    cnp('shop/http', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toPorts: [{ports: [{port: "80", protocol: TCP}]}]}]`),
    cnp('shop/any', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toPorts: [{ports: [{port: "443"}, {port: "53", protocol: UDP}, {port: "9899", protocol: SCTP}]}]}]`),
    cnp('bank/every-tcp', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{toPorts: [{ports: [{port: "0", protocol: TCP}]}]}]`),
    cnp('bank/two-entries', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toPorts: [{ports: [{port: "1", protocol: TCP}]}, {ports: [{port: "2", protocol: UDP}]}]}]`),
  ),
  cases: [
    at.reaches('shop/web', OUTSIDE, 'tcp/80', { rule: 'http spec.egress[0].toPorts[0]' }),
    at.reaches('shop/web', OUTSIDE_6, 'tcp/80'),
    at.reaches('shop/web', 'bank/vault', 'tcp/80'),
    at.reaches('shop/web', HOST, 'tcp/80'),
    at.isDenied('shop/web', OUTSIDE, 'tcp/81'),
    at.isDenied('shop/web', OUTSIDE, 'udp/80'),
    at.isDenied('shop/web', OUTSIDE, 'icmp/8'),
    code.reaches('shop/cart', OUTSIDE, 'tcp/443'),
    code.reaches('shop/cart', OUTSIDE, 'udp/443'),
    code.reaches('shop/cart', OUTSIDE, 'sctp/443'),
    code.isDenied('shop/cart', OUTSIDE, 'icmp/3'),
    code.isDenied('shop/cart', OUTSIDE, 'tcp/53'),
    code.reaches('shop/cart', OUTSIDE, 'sctp/9899'),
    code.reaches('bank/ledger', OUTSIDE, 'tcp/1'),
    code.reaches('bank/ledger', OUTSIDE, 'tcp/65535'),
    code.isDenied('bank/ledger', OUTSIDE, 'udp/1'),
    at.reaches('bank/web', OUTSIDE, 'tcp/1', { rule: 'two-entries spec.egress[0].toPorts[0]' }),
    at.reaches('bank/web', OUTSIDE, 'udp/2', { rule: 'two-entries spec.egress[0].toPorts[1]' }),
    at.isDenied('bank/web', OUTSIDE, 'udp/1'),
  ],
};

const range: Group = {
  name: 'ranges of ports',
  manifests: manifests(
    WORLD,
    cnp('shop/web', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toPorts: [{ports: [{port: "80", endPort: 444, protocol: TCP}]}]}]`),
    cnp('shop/one', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toPorts: [{ports: [{port: "80", endPort: 80}, {port: "1000", endPort: 0}]}]}]`),
  ),
  cases: [
    ranges.isDenied('shop/web', OUTSIDE, 'tcp/79'),
    ranges.reaches('shop/web', OUTSIDE, 'tcp/80'),
    ranges.reaches('shop/web', OUTSIDE, 'tcp/200'),
    ranges.reaches('shop/web', OUTSIDE, 'tcp/444'),
    ranges.isDenied('shop/web', OUTSIDE, 'tcp/445'),
    ranges.isDenied('shop/web', OUTSIDE, 'udp/200'),
    code.reaches('shop/cart', OUTSIDE, 'udp/80'),
    code.isDenied('shop/cart', OUTSIDE, 'udp/81'),
    code.reaches('shop/cart', OUTSIDE, 'tcp/1000'),
    code.isDenied('shop/cart', OUTSIDE, 'tcp/1001'),
  ],
};

const both: Group = {
  name: 'ports with a peer',
  manifests: manifests(
    WORLD,
    cnp('shop/labels', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEndpoints: [{matchLabels: {app: api}}], toPorts: [{ports: [{port: "80", protocol: TCP}]}]}]`),
    cnp('shop/prefix', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toCIDR: [192.0.2.0/24], toPorts: [{ports: [{port: "80", protocol: TCP}]}]}]`),
    cnp('bank/l3-and-l4', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress:
        - {toEndpoints: [{matchLabels: {app: vault}}]}
        - {toPorts: [{ports: [{port: "443", protocol: TCP}]}]}`),
    cnp('bank/no-ports', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEndpoints: [{matchLabels: {app: vault}}], toPorts: []}]`),
  ),
  cases: [
    withLabels.reaches('shop/web', 'shop/api', 'tcp/80'),
    withLabels.isDenied('shop/web', 'shop/api', 'tcp/443'),
    withLabels.isDenied('shop/web', 'shop/api', 'udp/80'),
    withLabels.isDenied('shop/web', 'shop/cart', 'tcp/80'),
    withLabels.isDenied('shop/web', OUTSIDE, 'tcp/80'),
    withCidr.reaches('shop/cart', '192.0.2.77', 'tcp/80'),
    withCidr.isDenied('shop/cart', '192.0.2.77', 'tcp/443'),
    withCidr.isDenied('shop/cart', '192.0.3.77', 'tcp/80'),
    at.reaches('bank/ledger', 'bank/vault', 'udp/9', { rule: 'l3-and-l4 spec.egress[0]' }),
    at.reaches('bank/ledger', 'bank/vault', 'icmp/8'),
    at.reaches('bank/ledger', OUTSIDE, 'tcp/443', { rule: 'l3-and-l4 spec.egress[1]' }),
    at.isDenied('bank/ledger', OUTSIDE, 'tcp/80'),
    code.reaches('bank/web', 'bank/vault', 'tcp/1'),
  ],
};

export const l4: readonly Group[] = [alone, range, both];
