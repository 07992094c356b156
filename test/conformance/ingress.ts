/** Ingress, and connections between pods of this node, where both sides must agree. */
import { cite, type Group } from './case.js';
import { cnp, HOST, manifests, OUTSIDE, OUTSIDE_6, REMOTE_NODE, WORLD } from './world.js';

const at = cite('Documentation/security/policy/layer3.rst#ingress');
const sides = cite('Documentation/security/policy/layer3.rst#ingress-allow-all-endpoints');
const cidr = cite('Documentation/security/policy/layer3.rst#ip-cidr-based');

const from: Group = {
  name: 'who may connect to a pod',
  manifests: manifests(
    WORLD,
    cnp('shop/by-labels', `
      endpointSelector: {matchLabels: {app: web}}
      ingress: [{fromEndpoints: [{matchLabels: {app: api}}], toPorts: [{ports: [{port: "443", protocol: TCP}]}]}]`),
    cnp('shop/all-own', `
      endpointSelector: {matchLabels: {app: cart}}
      ingress: [{fromEndpoints: [{}]}]`),
    cnp('bank/by-cidr', `
      endpointSelector: {matchLabels: {app: ledger}}
      ingress:
        - {fromCIDR: [203.0.113.0/24]}
        - {fromCIDRSet: [{cidr: "2001:db8::/32", except: ["2001:db8:1::/48"]}], toPorts: [{ports: [{port: "443", protocol: TCP}]}]}`),
    cnp('bank/by-port', `
      endpointSelector: {matchLabels: {app: web}}
      ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}]}]}]`),
    cnp('lab/nobody', `
      endpointSelector: {}
      ingress: [{fromEndpoints: []}]`),
    cnp('bank/not-even-the-host', `
      endpointSelector: {matchLabels: {app: ledger}}
      ingressDeny: [{fromEntities: [host]}]`),
  ),
  cases: [
    cite('pkg/policy/mapstate.go').isDenied(HOST, 'bank/ledger', 'tcp/80', { rule: 'not-even-the-host spec.ingressDeny[0]' }),
    at.reaches('shop/api', 'shop/web', 'tcp/443', { rule: 'by-labels spec.ingress[0]' }),
    at.isDenied('shop/api', 'shop/web', 'tcp/80'),
    at.isDenied('bank/vault', 'shop/web', 'tcp/443'),
    at.isDenied(OUTSIDE, 'shop/web', 'tcp/443'),
    sides.reaches('shop/api', 'shop/cart', 'udp/1', { rule: 'all-own spec.ingress[0]' }),
    sides.isDenied('bank/vault', 'shop/cart', 'udp/1'),
    sides.isDenied(OUTSIDE, 'shop/cart', 'udp/1'),
    cidr.reaches(OUTSIDE, 'bank/ledger', 'tcp/1', { rule: 'by-cidr spec.ingress[0]' }),
    cidr.isDenied('198.51.100.1', 'bank/ledger', 'tcp/1'),
    cidr.reaches(OUTSIDE_6, 'bank/ledger', 'tcp/443', { rule: 'by-cidr spec.ingress[1]' }),
    cidr.isDenied(OUTSIDE_6, 'bank/ledger', 'tcp/80'),
    cidr.isDenied('2001:db8:1::1', 'bank/ledger', 'tcp/443'),
    cidr.isDenied('bank/vault', 'bank/ledger', 'tcp/1'),
    at.reaches(OUTSIDE, 'bank/web', 'tcp/80'),
    at.reaches('shop/api', 'bank/web', 'tcp/80'),
    at.isDenied(OUTSIDE, 'bank/web', 'tcp/443'),
    at.isDenied('shop/api', 'lab/probe', 'tcp/80'),
    cite('Documentation/security/policy/layer3.rst#access-to-from-local-host').reaches(HOST, 'lab/probe', 'tcp/80'),
    cite('Documentation/security/policy/layer3.rst#access-to-from-local-host').isDenied(REMOTE_NODE, 'lab/probe', 'tcp/80'),
  ],
};

const both: Group = {
  name: 'both sides must agree',
  manifests: manifests(
    WORLD,
    cnp('shop/web-out', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEndpoints: [{matchLabels: {app: cart}}], toPorts: [{ports: [{port: "80"}, {port: "443"}]}]}]`),
    cnp('shop/cart-in', `
      endpointSelector: {matchLabels: {app: cart}}
      ingress: [{fromEndpoints: [{matchLabels: {app: web}}], toPorts: [{ports: [{port: "80", protocol: TCP}, {port: "8080"}]}]}]`),
    cnp('bank/out', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{toEndpoints: [{matchLabels: {app: web}}]}]`),
    cnp('bank/closed', `
      endpointSelector: {matchLabels: {app: web}}
      ingress: [{}]`),
  ),
  cases: [
    sides.reaches('shop/web', 'shop/cart', 'tcp/80'),
    sides.isDenied('shop/web', 'shop/cart', 'udp/80'),
    sides.isDenied('shop/web', 'shop/cart', 'tcp/443'),
    sides.isDenied('shop/web', 'shop/cart', 'tcp/8080'),
    sides.isDenied('bank/ledger', 'shop/cart', 'tcp/80'),
    sides.isDenied('lab/probe', 'shop/cart', 'tcp/80'),
    sides.isDenied('bank/ledger', 'bank/web', 'tcp/80'),
    sides.reaches('lab/probe', 'shop/web', 'tcp/80'),
  ],
};

export const ingress: readonly Group[] = [from, both];
