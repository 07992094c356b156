/** Policies that the lab's tests share; the scenarios' own are in examples/policies. */

const KUBE_DNS = { matchLabels: { 'k8s:io.kubernetes.pod.namespace': 'kube-system', 'k8s-app': 'kube-dns' } };

/** DNS to the servers, for names that `dns` matches, and connections to addresses of names that `reachable` matches. */
export function namesPolicy(name: string, labels: Readonly<Record<string, string>>, names: { readonly dns: readonly string[]; readonly reachable?: readonly string[] }): object {
  const egress: object[] = [{ toEndpoints: [KUBE_DNS], toPorts: [{ ports: [{ port: '53', protocol: 'ANY' }], rules: { dns: names.dns.map((matchPattern) => ({ matchPattern })) } }] }];
  if (names.reachable !== undefined) egress.push({ toFQDNs: names.reachable.map((matchPattern) => ({ matchPattern })) });
  return {
    apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy', metadata: { name, namespace: 'lab' },
    spec: { endpointSelector: { matchLabels: labels }, egress },
  };
}
