/** Ports by the name that a container gives them. */
import { cite, type Group } from './case.js';
import { cnp, manifests, np, OUTSIDE, pod, WORLD } from './world.js';

const at = cite('pkg/policy/api/l4.go');
const own = cite('Documentation/security/policy/layer4.rst#limit-ingress-egress-ports');

const named: Group = {
  name: 'named ports',
  manifests: manifests(
    WORLD,
    pod('lab/twice', '127.0.2.9', { labels: 'app: twice', node: 'node-2', ports: '{name: stats, containerPort: 9000, protocol: UDP}, {name: both, containerPort: 4000, protocol: UDP}, {name: both, containerPort: 4001, protocol: TCP}' }),
    cnp('shop/egress', `
      endpointSelector: {matchLabels: {app: web}}
      egress:
        - {toEndpoints: [{matchLabels: {app: api}}], toPorts: [{ports: [{port: http, protocol: TCP}]}]}
        - {toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: lab}}], toPorts: [{ports: [{port: both}]}]}`),
    cnp('shop/case', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: lab}}], toPorts: [{ports: [{port: STATS, protocol: UDP}]}]}]
      ingress: [{toPorts: [{ports: [{port: metrics, protocol: TCP}]}]}]`),
    cnp('bank/unknown', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{toPorts: [{ports: [{port: no-such-port}]}]}]
      ingress: [{toPorts: [{ports: [{port: http}]}]}]`),
    cnp('bank/denied', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEntities: [all]}]
      egressDeny: [{toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: shop}}], toPorts: [{ports: [{port: http}]}]}]`),
    np('lab/by-name', `
      podSelector: {}
      policyTypes: [Egress]
      egress: [{to: [{namespaceSelector: {matchLabels: {team: retail}}}], ports: [{port: http}]}]`),
  ),
  cases: [
    at.reaches('shop/web', 'shop/api', 'tcp/8080', { rule: 'egress spec.egress[0]' }),
    at.isDenied('shop/web', 'shop/api', 'tcp/80'),
    at.isDenied('shop/web', 'shop/api', 'udp/8080'),
    at.isDenied('shop/web', 'bank/vault', 'tcp/8080'),
    at.reaches('shop/web', 'lab/twice', 'udp/4000'),
    at.reaches('shop/web', 'lab/twice', 'tcp/4001'),
    at.isDenied('shop/web', 'lab/twice', 'tcp/4000'),
    at.reaches('shop/cart', 'lab/twice', 'udp/9000'),
    at.isDenied('shop/cart', 'lab/twice', 'tcp/9000'),
    own.reaches(OUTSIDE, 'shop/cart', 'tcp/9090', { rule: 'case spec.ingress[0]' }),
    own.isDenied(OUTSIDE, 'shop/cart', 'tcp/8080'),
    at.isDenied('bank/ledger', OUTSIDE, 'tcp/80'),
    at.isDenied(OUTSIDE, 'bank/ledger', 'tcp/8080'),
    at.isDenied('bank/web', 'shop/api', 'tcp/8080', { rule: 'denied spec.egressDeny[0]' }),
    at.reaches('bank/web', 'shop/api', 'tcp/8081'),
    cite('Kubernetes NetworkPolicy docs#targeting-a-range-of-ports').reaches('lab/probe', 'shop/api', 'tcp/8080'),
    cite('Kubernetes NetworkPolicy docs#targeting-a-range-of-ports').isDenied('lab/probe', 'shop/api', 'tcp/80'),
  ],
};

export const namedPorts: readonly Group[] = [named];
