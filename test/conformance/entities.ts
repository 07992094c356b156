/** toEntities and fromEntities. */
import { cite, type Group } from './case.js';
import { ccnp, cnp, HOST, manifests, OUTSIDE, OUTSIDE_6, pod, REMOTE_NODE, service, slice, WORLD } from './world.js';

const at = cite('Documentation/security/policy/layer3.rst#entities-based');
const mapping = cite('pkg/policy/api/entity.go');

const all: Group = {
  name: 'world, cluster, all and their families',
  manifests: manifests(
    WORLD,
    cnp('shop/to-world', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEntities: [world]}]`),
    cnp('shop/to-cluster', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toEntities: [cluster]}]`),
    cnp('bank/to-all', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{toEntities: [all], toPorts: [{ports: [{port: "443", protocol: TCP}]}]}]`),
    cnp('bank/to-v4', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEntities: [world-ipv4]}]`),
    cnp('lab/to-none', `
      endpointSelector: {}
      egress: [{toEntities: [init, health, unmanaged, ingress]}]`),
  ),
  cases: [
    at.reaches('shop/web', OUTSIDE, 'tcp/443', { rule: 'to-world spec.egress[0]' }),
    at.reaches('shop/web', OUTSIDE_6, 'udp/53'),
    at.isDenied('shop/web', 'shop/api', 'tcp/443'),
    at.isDenied('shop/web', HOST, 'tcp/443'),
    at.isDenied('shop/web', REMOTE_NODE, 'tcp/443'),
    at.reaches('shop/cart', 'bank/vault', 'tcp/443', { rule: 'to-cluster spec.egress[0]' }),
    at.reaches('shop/cart', HOST, 'tcp/443'),
    at.reaches('shop/cart', REMOTE_NODE, 'tcp/443'),
    at.isDenied('shop/cart', OUTSIDE, 'tcp/443'),
    at.reaches('bank/ledger', OUTSIDE, 'tcp/443'),
    at.reaches('bank/ledger', 'shop/api', 'tcp/443'),
    at.reaches('bank/ledger', REMOTE_NODE, 'tcp/443'),
    at.isDenied('bank/ledger', OUTSIDE, 'tcp/80'),
    mapping.reaches('bank/web', OUTSIDE, 'tcp/80'),
    mapping.isDenied('bank/web', OUTSIDE_6, 'tcp/80'),
    mapping.isDenied('lab/probe', OUTSIDE, 'tcp/80'),
    mapping.isDenied('lab/probe', 'shop/api', 'tcp/80'),
  ],
};

const nodes: Group = {
  name: 'host and remote-node',
  manifests: manifests(
    WORLD,
    cnp('shop/to-host', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEntities: [host]}]`),
    cnp('shop/to-remote', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toEntities: [remote-node], toPorts: [{ports: [{port: "9100", protocol: TCP}]}]}]`),
    ccnp('to-both', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{toEntities: [host, remote-node]}]`),
  ),
  cases: [
    cite('Documentation/security/policy/layer3.rst#access-to-from-local-host').reaches('shop/web', HOST, 'tcp/9100', { rule: 'to-host spec.egress[0]' }),
    cite('Documentation/security/policy/layer3.rst#access-to-from-local-host').isDenied('shop/web', REMOTE_NODE, 'tcp/9100'),
    at.isDenied('shop/web', OUTSIDE, 'tcp/9100'),
    at.reaches('shop/cart', REMOTE_NODE, 'tcp/9100', { rule: 'to-remote spec.egress[0]' }),
    at.isDenied('shop/cart', REMOTE_NODE, 'tcp/9101'),
    at.isDenied('shop/cart', HOST, 'tcp/9100'),
    at.reaches('bank/ledger', HOST, 'tcp/1'),
    at.reaches('bank/ledger', REMOTE_NODE, 'tcp/1'),
    at.isDenied('bank/ledger', 'shop/api', 'tcp/1'),
  ],
};

const api = cite('Documentation/security/policy/layer3.rst#access-to-from-kube-apiserver');
const apiService = service('default/kubernetes', 'ports: [{name: https, port: 443}]');
const onNode: Group = {
  name: 'kube-apiserver on a node',
  manifests: manifests(
    WORLD, apiService, slice('default/kubernetes', REMOTE_NODE, '{name: https, port: 6443}'),
    cnp('shop/to-api', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEntities: [kube-apiserver]}]`),
    cnp('shop/to-world', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toEntities: [world]}]`),
    cnp('bank/to-remote', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{toEntities: [remote-node]}]`),
  ),
  cases: [
    api.reaches('shop/web', REMOTE_NODE, 'tcp/6443', { rule: 'to-api spec.egress[0]' }),
    api.isDenied('shop/web', HOST, 'tcp/6443'),
    api.isDenied('shop/web', OUTSIDE, 'tcp/6443'),
    api.isDenied('shop/cart', REMOTE_NODE, 'tcp/6443'),
    api.reaches('bank/ledger', REMOTE_NODE, 'tcp/6443'),
  ],
};

const offCluster: Group = {
  name: 'kube-apiserver outside of the cluster',
  manifests: manifests(
    WORLD, apiService, slice('default/kubernetes', '198.51.100.6', '{name: https, port: 6443}'),
    cnp('shop/to-api', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEntities: [kube-apiserver], toPorts: [{ports: [{port: "6443", protocol: TCP}]}]}]`),
    cnp('shop/to-world', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toEntities: [world]}]`),
    cnp('bank/to-cidr', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{toCIDR: [198.51.100.0/24]}]`),
    cnp('bank/to-cluster', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEntities: [cluster]}]`),
    cnp('lab/to-nodes', `
      endpointSelector: {}
      egress: [{toEntities: [host, remote-node]}]`),
  ),
  cases: [
    api.reaches('shop/web', '198.51.100.6', 'tcp/6443', { rule: 'to-api spec.egress[0]' }),
    api.isDenied('shop/web', '198.51.100.6', 'tcp/443'),
    api.isDenied('shop/web', '198.51.100.7', 'tcp/6443'),
    api.reaches('shop/cart', '198.51.100.6', 'tcp/6443'),
    api.reaches('bank/ledger', '198.51.100.6', 'tcp/6443'),
    mapping.reaches('bank/web', '198.51.100.6', 'tcp/6443', { rule: 'to-cluster spec.egress[0]' }),
    mapping.isDenied('bank/web', '198.51.100.7', 'tcp/6443'),
    api.isDenied('lab/probe', '198.51.100.6', 'tcp/6443'),
  ],
};

const from: Group = {
  name: 'fromEntities',
  manifests: manifests(
    WORLD,
    cnp('shop/from-world', `
      endpointSelector: {matchLabels: {app: web}}
      ingress: [{fromEntities: [world], toPorts: [{ports: [{port: "443", protocol: TCP}]}]}]`),
    cnp('shop/from-cluster', `
      endpointSelector: {matchLabels: {app: cart}}
      ingress: [{fromEntities: [cluster]}]`),
    cnp('bank/from-remote', `
      endpointSelector: {matchLabels: {app: ledger}}
      ingress: [{fromEntities: [remote-node]}]`),
    cnp('bank/from-nobody', `
      endpointSelector: {matchLabels: {app: web}}
      ingress: [{}]`),
    pod('shop/late', '127.0.1.20', { labels: 'app: late' }),
    cnp('shop/from-all', `
      endpointSelector: {matchLabels: {app: late}}
      ingress: [{fromEntities: [all]}]`),
  ),
  cases: [
    cite('Documentation/security/policy/layer3.rst#access-to-from-outside-cluster').reaches(OUTSIDE, 'shop/web', 'tcp/443', { rule: 'from-world spec.ingress[0]' }),
    at.isDenied(OUTSIDE, 'shop/web', 'tcp/80'),
    at.isDenied('shop/api', 'shop/web', 'tcp/443'),
    at.reaches('bank/vault', 'shop/cart', 'tcp/80'),
    at.reaches(REMOTE_NODE, 'shop/cart', 'tcp/80'),
    at.isDenied(OUTSIDE, 'shop/cart', 'tcp/80'),
    cite('Documentation/security/policy/layer3.rst#access-to-from-all-nodes-in-the-cluster-or-clustermesh').reaches(REMOTE_NODE, 'bank/ledger', 'tcp/80'),
    at.isDenied('shop/api', 'bank/ledger', 'tcp/80'),
    cite('Documentation/security/policy/layer3.rst#access-to-from-local-host').reaches(HOST, 'bank/web', 'tcp/80'),
    at.isDenied(REMOTE_NODE, 'bank/web', 'tcp/80'),
    at.reaches(OUTSIDE, 'shop/late', 'udp/1'),
    at.reaches('bank/vault', 'shop/late', 'tcp/1'),
  ],
};

export const entities: readonly Group[] = [all, nodes, onNode, offCluster, from];
