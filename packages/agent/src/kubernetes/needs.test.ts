import t from 'tap';
import { loadManifests } from '@tandem/manifests';
import { needKey, needsOf, POD_WATCHES_MAX } from './needs.js';

const CLUSTER = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: a}}
---
apiVersion: v1
kind: Namespace
metadata: {name: bank, labels: {team: b}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: node}
status: {phase: Running, podIP: 10.0.0.1}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: bank}
spec: {selector: {app: db}, ports: [{port: 1}]}
---
apiVersion: v1
kind: Service
metadata: {name: away, namespace: bank}
spec: {ports: [{port: 1}]}
`;

interface Options {
  readonly kind?: string;
  readonly subject?: string;
  readonly clusterCidrs?: readonly string[];
  readonly enablePolicy?: 'default' | 'never';
}

function needs(spec: string, { kind = 'CiliumNetworkPolicy', subject = 'web', clusterCidrs = [], enablePolicy = 'default' }: Options = {}): string[] {
  const metadata = kind.includes('Clusterwide') ? '{name: p}' : '{name: p, namespace: shop}';
  const text = `${CLUSTER}---\napiVersion: cilium.io/v2\nkind: ${kind}\nmetadata: ${metadata}\nspec: {endpointSelector: {matchLabels: {app: ${subject}}}, ${spec}}\n`;
  const { objects, problems } = loadManifests([{ path: 'a.yaml', text }]);
  if (objects === null) throw new Error(JSON.stringify(problems));
  const found = needsOf(objects, { enablePolicy, clusterCidrs });
  return [...found.pods.map(needKey), ...(found.nodes ? ['nodes'] : []), ...(found.serviceBackends ? ['backends'] : [])];
}

const to = (selector: string): string => `egress: [{toEndpoints: [${selector}]}]`;

t.test('what a rule names is what is watched', (t) => {
  const table: readonly [string, readonly string[]][] = [
    [to('{matchLabels: {app: db}}'), ['shop app=db']],
    [to('{matchLabels: {app: db, k8s:tier: back}}, {matchLabels: {app: cache}}'), ['shop app=cache', 'shop app=db,tier=back']],
    [to('{matchLabels: {k8s:io.kubernetes.pod.namespace: bank, app: db}}'), ['bank app=db']],
    [to('{matchLabels: {k8s:io.kubernetes.pod.namespace: nowhere, app: db}}'), []],
    [to('{matchLabels: {io.cilium.k8s.namespace.labels.team: b}}'), ['bank ']],
    [to('{matchExpressions: [{key: k8s:io.kubernetes.pod.namespace, operator: Exists}]}'), ['* ']],
    [to('{matchExpressions: [{key: app, operator: In, values: [b, a]}, {key: x, operator: NotIn, values: [y]}, {key: z, operator: Exists}, {key: q, operator: DoesNotExist}]}'),
      ['shop !q,app in (a,b),x notin (y),z']],
    [to('{matchLabels: {io.cilium.k8s.policy.serviceaccount: robot, app: db}}'), ['shop app=db']],
    // Keys that an API server refuses are not asked for.
    [to('{matchLabels: {a..b/x: y, app: db}}, {matchLabels: {a.-b/x: y, tier: z}}, {matchLabels: {a-.b/x: y, tier: q}}'), ['shop app=db', 'shop tier=q', 'shop tier=z']],
    [to(`{matchLabels: {${'a.'.repeat(127)}b/x: y, app: db}}`), ['shop app=db']],
    [to('{matchLabels: {a.b-c.d/x_Y.z: y}}'), ['shop a.b-c.d/x_Y.z=y']],
    [to('{}'), ['shop ']],
    [to('{}, {matchLabels: {app: db}}'), ['shop ']],
    ['egressDeny: [{toEndpoints: [{matchLabels: {app: db}}]}]', ['shop app=db']],
    ['ingress: [{fromEndpoints: [{matchLabels: {app: lb}}]}]', ['shop app=lb']],
    ['egress: [{toServices: [{k8sService: {serviceName: db, namespace: bank}}]}]', ['bank app=db']],
    ['egress: [{toFQDNs: [{matchName: example.com}]}]', ['nodes', 'backends']],
    ['egress: [{toEntities: [all]}]', []],
    ['egress: [{}]', []],
    ['egress: [{toPorts: [{ports: [{port: "53"}]}]}]', []],
    ['egress: [{toEntities: [host]}]', ['nodes']],
    ['egress: [{toEntities: [kube-apiserver]}]', ['nodes']],
    ['egress: [{toEntities: [world]}]', ['* ', 'nodes']],
    ['egress: [{toEntities: [cluster]}]', ['* ', 'nodes']],
    ['egress: [{toCIDR: [203.0.113.0/24]}]', ['* ', 'nodes']],
    [to('{matchLabels: {reserved:remote-node: ""}}'), ['nodes']],
  ];
  for (const [spec, expected] of table) t.strictSame(needs(spec), expected, spec);
  t.end();
});

t.test('a named port in egress is known of every pod that may be the peer', (t) => {
  const named = 'toPorts: [{ports: [{port: "53"}]}, {ports: [{port: "80"}, {port: admin, protocol: TCP}]}]';
  const table: readonly [string, readonly string[]][] = [
    [`egressDeny: [{${named}}]`, ['* ']],
    [`egress: [{${named}}]`, ['* ']],
    [`egress: [{toEntities: [all]}], egressDeny: [{toEntities: [all], ${named}}]`, ['* ']],
    [`egress: [{toEntities: [host], ${named}}]`, ['* ', 'nodes']],
    [`egress: [{toFQDNs: [{matchName: example.com}], ${named}}]`, ['* ', 'nodes', 'backends']],
    [`egress: [{toEndpoints: [{matchLabels: {app: db}}], ${named}}]`, ['shop app=db']],
    [`egressDeny: [{toEndpoints: [{matchLabels: {app: db}}, {matchLabels: {reserved:remote-node: ""}}], ${named}}]`, ['* ', 'nodes']],
    [`egress: [{toServices: [{k8sService: {serviceName: db, namespace: bank}}], ${named}}]`, ['bank app=db']],
    [`egress: [{toServices: [{k8sService: {serviceName: away, namespace: bank}}], ${named}}]`, ['* ']],
    // The selected pod's own.
    [`ingress: [{${named}}], ingressDeny: [{${named}}]`, []],
  ];
  for (const [spec, expected] of table) t.strictSame(needs(spec), expected, spec);
  t.strictSame(needs(`egress: [{toCIDR: [203.0.113.0/24], ${named}}]`, { clusterCidrs: ['10.0.0.0/8'] }), ['* ']);
  t.end();
});

t.test('a clusterwide policy means pods of every namespace', (t) => {
  t.strictSame(needs(to('{matchLabels: {app: db}}'), { kind: 'CiliumClusterwideNetworkPolicy' }), ['* app=db']);
  t.end();
});

t.test('a policy that selects no pod here, and one that is not enforced, need nothing', (t) => {
  t.strictSame(needs('egress: [{toEntities: [world]}]', { subject: 'elsewhere' }), []);
  t.strictSame(needs('egress: [{toEntities: [world]}]', { enablePolicy: 'never' }), []);
  t.end();
});

t.test('with the addresses of the cluster, a prefix outside of them needs nothing', (t) => {
  const clusterCidrs = ['10.0.0.0/8', 'fd00::/16'];
  t.strictSame(needs('egress: [{toCIDR: [203.0.113.0/24, "2001:db8::/32"]}]', { clusterCidrs }), []);
  for (const cidr of ['0.0.0.0/0', '10.9.0.0/16', '10.0.0.1/32', '8.0.0.0/6', 'fd00::1/128']) t.strictSame(needs(`egress: [{toCIDR: ["${cidr}"]}]`, { clusterCidrs }), ['* ', 'nodes'], cidr);
  t.end();
});

t.test('beyond the bound one watch has all pods', (t) => {
  const peers = (n: number): string => to(Array.from({ length: n }, (_, i) => `{matchLabels: {app: a${i}}}`).join(', '));
  t.equal(needs(peers(POD_WATCHES_MAX)).length, POD_WATCHES_MAX);
  t.strictSame(needs(peers(POD_WATCHES_MAX + 1)), ['* ']);
  t.end();
});
