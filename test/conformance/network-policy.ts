/** NetworkPolicy of networking.k8s.io/v1, alone and beside Cilium's kinds. */
import { cite, type Group } from './case.js';
import { cnp, HOST, manifests, namesAtKubeDns, np, OUTSIDE, pod, REMOTE_NODE, WORLD } from './world.js';

const DOCS = 'Kubernetes NetworkPolicy docs';
const types = cite(`${DOCS}#the-networkpolicy-resource`);
const defaults = cite(`${DOCS}#default-policies`);
const peers = cite(`${DOCS}#behavior-of-to-and-from-selectors`);
const range = cite(`${DOCS}#targeting-a-range-of-ports`);

const closed: Group = {
  name: 'default policies of a namespace',
  manifests: manifests(
    WORLD,
    np('shop/no-ingress', `
      podSelector: {matchLabels: {app: web}}
      policyTypes: [Ingress]`),
    np('shop/no-egress', `
      podSelector: {matchLabels: {app: cart}}
      policyTypes: [Egress]`),
    np('bank/all-egress', `
      podSelector: {matchLabels: {app: ledger}}
      policyTypes: [Egress]
      egress: [{}]`),
    np('bank/all-ingress', `
      podSelector: {matchLabels: {app: web}}
      ingress: [{}]`),
    np('lab/nothing', `
      podSelector: {}
      policyTypes: [Ingress, Egress]`),
  ),
  cases: [
    defaults.isDenied('shop/api', 'shop/web', 'tcp/80'),
    defaults.isDenied(OUTSIDE, 'shop/web', 'tcp/80'),
    defaults.reaches('shop/web', OUTSIDE, 'tcp/80'),
    defaults.asks('shop/web', 'any.test'),
    defaults.isDenied('shop/cart', OUTSIDE, 'tcp/80'),
    defaults.isRefused('shop/cart', 'any.test'),
    defaults.reaches(OUTSIDE, 'shop/cart', 'tcp/80'),
    defaults.reaches('bank/ledger', OUTSIDE, 'udp/9', { rule: 'all-egress spec.egress[0]' }),
    defaults.reaches('bank/ledger', 'shop/api', 'tcp/80'),
    defaults.asks('bank/ledger', 'any.test', { rule: 'all-egress spec.egress[0]' }),
    defaults.reaches(OUTSIDE, 'bank/web', 'tcp/80'),
    types.asks('bank/web', 'any.test'),
    defaults.isRefused('lab/probe', 'any.test'),
    defaults.isDenied('shop/api', 'lab/probe', 'tcp/80'),
    cite('Documentation/security/policy/layer3.rst#access-to-from-local-host').reaches(HOST, 'lab/probe', 'tcp/80'),
  ],
};

const selectors: Group = {
  name: 'podSelector, namespaceSelector and both',
  manifests: manifests(
    WORLD,
    pod('lab/api', '127.0.2.8', { labels: 'app: api', node: 'node-2' }),
    np('shop/from-own', `
      podSelector: {matchLabels: {app: web}}
      ingress: [{from: [{podSelector: {matchLabels: {tier: back}}}]}]`),
    np('shop/from-spaces', `
      podSelector: {matchLabels: {app: cart}}
      ingress: [{from: [{namespaceSelector: {matchLabels: {team: finance}}}]}]`),
    np('bank/from-both', `
      podSelector: {matchLabels: {app: ledger}}
      ingress: [{from: [{namespaceSelector: {matchLabels: {env: prod}}, podSelector: {matchLabels: {app: api}}}]}]`),
    np('bank/from-either', `
      podSelector: {matchLabels: {app: web}}
      ingress: [{from: [{namespaceSelector: {matchLabels: {team: research}}}, {podSelector: {matchLabels: {app: vault}}}]}]`),
    np('lab/to-every-pod', `
      podSelector: {matchLabels: {app: probe}}
      policyTypes: [Egress]
      egress: [{to: [{namespaceSelector: {}}]}]`),
  ),
  cases: [
    peers.reaches('shop/api', 'shop/web', 'tcp/80', { rule: 'from-own spec.ingress[0]' }),
    peers.isDenied('bank/vault', 'shop/web', 'tcp/80'),
    peers.reaches('bank/vault', 'shop/cart', 'tcp/80', { rule: 'from-spaces spec.ingress[0]' }),
    peers.isDenied('shop/api', 'shop/cart', 'tcp/80'),
    peers.reaches('shop/api', 'bank/ledger', 'tcp/80', { rule: 'from-both spec.ingress[0]' }),
    peers.isDenied('lab/api', 'bank/ledger', 'tcp/80'),
    peers.isDenied('bank/vault', 'bank/ledger', 'tcp/80'),
    peers.reaches('lab/api', 'bank/web', 'tcp/80'),
    peers.reaches('bank/vault', 'bank/web', 'tcp/80'),
    peers.isDenied('shop/api', 'bank/web', 'tcp/80'),
    peers.reaches('lab/probe', 'shop/api', 'tcp/80'),
    peers.reaches('lab/probe', 'bank/vault', 'tcp/80'),
    peers.isDenied('lab/probe', OUTSIDE, 'tcp/80'),
    peers.asks('lab/probe', 'any.test', { rule: 'to-every-pod spec.egress[0]' }),
  ],
};

const negations: Group = {
  name: 'namespaceSelector with negations alone',
  manifests: manifests(
    WORLD,
    np('bank/but-prod', `
      podSelector: {matchLabels: {app: ledger}}
      policyTypes: [Egress]
      egress: [{to: [{namespaceSelector: {matchExpressions: [{key: env, operator: NotIn, values: [prod]}]}}]}]`),
    np('bank/from-elsewhere', `
      podSelector: {matchLabels: {app: web}}
      ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: env, operator: DoesNotExist}]}}]}]`),
  ),
  cases: [
    peers.reaches('bank/ledger', 'lab/probe', 'tcp/80', { rule: 'but-prod spec.egress[0]' }),
    peers.isDenied('bank/ledger', 'shop/api', 'tcp/80'),
    peers.isDenied('bank/ledger', OUTSIDE, 'tcp/80'),
    peers.isDenied('bank/ledger', REMOTE_NODE, 'tcp/80'),
    peers.reaches('lab/probe', 'bank/web', 'tcp/80', { rule: 'from-elsewhere spec.ingress[0]' }),
    peers.isDenied('shop/api', 'bank/web', 'tcp/80'),
    peers.isDenied(OUTSIDE, 'bank/web', 'tcp/80'),
    peers.isDenied(REMOTE_NODE, 'bank/web', 'tcp/80'),
  ],
};

const blocks: Group = {
  name: 'ipBlock and ports',
  manifests: manifests(
    WORLD,
    np('shop/blocks', `
      podSelector: {matchLabels: {app: web}}
      policyTypes: [Egress]
      egress:
        - to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.128/25]}}]
          ports: [{port: 443}, {port: 53, protocol: UDP}, {port: 32000, endPort: 32100, protocol: TCP}]`),
    np('shop/from-block', `
      podSelector: {matchLabels: {app: cart}}
      ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{protocol: TCP}]}]`),
    np('bank/ports-only', `
      podSelector: {matchLabels: {app: ledger}}
      policyTypes: [Egress]
      egress: [{ports: [{port: 443, protocol: TCP}]}, {to: [], ports: [{port: 53, protocol: UDP}]}]`),
    np('bank/sctp', `
      podSelector: {matchLabels: {app: web}}
      policyTypes: [Egress]
      egress: [{ports: [{port: 9899, protocol: SCTP}]}]`),
  ),
  cases: [
    types.reaches('shop/web', '203.0.113.7', 'tcp/443', { rule: 'blocks spec.egress[0]' }),
    types.isDenied('shop/web', '203.0.113.200', 'tcp/443'),
    types.isDenied('shop/web', '203.0.113.7', 'udp/443'),
    types.reaches('shop/web', '203.0.113.7', 'udp/53'),
    range.reaches('shop/web', '203.0.113.7', 'tcp/32000'),
    range.reaches('shop/web', '203.0.113.7', 'tcp/32100'),
    range.isDenied('shop/web', '203.0.113.7', 'tcp/32101'),
    types.reaches(OUTSIDE, 'shop/cart', 'tcp/7'),
    types.isDenied(OUTSIDE, 'shop/cart', 'udp/7'),
    cite('Documentation/security/policy/layer3.rst#selecting-nodes-with-cidr-ipblock').isDenied('shop/api', 'shop/cart', 'tcp/7'),
    cite('Documentation/security/policy/layer3.rst#selecting-nodes-with-cidr-ipblock').isDenied(REMOTE_NODE, 'shop/cart', 'tcp/7'),
    types.reaches('bank/ledger', OUTSIDE, 'tcp/443'),
    types.reaches('bank/ledger', 'shop/api', 'tcp/443'),
    types.isDenied('bank/ledger', OUTSIDE, 'tcp/80'),
    types.asks('bank/ledger', 'any.test', { rule: 'ports-only spec.egress[1]' }),
    types.isRefused('bank/ledger', 'any.test', { protocol: 'tcp' }),
    types.reaches('bank/web', OUTSIDE, 'sctp/9899'),
    types.isDenied('bank/web', OUTSIDE, 'tcp/9899'),
  ],
};

const mixed = cite('Documentation/network/kubernetes/policy.rst#networkpolicy');
const beside: Group = {
  name: 'beside the kinds of Cilium',
  manifests: manifests(
    WORLD,
    np('shop/to-outside', `
      podSelector: {matchLabels: {app: web}}
      policyTypes: [Egress]
      egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}]`),
    cnp('shop/names', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [${namesAtKubeDns('{matchPattern: "*.shop.test"}')}]`),
    np('shop/all', `
      podSelector: {matchLabels: {app: cart}}
      policyTypes: [Egress]
      egress: [{}]`),
    cnp('shop/narrow', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [${namesAtKubeDns('{matchName: one.test}')}]
      egressDeny: [{toCIDR: [203.0.113.0/24]}]`),
  ),
  cases: [
    mixed.reaches('shop/web', OUTSIDE, 'tcp/80', { rule: 'to-outside spec.egress[0]' }),
    mixed.asks('shop/web', 'www.shop.test', { rule: 'names spec.egress[0]' }),
    mixed.isRefused('shop/web', 'www.bank.test'),
    mixed.isDenied('shop/web', '198.51.100.1', 'tcp/80'),
    mixed.asks('shop/cart', 'any.test', { rule: 'all spec.egress[0]' }),
    cite('Documentation/security/policy/deny.rst').isDenied('shop/cart', OUTSIDE, 'tcp/80', { rule: 'narrow spec.egressDeny[0]' }),
    mixed.reaches('shop/cart', '198.51.100.1', 'tcp/80'),
  ],
};

export const networkPolicy: readonly Group[] = [closed, selectors, negations, blocks, beside];
