/**
 * Manifests that the cross-package tests share: two local client pods under different policies, and the DNS server as a
 * pod of another node, so that policy can select it.
 */
export const NODE_NAME = 'node-1';
export const CLIENT_A = '127.0.1.1';
export const CLIENT_B = '127.0.1.2';
export const STRANGER = '127.0.1.99';

export interface PodOptions {
  readonly name: string;
  readonly namespace?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly addresses: readonly string[];
  readonly nodeName?: string;
}

export function pod(options: PodOptions): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: options.name, namespace: options.namespace ?? 'default', uid: `uid-${options.name}`, labels: options.labels },
    spec: { nodeName: options.nodeName ?? NODE_NAME },
    status: { phase: 'Running', podIP: options.addresses[0], podIPs: options.addresses.map((ip) => ({ ip })) },
  };
}

export function namespace(name: string): object {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { 'kubernetes.io/metadata.name': name } } };
}

/** DNS to kube-dns for the names that `patterns` match, and connections to the names that `reachable` match. */
export function dnsPolicy(name: string, labels: Readonly<Record<string, string>>, patterns: readonly string[], reachable: readonly string[] = []): object {
  const dns = patterns.map((matchPattern) => ({ matchPattern }));
  const kubeDns = { matchLabels: { 'k8s:io.kubernetes.pod.namespace': 'kube-system', 'k8s:k8s-app': 'kube-dns' } };
  const egress: object[] = [{ toEndpoints: [kubeDns], toPorts: [{ ports: [{ port: '53', protocol: 'ANY' }], rules: { dns } }] }];
  if (reachable.length > 0) egress.push({ toFQDNs: reachable.map((matchPattern) => ({ matchPattern })) });
  return {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { name, namespace: 'default' },
    spec: { endpointSelector: { matchLabels: labels }, egress },
  };
}

/** `policy-*.json` are what tests edit. */
export function baseManifests(dnsServer: string): Record<string, object> {
  return {
    'namespaces.json': { apiVersion: 'v1', kind: 'List', items: [namespace('default'), namespace('kube-system')] },
    'pods.json': {
      apiVersion: 'v1',
      kind: 'List',
      items: [
        pod({ name: 'client-a', labels: { app: 'a' }, addresses: [CLIENT_A] }),
        pod({ name: 'client-b', labels: { app: 'b' }, addresses: [CLIENT_B] }),
        pod({ name: 'kube-dns', namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' }, addresses: [dnsServer], nodeName: 'node-2' }),
      ],
    },
    'policy-a.json': dnsPolicy('policy-a', { app: 'a' }, ['*.a.test', '*.both.test', 'silent.test'], ['*.a.test', '*.both.test']),
    'policy-b.json': dnsPolicy('policy-b', { app: 'b' }, ['*.b.test', '*.both.test'], ['*.both.test']),
  };
}
