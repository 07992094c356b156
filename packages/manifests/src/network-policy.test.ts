import t from 'tap';
import { ANY_PEER, NOTHING_SAID, type DirectionSpec, type PolicySpec } from '@tandem/core';
import { loadManifests } from './load.js';
import { formatProblem } from './problem.js';

function read(spec: string): { spec: PolicySpec | null; problems: string[] } {
  const text = `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec: ${spec}\n`;
  const { objects, problems } = loadManifests([{ path: 'a.yaml', text }]);
  return { spec: objects?.policies[0].specs[0] ?? null, problems: problems.map(formatProblem) };
}

const OWN = { 'k8s:io.kubernetes.pod.namespace': 'shop' };
const ALL = { ...ANY_PEER, entities: ['all'] as const };
const allow = (...rules: readonly object[]): DirectionSpec => ({ allow: rules as DirectionSpec['allow'], deny: null, defaultDeny: null });
const labels = (matchLabels: Record<string, string>) => ({ matchLabels, matchExpressions: [] });
const one = (i: number, first: number, last: number, protocol: number) => ({ path: `ports[${i}]`, ports: [{ first, last, protocol }], dns: null });

/** Spec as written, what it says about egress and ingress. */
const SPECS: readonly (readonly [string, DirectionSpec, DirectionSpec])[] = [
  ['{podSelector: {}}', NOTHING_SAID, allow()],
  ['{podSelector: {}, policyTypes: []}', NOTHING_SAID, allow()],
  ['{podSelector: {}, policyTypes: [Ingress]}', NOTHING_SAID, allow()],
  ['{podSelector: {}, policyTypes: [Egress]}', allow(), NOTHING_SAID],
  ['{podSelector: {}, policyTypes: [Ingress, Egress]}', allow(), allow()],
  ['{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [], egress: []}', allow(), allow()],
  ['{podSelector: {}, egress: [{}]}', allow(ALL), allow()],
  ['{podSelector: {}, policyTypes: [Egress], egress: [{to: []}]}', allow(ALL), NOTHING_SAID],
  ['{podSelector: {}, ingress: [{}]}', NOTHING_SAID, allow(ALL)],
  ['{podSelector: {}, ingress: [{from: [], ports: []}]}', NOTHING_SAID, allow(ALL)],
  ['{podSelector: {}, ingress: [{ports: [{port: 80}, {}, {protocol: UDP}, {port: 53, protocol: UDP}, {port: 7, protocol: SCTP}]}]}', NOTHING_SAID, allow({
    ...ALL, ports: [one(0, 80, 80, 6), one(1, 0, 65535, 6), one(2, 0, 65535, 17), one(3, 53, 53, 17), one(4, 7, 7, 132)],
  })],
  ['{podSelector: {}, ingress: [{ports: [{port: 8000, endPort: 8999}, {port: http}]}]}', NOTHING_SAID, allow({
    ...ALL, ports: [one(0, 8000, 8999, 6), { path: 'ports[1]', ports: [{ portName: 'http', protocol: 6 }], dns: null }],
  })],
  ['{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}', NOTHING_SAID, allow({ ...ANY_PEER, endpoints: [labels(OWN)] })],
  ['{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}', NOTHING_SAID, allow({ ...ANY_PEER, endpoints: [labels({ 'k8s:app': 'web', ...OWN })] })],
  ['{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}', NOTHING_SAID, allow({
    ...ANY_PEER, endpoints: [{ matchLabels: {}, matchExpressions: [{ key: 'k8s:io.kubernetes.pod.namespace', operator: 'Exists', values: [] }] }],
  })],
  ['{podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}]}]}', NOTHING_SAID, allow({
    ...ANY_PEER, endpoints: [{ matchLabels: { 'k8s:app': 'web' }, matchExpressions: [{ key: 'k8s:io.kubernetes.pod.namespace', operator: 'Exists', values: [] }] }],
  })],
  ['{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {team: red}, matchExpressions: [{key: env, operator: NotIn, values: [dev]}]}, podSelector: {matchExpressions: [{key: app, operator: Exists}]}}]}]}', allow({
    ...ANY_PEER, endpoints: [{
      matchLabels: { 'k8s:io.cilium.k8s.namespace.labels.team': 'red' },
      matchExpressions: [{ key: 'k8s:app', operator: 'Exists', values: [] }, { key: 'k8s:io.cilium.k8s.namespace.labels.env', operator: 'NotIn', values: ['dev'] }, { key: 'k8s:io.kubernetes.pod.namespace', operator: 'Exists', values: [] }],
    }],
  }), NOTHING_SAID],
  ['{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.96.0.0/12]}}, {podSelector: {}}], ports: [{port: 443}]}]}', allow({
    ...ANY_PEER, endpoints: [labels(OWN)], cidrs: [{ cidr: '10.0.0.0/8', except: ['10.96.0.0/12'] }], ports: [one(0, 443, 443, 6)],
  }), NOTHING_SAID],
  ['{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: "fd00::/8"}}]}]}', NOTHING_SAID, allow({ ...ANY_PEER, cidrs: [{ cidr: 'fd00::/8', except: [] }] })],
];

t.test('a NetworkPolicy is said in the terms of Cilium', (t) => {
  for (const [text, egress, ingress] of SPECS) {
    const { spec, problems } = read(text);
    t.same(problems, [], text);
    t.strictSame(spec, { path: 'spec', endpointSelector: labels({}), egress, ingress }, text);
  }
  t.strictSame(read('{podSelector: {matchLabels: {app: db}, matchExpressions: [{key: tier, operator: In, values: [a]}]}}').spec?.endpointSelector, {
    matchLabels: { 'k8s:app': 'db' }, matchExpressions: [{ key: 'k8s:tier', operator: 'In', values: ['a'] }],
  });
  t.end();
});

t.test('any number of ports may stand in one rule', (t) => {
  const { spec, problems } = read(`{podSelector: {}, ingress: [{ports: [${Array.from({ length: 100 }, (_, i) => `{port: ${i + 1}}`).join(', ')}]}]}`);
  t.same(problems, []);
  t.equal(spec?.ingress.allow?.[0].ports?.length, 100);
  t.end();
});

/** Spec as written, complaints without `a.yaml:4:`. */
const COMPLAINTS: readonly (readonly [string, readonly string[]])[] = [
  ['{}', ['7: spec: warning: has no podSelector: the policy selects all pods of its namespace']],
  ['{podSelector: {}, egress: []}', ['33: spec.egress: warning: is empty, and policyTypes does not name Egress: it has no effect']],
  ['{podSelector: {}, policyTypes: [Ingress], egress: [{}]}', ["57: spec.egress: warning: is enforced although policyTypes does not name Egress (as in Cilium; by Kubernetes' documentation it has no effect)"]],
  ['{podSelector: {}, policyTypes: [egress, Both]}', [
    '39: spec.policyTypes[0]: error: is "egress"; known are Ingress and Egress; did you mean "Egress"?',
    '47: spec.policyTypes[1]: error: is "Both"; known are Ingress and Egress',
  ]],
  ['{podSelector: {}, specs: [], ingress: [{form: []}], endpointSelector: {}}', [
    '25: spec.specs: error: is unknown',
    '47: spec.ingress[0].form: error: is unknown',
    '59: spec.endpointSelector: error: is unknown',
  ]],
  ['{podSelector: {matchLabels: {"k8s:app": a}}}', ['47: spec.podSelector.matchLabels["k8s:app"]: error: "k8s:app" has a source prefix, which Kubernetes does not know; write "app"']],
  ['{podSelector: {}, ingress: [{from: [{}, {ipBlock: {}}, {ipBlock: {cidr: 10.0.0.1}}]}]}', [
    '43: spec.ingress[0].from[0]: error: is empty; a peer has a podSelector, a namespaceSelector or an ipBlock',
    '57: spec.ingress[0].from[1].ipBlock: error: has no cidr',
    '79: spec.ingress[0].from[2].ipBlock.cidr: error: "10.0.0.1" has no prefix length; write 10.0.0.1/32',
  ]],
  ['{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]}', ['53: spec.ingress[0].from[0].ipBlock: error: stands next to a selector; write two peers']],
  ['{podSelector: {}, ingress: [{ports: [{port: "80"}, {port: 0}, {port: http, endPort: 90}, {port: 90, endPort: 80}, {endPort: 80}, {port: 1, protocol: ANY}, {port: a_b}]}]}', [
    '51: spec.ingress[0].ports[0].port: error: is a string; write 80 without quotes',
    '65: spec.ingress[0].ports[1].port: error: is 0; allowed are 1 to 65535',
    '91: spec.ingress[0].ports[2].endPort: error: needs a port as a number before it',
    '116: spec.ingress[0].ports[3].endPort: error: is 80, below port 90',
    '131: spec.ingress[0].ports[4].endPort: error: needs a port as a number before it',
    '156: spec.ingress[0].ports[5].protocol: error: "ANY" is no protocol; TCP, UDP and SCTP are',
    '169: spec.ingress[0].ports[6].port: error: "a_b" is no port; write a number or the name of a container port',
  ]],
  ['[]', ['7: spec: error: is a list; a mapping is wanted']],
];

t.test('what is wrong or odd in a NetworkPolicy is named with its place', (t) => {
  for (const [text, expected] of COMPLAINTS) {
    const { spec, problems } = read(text);
    t.same(problems, expected.map((one) => `a.yaml:4:${one}`), text);
    t.equal(spec === null, expected.some((one) => one.includes(': error: ')), 'objects come out unless one is an error');
  }
  t.end();
});

t.test('a misspelt NetworkPolicy is no warning', (t) => {
  const { objects, problems } = loadManifests([{ path: 'a.yaml', text: 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolcy\nmetadata: {name: p}' }]);
  t.same(problems.map(formatProblem), ['a.yaml:2:1: kind: error: networking.k8s.io/v1 NetworkPolcy is unknown; did you mean "NetworkPolicy"?']);
  t.equal(objects, null);
  t.end();
});
