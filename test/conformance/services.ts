/** toServices, and Service addresses as destinations. */
import { cite, type Group } from './case.js';
import { ccnp, cnp, manifests, OTHER_NODE, OUTSIDE, pod, service, slice, WORLD } from './world.js';

const at = cite('Documentation/security/policy/layer3.rst#services-based');
const code = cite('pkg/policy/k8s/service.go');

const objects = manifests(
  WORLD,
  service('shop/api', `
      clusterIP: 10.96.0.20
      selector: {app: api}
      ports: [{name: web, port: 80, protocol: TCP, targetPort: http}]`, 'exposed: inside'),
  service('bank/vault', `
      clusterIP: None
      selector: {app: vault}
      ports: [{port: 443}]`, 'exposed: inside'),
  service('lab/outside', `
      clusterIP: 10.96.0.21
      ports: [{name: https, port: 443}]`, 'exposed: outside'),
  slice('lab/outside', '198.51.100.10 198.51.100.11', '{name: https, port: 8443}'),
  service('lab/mixed', 'ports: [{name: https, port: 443}]'),
  slice('lab/mixed', '127.0.2.2', '{name: https, port: 443}'),
);

const byName: Group = {
  name: 'Services by name',
  manifests: manifests(
    objects,
    cnp('shop/to-api', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toServices: [{k8sService: {serviceName: api, namespace: shop}}]}]`),
    cnp('shop/to-headless', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toServices: [{k8sService: {serviceName: vault, namespace: bank}}], toPorts: [{ports: [{port: "443", protocol: TCP}]}]}]`),
    cnp('bank/to-outside', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{toServices: [{k8sService: {serviceName: outside, namespace: lab}}]}]`),
    cnp('bank/to-pod-by-slice', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toServices: [{k8sService: {serviceName: mixed, namespace: lab}}]}]`),
    cnp('lab/to-none', `
      endpointSelector: {}
      egress: [{toServices: [{k8sService: {serviceName: no-such, namespace: lab}}]}]`),
  ),
  cases: [
    at.reaches('shop/web', 'shop/api', 'tcp/8080', { rule: 'to-api spec.egress[0]' }),
    at.isDenied('shop/web', 'shop/cart', 'tcp/8080'),
    at.isDenied('shop/web', OUTSIDE, 'tcp/443'),
    at.reaches('shop/cart', 'bank/vault', 'tcp/443', { rule: 'to-headless spec.egress[0]' }),
    at.isDenied('shop/cart', 'bank/vault', 'tcp/80'),
    at.isDenied('shop/cart', 'shop/api', 'tcp/443'),
    at.reaches('bank/ledger', '198.51.100.10', 'tcp/8443', { rule: 'to-outside spec.egress[0]' }),
    at.reaches('bank/ledger', '198.51.100.11', 'tcp/8443'),
    at.isDenied('bank/ledger', '198.51.100.12', 'tcp/8443'),
    at.isDenied('bank/web', 'bank/vault', 'tcp/443'),
    at.isDenied('lab/probe', OUTSIDE, 'tcp/443'),
    at.isRefused('lab/probe', 'www.shop.test'),
  ],
};

const bySelector: Group = {
  name: 'Services by label',
  manifests: manifests(
    objects,
    cnp('shop/inside', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toServices: [{k8sServiceSelector: {selector: {matchLabels: {exposed: inside}}, namespace: bank}}]}]`),
    cnp('shop/own', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toServices: [{k8sServiceSelector: {selector: {matchLabels: {exposed: inside}}, namespace: shop}}]}]`),
    ccnp('anywhere', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{toServices: [{k8sServiceSelector: {selector: {matchLabels: {exposed: inside}}}}]}]`),
    cnp('lab/expressed', `
      endpointSelector: {}
      egress: [{toServices: [{k8sServiceSelector: {selector: {matchExpressions: [{key: exposed, operator: NotIn, values: [inside]}]}, namespace: lab}}]}]`),
  ),
  cases: [
    at.reaches('shop/web', 'bank/vault', 'tcp/443', { rule: 'inside spec.egress[0]' }),
    at.isDenied('shop/web', 'shop/api', 'tcp/8080'),
    at.reaches('shop/cart', 'shop/api', 'tcp/8080'),
    at.isDenied('shop/cart', 'bank/vault', 'tcp/443'),
    code.reaches('bank/ledger', 'shop/api', 'tcp/8080', { rule: 'anywhere spec.egress[0]' }),
    code.reaches('bank/ledger', 'bank/vault', 'tcp/443'),
    code.isDenied('bank/ledger', '198.51.100.10', 'tcp/8443'),
    code.reaches('lab/probe', '198.51.100.10', 'tcp/8443'),
    code.isDenied('lab/probe', 'shop/api', 'tcp/8080'),
  ],
};

const unplaced: Group = {
  name: 'Services without a namespace are those of every namespace',
  manifests: manifests(
    objects,
    cnp('shop/by-name', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toServices: [{k8sService: {serviceName: vault}}]}]`),
    cnp('shop/by-label', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toServices: [{k8sServiceSelector: {selector: {matchLabels: {exposed: inside}}}}]}]`),
    cnp('bank/both', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{toServices: [{k8sService: {serviceName: api, namespace: shop}}, {k8sService: {serviceName: outside, namespace: lab}}]}]`),
  ),
  cases: [
    code.reaches('shop/web', 'bank/vault', 'tcp/443', { rule: 'by-name spec.egress[0]' }),
    code.isDenied('shop/web', 'shop/api', 'tcp/443'),
    code.reaches('shop/cart', 'bank/vault', 'tcp/443', { rule: 'by-label spec.egress[0]' }),
    code.reaches('shop/cart', 'shop/api', 'tcp/8080'),
    code.isDenied('shop/cart', '198.51.100.10', 'tcp/8443'),
    code.reaches('bank/ledger', 'shop/api', 'tcp/8080'),
    code.reaches('bank/ledger', '198.51.100.11', 'tcp/8443'),
    code.isDenied('bank/ledger', 'bank/vault', 'tcp/443'),
  ],
};

const mapped = cite('Documentation/security/policy/layer4.rst#limit-ingress-egress-ports');
const addresses: Group = {
  name: 'a connection to a Service address is judged by the backends',
  manifests: manifests(
    objects,
    pod('shop/api-2', '127.0.2.7', { labels: 'app: api, tier: canary', node: OTHER_NODE, ports: '{name: http, containerPort: 8080}' }),
    cnp('shop/backend', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEndpoints: [{matchLabels: {app: api}}], toPorts: [{ports: [{port: "8080", protocol: TCP}]}]}]`),
    cnp('shop/some', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toEndpoints: [{matchLabels: {tier: canary}}]}]`),
    cnp('lab/others', `
      endpointSelector: {}
      egress: [{toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: shop, tier: back}}]}]`),
    cnp('bank/address', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{toCIDR: [10.96.0.0/12]}]`),
    cnp('bank/outside', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toCIDR: [198.51.100.0/24], toPorts: [{ports: [{port: "8443", protocol: TCP}]}]}]`),
  ),
  cases: [
    mapped.reaches('shop/web', '10.96.0.20', 'tcp/80', { rule: 'backend spec.egress[0]' }),
    mapped.isDenied('shop/web', '10.96.0.20', 'tcp/81'),
    cite('docs/reference/policy.md').isDenied('shop/cart', '10.96.0.20', 'tcp/80'),
    cite('docs/reference/policy.md').reaches('shop/cart', 'shop/api-2', 'tcp/8080'),
    cite('docs/reference/policy.md').isDenied('lab/probe', '10.96.0.20', 'tcp/80'),
    cite('docs/reference/policy.md').reaches('lab/probe', 'shop/api', 'tcp/8080'),
    cite('Documentation/security/policy/layer3.rst#ip-cidr-based').isDenied('bank/ledger', '10.96.0.20', 'tcp/80'),
    mapped.reaches('bank/web', '10.96.0.21', 'tcp/443', { rule: 'outside spec.egress[0]' }),
  ],
};

export const services: readonly Group[] = [byName, bySelector, unplaced, addresses];
