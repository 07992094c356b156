/** The lab's objects as Kubernetes writes them: what an agent reads from its folder. */
import { isSelected, nodeName, podAddress, SERVICES } from './plan.js';
import type { PodPlan, ServicePlan } from './plan.js';

function namespaceObject(name: string): object {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { 'kubernetes.io/metadata.name': name } } };
}

function podObject(pod: PodPlan): object {
  const { v4, v6 } = podAddress(pod);
  return {
    apiVersion: 'v1', kind: 'Pod', metadata: { name: pod.name, namespace: pod.namespace, uid: pod.uid, labels: pod.labels },
    spec: { nodeName: nodeName(pod.node) }, status: { phase: 'Running', podIP: v4, podIPs: [{ ip: v4 }, { ip: v6 }] },
  };
}

function serviceObjects(service: ServicePlan, pods: readonly PodPlan[]): object[] {
  const backends = pods.filter((pod) => isSelected(service, pod));
  const slice = (type: 'IPv4' | 'IPv6', addressOf: (pod: PodPlan) => string): object => ({
    apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: type,
    metadata: { name: `${service.name}-${type.toLowerCase()}`, namespace: service.namespace, labels: { 'kubernetes.io/service-name': service.name } },
    endpoints: backends.map((pod) => ({ addresses: [addressOf(pod)], conditions: { ready: true }, nodeName: nodeName(pod.node) })),
    ports: service.ports.map(({ name, protocol, targetPort }) => ({ name, protocol, port: targetPort })),
  });
  return [
    {
      apiVersion: 'v1', kind: 'Service', metadata: { name: service.name, namespace: service.namespace },
      spec: { clusterIP: service.address.v4, clusterIPs: [service.address.v4, service.address.v6], selector: service.selector, ports: service.ports },
    },
    slice('IPv4', (pod) => podAddress(pod).v4),
    slice('IPv6', (pod) => podAddress(pod).v6),
  ];
}

function list(items: readonly object[]): object {
  return { apiVersion: 'v1', kind: 'List', items };
}

/** File name → object; policies are not among them. */
export function manifestsOf(pods: readonly PodPlan[]): Record<string, object> {
  return {
    'namespaces.json': list([...new Set(pods.map((pod) => pod.namespace))].sort().map(namespaceObject)),
    'pods.json': list(pods.map(podObject)),
    'services.json': list(SERVICES.flatMap((service) => serviceObjects(service, pods))),
  };
}
