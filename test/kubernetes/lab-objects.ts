/**
 * The lab's pods, Services and namespaces in a cluster's API, as its kubelets and controllers would have them there: pods with their addresses, and
 * endpoint slices of the version that the server has. Brings the API from what it was told last to what the lab is now; knows no policies.
 */
import { manifestsOf } from '../lab/topology/manifests.js';
import type { Lab } from '../lab/topology/lab.js';
import type { Api, ApiObject } from './cluster/api.js';

type LabObject = ApiObject & { readonly kind: string; readonly spec?: object; readonly status?: object };

const SLICES = '/apis/discovery.k8s.io/v1beta1';
const PLURAL: Readonly<Record<string, string>> = { Namespace: 'namespaces', Pod: 'pods', Service: 'services', EndpointSlice: 'endpointslices' };

function pathOf({ kind, metadata }: LabObject): string {
  const group = kind === 'EndpointSlice' ? SLICES : '/api/v1';
  return kind === 'Namespace' ? `${group}/namespaces` : `${group}/namespaces/${metadata.namespace ?? 'default'}/${PLURAL[kind]}`;
}

/** As this server takes it: a pod has containers, a UID is the server's to give, IPv6 of a Service is left to its slices. */
function taken(object: LabObject): object {
  const { namespace, name, labels } = object.metadata;
  const metadata = { name, ...(namespace === undefined ? {} : { namespace }), ...(labels === undefined ? {} : { labels }) };
  switch (object.kind) {
    case 'Pod': return { metadata, spec: { ...object.spec, containers: [{ name: 'pod', image: 'pod:lab' }], terminationGracePeriodSeconds: 0 } };
    case 'Service': {
      const { clusterIP, selector, ports } = object.spec as Record<string, unknown>;
      return { metadata, spec: { clusterIP, selector, ports } };
    }
    case 'EndpointSlice': {
      const { endpoints, addressType, ports } = object as unknown as { endpoints: readonly { nodeName: string }[]; addressType: string; ports: object };
      return { metadata, addressType, ports, endpoints: endpoints.map(({ nodeName, ...rest }) => ({ ...rest, topology: { 'kubernetes.io/hostname': nodeName } })) };
    }
    default: return { metadata };
  }
}

export class LabObjects {
  private readonly api: Api;
  private readonly lab: Lab;
  /** Path with name → the object as it was told. */
  private told = new Map<string, string>();

  constructor(api: Api, lab: Lab) {
    this.api = api;
    this.lab = lab;
  }

  /** Tells what has changed since the last time; pods first, gone ones before new ones. */
  async tell(): Promise<void> {
    const plans = [...this.lab.pods.values()].map(({ plan }) => plan).sort((a, b) => a.host - b.host || a.name.localeCompare(b.name));
    const objects = Object.values(manifestsOf(plans)).flatMap((list) => (list as { readonly items: readonly LabObject[] }).items);
    const wanted = new Map(objects.map((object) => [`${pathOf(object)}/${object.metadata.name}`, object]));
    for (const path of [...this.told.keys()]) {
      if (wanted.has(path)) continue;
      await this.api.remove(path);
      this.told.delete(path);
    }
    for (const [path, object] of wanted) {
      const text = JSON.stringify(object);
      if (this.told.get(path) === text) continue;
      await this.put(path, object);
      this.told.set(path, text);
    }
  }

  private async put(path: string, object: LabObject): Promise<void> {
    const there = await this.api.find(path);
    if (there === null) await this.api.call('POST', pathOf(object), taken(object));
    else if (object.kind !== 'Namespace' && object.kind !== 'Pod') await this.api.call('PATCH', path, taken(object));
    if (object.kind === 'Pod') await this.api.call('PATCH', `${path}/status`, { status: { ...object.status, conditions: [{ type: 'Ready', status: 'True' }] } });
  }
}
