/**
 * Service objects → where each of their ports leads. EndpointSlices count if the Service has any, else the pods that its
 * selector selects. Ready or not, every backend counts: more backends only make a verdict stricter.
 */
import { canonicalAddress } from '../base/socket-address.js';
import { SNAPSHOT_LIMITS } from './limits.js';
import type { EndpointSliceObject, PodObject, PolicyObjects, ServiceObject, ServicePortObject } from './objects.js';
import type { ServicePort, ServiceRecord } from './snapshot.js';
import { byText, sortedDistinct } from './sort.js';

interface Backend {
  readonly address: string;
  readonly port: number;
}

/** Kept from compile to compile: a Service with the very same slices is the very same record. */
export class ServiceRecords {
  private readonly known = new WeakMap<ServiceObject, { readonly slices: readonly EndpointSliceObject[]; readonly record: ServiceRecord }>();

  /**
   * `pods`: those that live, with canonical addresses. Services without an address are left out. A port with too many backends, and
   * ports beyond the limit, lead nowhere: then only rules for any server allow them.
   */
  of(objects: PolicyObjects, pods: readonly PodObject[], notices: string[]): ServiceRecord[] {
    const slices = groupBy(objects.endpointSlices, ({ namespace, serviceName }) =>
      serviceName === null ? null : `${namespace}/${serviceName}`,
    );
    const podsByNamespace = groupBy(pods, ({ namespace }) => namespace);
    return objects.services
      .filter(({ addresses }) => addresses.length > 0)
      .map((service) => {
        const own = slices.get(`${service.namespace}/${service.name}`);
        if (own === undefined) return recordOf(service, (port) => podBackends(service, port, podsByNamespace.get(service.namespace) ?? []), notices);
        const known = this.known.get(service);
        if (known?.slices.length === own.length && own.every((slice, i) => slice === known.slices[i])) return known.record;
        const before = notices.length;
        const record = recordOf(service, (port) => sliceBackends(port, own), notices);
        // What there is to complain of is said each time.
        if (notices.length === before) this.known.set(service, { slices: own, record });
        return record;
      })
      .sort((a, b) => byText(a.namespace, b.namespace) || byText(a.name, b.name));
  }
}

function recordOf(service: ServiceObject, backendsOf: (port: ServicePortObject) => Backend[], notices: string[]): ServiceRecord {
  const ports = service.ports.map((port): ServicePort => ({ port: port.port, protocol: port.protocol, backends: sortedDistinct(backendsOf(port)) }));
  return {
    namespace: service.namespace,
    name: service.name,
    addresses: sortedDistinct(service.addresses.flatMap((text) => canonicalAddress(text) ?? [])),
    ports: withinLimits(service, ports, notices),
  };
}

function withinLimits({ namespace, name }: ServiceObject, ports: readonly ServicePort[], notices: string[]): ServicePort[] {
  const { portsPerService, backendsPerPort } = SNAPSHOT_LIMITS;
  const notice = (what: string): void => void notices.push(`Service ${namespace}/${name} has ${what}: what is over leads nowhere`);
  const sorted = sortedDistinct(ports);
  if (sorted.length > portsPerService) notice(`${sorted.length} ports; the limit is ${portsPerService}`);
  return sorted.slice(0, portsPerService).map((port) => {
    if (port.backends.length <= backendsPerPort) return port;
    notice(`${port.backends.length} backends at port ${port.port}; the limit is ${backendsPerPort}`);
    return { ...port, backends: [] };
  });
}

function sliceBackends(port: ServicePortObject, slices: readonly EndpointSliceObject[]): Backend[] {
  const backends: Backend[] = [];
  for (const slice of slices) {
    for (const entry of slice.ports) {
      if (entry.name !== port.name || entry.protocol !== port.protocol) continue;
      const target = entry.port ?? (typeof port.targetPort === 'number' ? port.targetPort : port.port);
      for (const text of slice.addresses) {
        const address = canonicalAddress(text);
        if (address !== null) backends.push({ address, port: target });
      }
    }
  }
  return backends;
}

function podBackends(service: ServiceObject, port: ServicePortObject, pods: readonly PodObject[]): Backend[] {
  if (service.selector === null || Object.keys(service.selector).length === 0) return [];
  const wanted = Object.entries(service.selector);
  const backends: Backend[] = [];
  for (const pod of pods) {
    if (!wanted.every(([key, value]) => pod.labels[key] === value)) continue;
    const target = targetPortOf(port, pod);
    if (target === null) continue;
    for (const address of pod.addresses) backends.push({ address, port: target });
  }
  return backends;
}

/** null when the pod has no container port of that name: Kubernetes leaves such a pod out, too. */
function targetPortOf(port: ServicePortObject, pod: PodObject): number | null {
  if (port.targetPort === null) return port.port;
  if (typeof port.targetPort === 'number') return port.targetPort;
  const named = pod.ports.find(({ name, protocol }) => name === port.targetPort && protocol === port.protocol);
  return named?.port ?? null;
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string | null): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    if (key === null) continue;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}
