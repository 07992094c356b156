/** Whom a policy selects and whom its peers are: namespaces, their labels, service accounts, clusters, expressions. */
import { cite, type Group } from './case.js';
import { ccnp, cnp, HOST, manifests, namesAtKubeDns, OUTSIDE, WORLD } from './world.js';

const KUBERNETES = 'Documentation/security/policy/kubernetes.rst';
const spaces = cite(`${KUBERNETES}#namespaces`);
const code = cite('pkg/k8s/apis/cilium.io/utils/utils.go');

const own: Group = {
  name: 'a namespaced policy and its peers',
  manifests: manifests(
    WORLD,
    cnp('shop/own', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEndpoints: [{matchLabels: {tier: back}}]}]`),
    cnp('shop/all-own', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toEndpoints: [{}]}]`),
    cnp('bank/other', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: shop, tier: back}}]}]`),
    cnp('bank/several', `
      endpointSelector: {matchLabels: {app: web}}
      egress:
        - toEndpoints:
            - matchExpressions: [{key: k8s:io.kubernetes.pod.namespace, operator: In, values: [shop, bank]}]
              matchLabels: {tier: back}`),
    cnp('lab/whole', `
      endpointSelector: {}
      egress: [{toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: bank}}]}]`),
  ),
  cases: [
    spaces.reaches('shop/web', 'shop/api', 'tcp/80', { rule: 'own spec.egress[0]' }),
    spaces.isDenied('shop/web', 'bank/vault', 'tcp/80'),
    code.reaches('shop/cart', 'shop/api', 'tcp/80'),
    code.reaches('shop/cart', 'shop/web', 'tcp/80'),
    cite('Documentation/security/policy/layer3.rst#egress-allow-all-endpoints').isDenied('shop/cart', 'bank/vault', 'tcp/80'),
    cite('Documentation/security/policy/layer3.rst#egress-allow-all-endpoints').isDenied('shop/cart', OUTSIDE, 'tcp/80'),
    code.isDenied('shop/cart', HOST, 'tcp/80'),
    code.reaches('bank/ledger', 'shop/api', 'tcp/80', { rule: 'other spec.egress[0]' }),
    code.isDenied('bank/ledger', 'bank/vault', 'tcp/80'),
    code.reaches('bank/web', 'bank/vault', 'tcp/80'),
    code.reaches('bank/web', 'shop/api', 'tcp/80'),
    code.isDenied('bank/web', 'lab/probe', 'tcp/80'),
    spaces.reaches('lab/probe', 'bank/vault', 'tcp/80'),
    spaces.isDenied('lab/probe', 'shop/api', 'tcp/80'),
  ],
};

const subjects: Group = {
  name: 'whom a policy applies to',
  manifests: manifests(
    WORLD,
    cnp('shop/web-only', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [${namesAtKubeDns('{matchName: one.test}')}]`),
    cnp('lab/foreign', `
      endpointSelector: {matchLabels: {k8s:io.kubernetes.pod.namespace: bank}}
      egress: [${namesAtKubeDns('{matchName: one.test}')}]`),
    ccnp('finance', `
      endpointSelector: {matchLabels: {k8s:io.cilium.k8s.namespace.labels.team: finance}, matchExpressions: [{key: app, operator: NotIn, values: [web]}]}
      egress: [${namesAtKubeDns('{matchName: two.test}')}]`),
  ),
  cases: [
    spaces.isRefused('shop/web', 'other.test'),
    spaces.asks('bank/web', 'other.test'),
    spaces.asks('shop/cart', 'other.test'),
    code.asks('lab/probe', 'one.test', { rule: 'foreign spec.egress[0]' }),
    code.isRefused('lab/probe', 'other.test'),
    cite(`${KUBERNETES}#clusterwide-policies`).asks('bank/ledger', 'two.test', { rule: 'finance spec.egress[0]' }),
    cite(`${KUBERNETES}#clusterwide-policies`).isRefused('bank/ledger', 'one.test'),
  ],
};

const labels: Group = {
  name: 'namespace labels, service accounts and the cluster',
  manifests: manifests(
    WORLD,
    cnp('shop/by-namespace-label', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEndpoints: [{matchLabels: {io.cilium.k8s.namespace.labels.env: prod, tier: back}}]}]`),
    cnp('shop/by-account', `
      endpointSelector: {matchLabels: {io.cilium.k8s.policy.serviceaccount: cart}}
      egress: [{toEndpoints: [{matchLabels: {k8s:io.cilium.k8s.policy.serviceaccount: api}}]}]`),
    cnp('bank/by-foreign-account', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: shop, io.cilium.k8s.policy.serviceaccount: api}}]}]`),
    cnp('bank/by-cluster', `
      endpointSelector: {matchLabels: {app: web}}
      egress:
        - {toEndpoints: [{matchLabels: {io.cilium.k8s.policy.cluster: default, k8s:io.kubernetes.pod.namespace: shop}}]}
        - {toEndpoints: [{matchLabels: {io.cilium.k8s.policy.cluster: elsewhere, k8s:io.kubernetes.pod.namespace: bank}}]}`),
    ccnp('by-name-label', `
      endpointSelector: {matchLabels: {app: probe}}
      egress: [{toEndpoints: [{matchLabels: {io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name: bank}}]}]`),
  ),
  cases: [
    code.reaches('shop/web', 'shop/api', 'tcp/80', { rule: 'by-namespace-label spec.egress[0]' }),
    code.reaches('shop/web', 'bank/vault', 'tcp/80'),
    code.isDenied('shop/web', 'lab/probe', 'tcp/80'),
    cite(`${KUBERNETES}#serviceaccounts`).reaches('shop/cart', 'shop/api', 'tcp/80', { rule: 'by-account spec.egress[0]' }),
    cite(`${KUBERNETES}#serviceaccounts`).isDenied('shop/cart', 'shop/web', 'tcp/80'),
    cite(`${KUBERNETES}#serviceaccounts`).reaches('bank/ledger', 'shop/api', 'tcp/80'),
    cite(`${KUBERNETES}#serviceaccounts`).isDenied('bank/ledger', 'bank/vault', 'tcp/80'),
    cite(`${KUBERNETES}#multi-cluster`).reaches('bank/web', 'shop/api', 'tcp/80', { rule: 'by-cluster spec.egress[0]' }),
    cite(`${KUBERNETES}#multi-cluster`).isDenied('bank/web', 'bank/vault', 'tcp/80'),
    code.reaches('lab/probe', 'bank/vault', 'tcp/80'),
    code.isDenied('lab/probe', 'shop/api', 'tcp/80'),
  ],
};

const expressions = cite('pkg/policy/api/selector.go');
const operators: Group = {
  name: 'expressions and prefixes of keys',
  manifests: manifests(
    WORLD,
    cnp('shop/in', `
      endpointSelector: {matchExpressions: [{key: app, operator: In, values: [web, other]}]}
      egress: [{toEndpoints: [{matchExpressions: [{key: tier, operator: Exists}, {key: app, operator: NotIn, values: [cart]}]}]}]`),
    cnp('shop/absent', `
      endpointSelector: {matchExpressions: [{key: app, operator: In, values: [cart]}]}
      egress: [{toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: lab}, matchExpressions: [{key: tier, operator: DoesNotExist}]}]}]`),
    cnp('bank/prefixes', `
      endpointSelector: {matchLabels: {k8s:app: ledger}}
      egress:
        - {toEndpoints: [{matchLabels: {any:app: vault}}]}
        - {toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: lab}, matchExpressions: [{key: tier, operator: NotIn, values: [back]}]}]}`),
    cnp('bank/reserved', `
      endpointSelector: {matchLabels: {any:app: web}}
      egress: [{toEndpoints: [{matchLabels: {reserved:world: ""}}]}]`),
    cnp('lab/either', `
      endpointSelector: {}
      egress: [{toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: shop, app: api}}, {matchLabels: {k8s:io.kubernetes.pod.namespace: bank, app: vault}}]}]`),
  ),
  cases: [
    expressions.reaches('shop/web', 'shop/api', 'tcp/80', { rule: 'in spec.egress[0]' }),
    expressions.isDenied('shop/web', 'shop/cart', 'tcp/80'),
    expressions.reaches('shop/cart', 'lab/probe', 'tcp/80', { rule: 'absent spec.egress[0]' }),
    expressions.isDenied('shop/cart', 'shop/api', 'tcp/80'),
    expressions.reaches('bank/ledger', 'bank/vault', 'tcp/80', { rule: 'prefixes spec.egress[0]' }),
    expressions.isDenied('bank/ledger', 'bank/web', 'tcp/80'),
    cite('Kubernetes docs: labels and selectors').reaches('bank/ledger', 'lab/probe', 'tcp/80', { rule: 'prefixes spec.egress[1]' }),
    expressions.reaches('bank/web', OUTSIDE, 'tcp/80', { rule: 'reserved spec.egress[0]' }),
    expressions.isDenied('bank/web', 'bank/vault', 'tcp/80'),
    expressions.reaches('lab/probe', 'shop/api', 'tcp/80'),
    expressions.reaches('lab/probe', 'bank/vault', 'tcp/80'),
    expressions.isDenied('lab/probe', 'shop/web', 'tcp/80'),
  ],
};

const wide = cite('Documentation/network/kubernetes/policy.rst#ciliumclusterwidenetworkpolicy');
const clusterwide: Group = {
  name: 'clusterwide policies',
  manifests: manifests(
    WORLD,
    ccnp('everyone', `
      endpointSelector: {matchLabels: {tier: back}}
      egress: [{toEndpoints: [{}]}]`),
    ccnp('by-label', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEndpoints: [{matchLabels: {app: api}}]}]`),
    ccnp('everybody-dns', `
      endpointSelector: {}
      egress: [${namesAtKubeDns('{matchPattern: "*.cluster.local"}')}]`),
  ),
  cases: [
    wide.reaches('shop/cart', 'bank/vault', 'tcp/80', { rule: 'everyone spec.egress[0]' }),
    wide.reaches('bank/ledger', 'shop/api', 'tcp/80'),
    code.isDenied('bank/ledger', OUTSIDE, 'tcp/80'),
    code.isDenied('bank/ledger', HOST, 'tcp/80'),
    wide.reaches('bank/web', 'shop/api', 'tcp/80', { rule: 'by-label spec.egress[0]' }),
    wide.isDenied('bank/web', 'bank/vault', 'tcp/80'),
    wide.asks('lab/probe', 'api.cluster.local', { rule: 'everybody-dns spec.egress[0]' }),
    wide.isRefused('lab/probe', 'www.shop.test'),
    wide.asks('bank/ledger', 'www.shop.test', { rule: 'everyone spec.egress[0]' }),
  ],
};

const emptyLists = cite('pkg/policy/api/egress.go');
const empty: Group = {
  name: 'lists and rules without content',
  manifests: manifests(
    WORLD,
    cnp('shop/no-endpoints', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEndpoints: []}]`),
    cnp('shop/no-endpoints-but-ports', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toEndpoints: [], toPorts: [{ports: [{port: "80", protocol: TCP}]}]}]`),
    cnp('bank/empty-rule', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{}]
      ingress: [{}]`),
    cnp('bank/empty-fqdns', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toFQDNs: [], toPorts: [{ports: [{port: "80", protocol: TCP}]}]}]`),
  ),
  cases: [
    emptyLists.isDenied('shop/web', 'shop/api', 'tcp/80'),
    emptyLists.isRefused('shop/web', 'any.test'),
    emptyLists.isDenied('shop/cart', 'shop/api', 'tcp/80'),
    emptyLists.isDenied('shop/cart', OUTSIDE, 'tcp/80'),
    cite('Documentation/security/policy/layer3.rst#ingress-egress-default-deny').isDenied('bank/ledger', 'bank/vault', 'tcp/80'),
    cite('Documentation/security/policy/layer3.rst#ingress-egress-default-deny').isDenied('bank/vault', 'bank/ledger', 'tcp/80'),
    cite('docs/reference/policy.md').isDenied('bank/web', OUTSIDE, 'tcp/80', { fqdn: 'www.test' }),
  ],
};

export const namespaces: readonly Group[] = [own, subjects, labels, operators, clusterwide, empty];
