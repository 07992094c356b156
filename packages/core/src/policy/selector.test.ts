import t from 'tap';
import type { LabelExpression, LabelSelector, Labels } from './objects.js';
import { LabelSet, matchesAll, peerRequirements, podLabels, subjectRequirements } from './selector.js';

const select = (matchLabels: Labels, ...matchExpressions: LabelExpression[]): LabelSelector => ({ matchLabels, matchExpressions });
const dns = podLabels(
  { namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns', tier: 'core' }, serviceAccount: 'coredns' },
  { team: 'infra' },
);
const web = podLabels({ namespace: 'shop', labels: { app: 'web', tier: 'front' }, serviceAccount: null }, {});
const world = new LabelSet(['reserved:world=']);
const names: readonly (readonly [string, LabelSet])[] = [['dns', dns], ['web', web], ['world', world]];

const POD_NAMESPACE = 'io.kubernetes.pod.namespace';

/** Selector under toEndpoints, the policy's namespace, and who is selected. */
const PEERS: readonly (readonly [LabelSelector, string, readonly string[]])[] = [
  // Confined to the policy's namespace unless the selector speaks of namespaces.
  [select({}), 'shop', ['web']],
  [select({}), 'kube-system', ['dns']],
  [select({}), 'other', []],
  [select({}), '', ['dns', 'web']],
  [select({ 'k8s-app': 'kube-dns' }), 'shop', []],
  [select({ 'k8s-app': 'kube-dns' }), '', ['dns']],
  [select({ [`k8s:${POD_NAMESPACE}`]: 'kube-system' }), 'shop', ['dns']],
  [select({ [POD_NAMESPACE]: 'kube-system', 'k8s:k8s-app': 'kube-dns' }), 'shop', ['dns']],
  [select({ [`any:${POD_NAMESPACE}`]: 'kube-system' }), 'shop', ['dns']],
  [select({}, { key: POD_NAMESPACE, operator: 'Exists', values: [] }), 'shop', ['dns', 'web']],
  [select({}, { key: `k8s:${POD_NAMESPACE}`, operator: 'NotIn', values: ['shop'] }), 'shop', ['dns', 'world']],
  [select({ 'k8s:io.cilium.k8s.namespace.labels.team': 'infra' }), 'shop', ['dns']],
  [select({ 'io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name': 'kube-system' }), 'shop', ['dns']],
  // Sources.
  [select({ 'reserved:world': '' }), 'shop', ['world']],
  [select({ 'reserved:host': '' }), 'shop', []],
  [select({ 'any:app': 'web' }), 'shop', ['web']],
  [select({ 'container:app': 'web' }), 'shop', []],
  [select({ 'io.cilium.k8s.policy.serviceaccount': 'coredns' }), '', ['dns']],
  [select({ 'io.cilium.k8s.policy.serviceaccount': 'default' }), '', ['web']],
  [select({ 'k8s:io.cilium.k8s.policy.cluster': 'default' }), '', ['dns', 'web']],
  // Operators: NotIn and DoesNotExist hold for absent keys.
  [select({}, { key: 'tier', operator: 'In', values: ['core', 'front'] }), '', ['dns', 'web']],
  [select({}, { key: 'tier', operator: 'NotIn', values: ['core'] }), '', ['web']],
  [select({}, { key: 'app', operator: 'NotIn', values: ['web'] }), '', ['dns']],
  [select({}, { key: 'app', operator: 'DoesNotExist', values: [] }), '', ['dns']],
  [select({ tier: 'core' }, { key: 'app', operator: 'Exists', values: [] }), '', []],
];

t.test('toEndpoints selects what Cilium selects', (t) => {
  for (const [selector, namespace, expected] of PEERS) {
    const requirements = peerRequirements(selector, namespace, select({}));
    const selected = names.filter(([, labels]) => matchesAll(requirements, labels)).map(([name]) => name);
    t.same(selected, expected, `${JSON.stringify(selector)} in "${namespace}"`);
  }
  t.end();
});

/** endpointSelector, the policy's namespace, and who is selected. */
const SUBJECTS: readonly (readonly [LabelSelector, string, readonly string[]])[] = [
  [select({}), 'shop', ['web']],
  [select({}), '', ['dns', 'web', 'world']],
  [select({ [`k8s:${POD_NAMESPACE}`]: 'kube-system' }), 'shop', ['web']],
  [select({ [`any:${POD_NAMESPACE}`]: 'kube-system' }), 'shop', []],
  [select({ [`k8s:${POD_NAMESPACE}`]: 'kube-system' }), '', ['dns']],
  [select({ 'io.cilium.k8s.namespace.labels.team': 'infra' }), 'shop', []],
];

t.test('endpointSelector stays in the namespace of its policy', (t) => {
  for (const [selector, namespace, expected] of SUBJECTS) {
    const requirements = subjectRequirements(selector, namespace);
    const selected = names.filter(([, labels]) => matchesAll(requirements, labels)).map(([name]) => name);
    t.same(selected, expected, `${JSON.stringify(selector)} in "${namespace}"`);
  }
  t.end();
});

t.test('a selector on reserved:init lets a clusterwide empty peer select everything', (t) => {
  const requirements = peerRequirements(select({}), '', select({ 'reserved:init': '' }));
  t.same(requirements, []);
  t.end();
});
