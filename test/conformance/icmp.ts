/** icmps: types by number and by name, both families. */
import { cite, type Group } from './case.js';
import { cnp, manifests, OUTSIDE, OUTSIDE_6, WORLD } from './world.js';

const at = cite('Documentation/security/policy/layer4.rst#limit-icmp-icmpv6-types');
const code = cite('pkg/policy/api/icmp.go');

const types: Group = {
  name: 'ICMP types',
  manifests: manifests(
    WORLD,
    cnp('shop/ping', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{icmps: [{fields: [{type: 8, family: IPv4}, {type: EchoRequest, family: IPv6}]}]}]`),
    cnp('shop/to-world', `
      endpointSelector: {matchLabels: {app: cart}}
      egress:
        - {toCIDR: [203.0.113.0/24], icmps: [{fields: [{type: EchoRequest}]}]}
        - {toEndpoints: [{matchLabels: {app: api}}], icmps: [{fields: [{type: "3"}]}, {fields: [{type: TimeExceeded}]}]}`),
    cnp('bank/ingress', `
      endpointSelector: {matchLabels: {app: ledger}}
      ingress: [{fromEntities: [world], icmps: [{fields: [{type: 8}]}]}]`),
    cnp('bank/denied', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEntities: [all]}]
      egressDeny: [{toEntities: [world], icmps: [{fields: [{type: 8}]}]}]`),
    cnp('lab/everything', `
      endpointSelector: {}
      egress: [{toEntities: [world]}]`),
  ),
  cases: [
    at.reaches('shop/web', OUTSIDE, 'icmp/8', { rule: 'ping spec.egress[0]' }),
    at.reaches('shop/web', 'bank/vault', 'icmp/8'),
    at.isDenied('shop/web', OUTSIDE, 'icmp/0'),
    at.reaches('shop/web', OUTSIDE_6, 'icmpv6/128'),
    at.isDenied('shop/web', OUTSIDE_6, 'icmpv6/8'),
    at.isDenied('shop/web', OUTSIDE, 'tcp/8'),
    code.reaches('shop/cart', OUTSIDE, 'icmp/8'),
    code.isDenied('shop/cart', '198.51.100.1', 'icmp/8'),
    code.isDenied('shop/cart', OUTSIDE, 'tcp/80'),
    code.reaches('shop/cart', 'shop/api', 'icmp/3'),
    code.reaches('shop/cart', 'shop/api', 'icmp/11'),
    code.isDenied('shop/cart', 'shop/api', 'icmp/8'),
    at.reaches(OUTSIDE, 'bank/ledger', 'icmp/8', { rule: 'ingress spec.ingress[0]' }),
    at.isDenied(OUTSIDE, 'bank/ledger', 'tcp/80'),
    at.isDenied('shop/api', 'bank/ledger', 'icmp/8'),
    at.isDenied('bank/web', OUTSIDE, 'icmp/8', { rule: 'denied spec.egressDeny[0]' }),
    at.reaches('bank/web', OUTSIDE, 'icmp/0'),
    at.reaches('bank/web', 'bank/vault', 'icmp/8'),
    cite('Documentation/security/policy/layer4.rst#limit-ingress-egress-ports').reaches('lab/probe', OUTSIDE, 'icmp/8'),
  ],
};

export const icmp: readonly Group[] = [types];
