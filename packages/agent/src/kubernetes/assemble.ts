/** What the watches hold → what the compiler takes: sorted, each object once, lists that did not change the very same as before. */
import type { EndpointSliceObject, NamespaceObject, PodObject, PolicyObject, PolicyObjects, ServiceObject } from '@tandem/core';
import type { Kept } from './kept-objects.js';
import type { Needs } from './needs.js';

export interface Held {
  readonly ownPods: readonly Kept<PodObject>[];
  readonly otherPods: readonly Kept<PodObject>[];
  readonly namespaces: readonly Kept<NamespaceObject>[];
  readonly services: readonly Kept<ServiceObject>[];
  readonly endpointSlices: readonly Kept<EndpointSliceObject>[];
  readonly policies: readonly Kept<PolicyObject>[];
}

/** Of a backend that nobody knows more of. */
const UNKNOWN_NODE = '';
const ENDED = ['Succeeded', 'Failed'];

export class Assembler {
  private before: PolicyObjects | null = null;
  /** By address: the same object as long as it is needed. */
  private opaque = new Map<string, PodObject>();

  /** The same object as before where nothing changed. */
  assemble(held: Held, { serviceBackends }: Pick<Needs, 'serviceBackends'>): PolicyObjects {
    const pods = new Map<string, PodObject>();
    // Two watches may have a pod; this node's own knows it best.
    for (const kept of [held.ownPods, held.otherPods]) {
      for (const { objects } of kept) for (const pod of objects) if (!pods.has(`${pod.namespace}/${pod.name}`)) pods.set(`${pod.namespace}/${pod.name}`, pod);
    }
    const services = objectsOf(held.services);
    const endpointSlices = objectsOf(held.endpointSlices);
    const known = [...pods.values()];
    const objects: PolicyObjects = {
      namespaces: this.same('namespaces', objectsOf(held.namespaces).sort((a, b) => byText(a.name, b.name))),
      pods: this.same('pods', [...known, ...(serviceBackends ? this.backends(known, services, endpointSlices) : [])].sort(byName)),
      services: this.same('services', services.sort(byName)),
      endpointSlices: this.same('endpointSlices', endpointSlices.sort(byName)),
      policies: this.same('policies', objectsOf(held.policies).sort((a, b) => byText(a.kind, b.kind) || byName(a, b))),
    };
    const before = this.before;
    if (before !== null && LISTS.every((list) => before[list] === objects[list])) return before;
    this.before = objects;
    return objects;
  }

  /** Addresses behind Services with a selector are pods'; those that no watch knows must at least not be taken for the world's. */
  private backends(pods: readonly PodObject[], services: readonly ServiceObject[], slices: readonly EndpointSliceObject[]): PodObject[] {
    // The address of a pod that has ended may be another's by now.
    const known = new Set(pods.filter(({ phase }) => phase === null || !ENDED.includes(phase)).flatMap(({ addresses }) => addresses));
    const selecting = new Set(services.filter(({ selector }) => selector !== null && Object.keys(selector).length > 0).map(({ namespace, name }) => `${namespace}/${name}`));
    const opaque = new Map<string, PodObject>();
    for (const { namespace, serviceName, addresses } of slices) {
      if (serviceName === null || !selecting.has(`${namespace}/${serviceName}`)) continue;
      for (const address of addresses) {
        if (!known.has(address) && !opaque.has(address)) opaque.set(address, this.opaque.get(address) ?? opaquePod(address));
      }
    }
    this.opaque = opaque;
    return [...opaque.values()];
  }

  private same<L extends keyof PolicyObjects>(list: L, now: PolicyObjects[L][number][]): PolicyObjects[L] {
    const before: PolicyObjects[L] | undefined = this.before?.[list];
    if (before?.length === now.length && now.every((one, i) => one === before[i])) return before;
    return now as unknown as PolicyObjects[L];
  }
}

const LISTS = ['namespaces', 'pods', 'services', 'endpointSlices', 'policies'] as const;

function opaquePod(address: string): PodObject {
  return {
    namespace: '', name: `backend ${address}`, uid: null, labels: {}, nodeName: UNKNOWN_NODE, hostNetwork: false, serviceAccount: null, phase: null,
    addresses: [address], ports: [], isOpaque: true,
  };
}

function objectsOf<O>(kept: readonly Kept<O>[]): O[] {
  const found: O[] = [];
  for (const { objects } of kept) found.push(...objects);
  return found;
}

function byName(a: { readonly namespace: string; readonly name: string }, b: { readonly namespace: string; readonly name: string }): number {
  return byText(a.namespace, b.namespace) || byText(a.name, b.name);
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
