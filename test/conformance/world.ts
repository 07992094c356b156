/**
 * Manifests as YAML text: a small cluster that most groups share, and what puts an object's head over its `spec`.
 * Local pods have addresses of 127.0.0.0/8, so that live clients can bind to them.
 */
import { DNS_SERVER, NODE } from './case.js';

export const OTHER_NODE = 'node-2';

export interface PodText {
  /** Flow mapping without braces: `app: web, tier: front`. */
  readonly labels?: string;
  readonly node?: string;
  readonly account?: string;
  readonly hostNetwork?: true;
  /** Flow list without brackets: `{name: http, containerPort: 8080}`. */
  readonly ports?: string;
  readonly phase?: string;
}

/** `at`: `namespace/name`; `addresses`: one or two, separated by a blank. */
export function pod(at: string, addresses: string, options: PodText = {}): string {
  const [namespace, name] = at.split('/');
  const ips = addresses.split(' ');
  return `
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: ${namespace}, labels: {${options.labels ?? ''}}}
spec:
  nodeName: ${options.node ?? NODE}
  hostNetwork: ${String(options.hostNetwork ?? false)}
  serviceAccountName: ${options.account ?? 'default'}
  containers: [{name: main, ports: [${options.ports ?? ''}]}]
status: {phase: ${options.phase ?? 'Running'}, podIP: "${ips[0]}", podIPs: [${ips.map((ip) => `{ip: "${ip}"}`).join(', ')}]}
`;
}

export function namespace(name: string, labels = ''): string {
  return `
apiVersion: v1
kind: Namespace
metadata: {name: ${name}, labels: {kubernetes.io/metadata.name: ${name}, ${labels}}}
`;
}

/** A Service; its `spec` as YAML text. */
export function service(at: string, spec: string, labels = ''): string {
  const [namespace, name] = at.split('/');
  return object('v1', 'Service', `{name: ${name}, namespace: ${namespace}, labels: {${labels}}}`, spec);
}

/** `ports` as a flow list without brackets. */
export function slice(ofService: string, addresses: string, ports: string): string {
  const [namespace, name] = ofService.split('/');
  return `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ${name}-slice, namespace: ${namespace}, labels: {kubernetes.io/service-name: ${name}}}
addressType: ${addresses.includes(':') ? 'IPv6' : 'IPv4'}
endpoints: [{addresses: [${addresses.split(' ').map((one) => `"${one}"`).join(', ')}]}]
ports: [${ports}]
`;
}

/** CiliumNetworkPolicy; `annotations` as a flow mapping without braces. */
export function cnp(at: string, spec: string, annotations = ''): string {
  const [namespace, name] = at.split('/');
  return object('cilium.io/v2', 'CiliumNetworkPolicy', `{name: ${name}, namespace: ${namespace}, annotations: {${annotations}}}`, spec);
}

/** CiliumClusterwideNetworkPolicy. */
export function ccnp(name: string, spec: string, annotations = ''): string {
  return object('cilium.io/v2', 'CiliumClusterwideNetworkPolicy', `{name: ${name}, annotations: {${annotations}}}`, spec);
}

/** NetworkPolicy of Kubernetes. */
export function np(at: string, spec: string): string {
  const [namespace, name] = at.split('/');
  return object('networking.k8s.io/v1', 'NetworkPolicy', `{name: ${name}, namespace: ${namespace}}`, spec);
}

function object(apiVersion: string, kind: string, metadata: string, spec: string): string {
  return `
apiVersion: ${apiVersion}
kind: ${kind}
metadata: ${metadata}
spec:
${indented(spec)}
`;
}

/** The lines with two blanks in front of the least indented one. */
function indented(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const least = Math.min(...lines.map((line) => line.length - line.trimStart().length));
  return lines.map((line) => `  ${line.slice(least)}`).join('\n');
}

/** Documents of one file. */
export function manifests(...documents: readonly string[]): string {
  return documents.join('---\n');
}

/** kube-dns, as every cluster has it. */
export const KUBE_DNS = '{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}';
/** Egress entry: DNS to kube-dns for the given rules (a flow list without brackets). */
export const namesAtKubeDns = (rules: string): string => `{toEndpoints: [${KUBE_DNS}], toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [${rules}]}}]}`;

export const COREDNS = pod('kube-system/coredns', DNS_SERVER, {
  labels: 'k8s-app: kube-dns', node: OTHER_NODE, account: 'coredns',
  ports: '{name: dns, containerPort: 53, protocol: UDP}, {name: dns-tcp, containerPort: 53, protocol: TCP}',
});

/** Addresses of nodes: pods on the host network have them. */
export const HOST = '127.0.3.1';
export const REMOTE_NODE = '127.0.3.2';

/** All but kube-dns, so that its address can be something else. */
export const WORLD_WITHOUT_DNS = manifests(
  namespace('shop', 'team: retail, env: prod'),
  namespace('bank', 'team: finance, env: prod'),
  namespace('lab', 'team: research'),
  namespace('kube-system'),
  pod('shop/web', '127.0.1.1 fd00::1:1', { labels: 'app: web, tier: front', account: 'web' }),
  pod('shop/cart', '127.0.1.2', { labels: 'app: cart, tier: back', account: 'cart', ports: '{name: http, containerPort: 8080}, {name: metrics, containerPort: 9090}' }),
  pod('bank/ledger', '127.0.1.3', { labels: 'app: ledger, tier: back', account: 'ledger', ports: '{name: ledger, containerPort: 7000}' }),
  pod('bank/web', '127.0.1.4', { labels: 'app: web, tier: front', account: 'web' }),
  pod('lab/probe', '127.0.1.5', { labels: 'app: probe' }),
  pod('shop/api', '127.0.2.1', { labels: 'app: api, tier: back', node: OTHER_NODE, account: 'api', ports: '{name: http, containerPort: 8080}' }),
  pod('bank/vault', '127.0.2.2', { labels: 'app: vault, tier: back', node: OTHER_NODE, account: 'vault' }),
  pod('kube-system/node-agent-1', HOST, { labels: 'app: node-agent', hostNetwork: true }),
  pod('kube-system/node-agent-2', REMOTE_NODE, { labels: 'app: node-agent', hostNetwork: true, node: OTHER_NODE }),
);

export const WORLD = manifests(WORLD_WITHOUT_DNS, COREDNS);

/** Addresses of documentation (RFC 5737, RFC 3849), outside of the cluster. */
export const OUTSIDE = '203.0.113.7';
export const OUTSIDE_6 = '2001:db8::7';
