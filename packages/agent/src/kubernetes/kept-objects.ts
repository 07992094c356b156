/**
 * What is kept of each kind of object: what policy needs, in the form that the compiler takes, and what was odd about it.
 *
 * Invariant: nothing here throws, whatever shape an object has. An odd field of a pod, Service, namespace or slice is missing, with a
 * warning; a policy with an error is the one that it was before, as long as this process knows it.
 */
import { isDeepStrictEqual } from 'node:util';
import { canonicalAddress, type EndpointSliceObject, type NamespaceObject, type PodObject, type PolicyObject, type ServiceObject } from '@tandem/core';
import { type ObjectKind, type Problem, readObject } from '@tandem/manifests';
import type { RawObject, Watched } from './reflector.js';
import { type PolicyStatus, statusOf } from './policy-status.js';

export interface Kept<O> {
  /** None, one, or (Endpoints) several. */
  readonly objects: readonly O[];
  readonly problems: readonly Problem[];
}

export interface KeptPolicy extends Kept<PolicyObject> {
  readonly uid: string | null;
  readonly status: PolicyStatus;
}

type PolicyKindOf = 'CiliumNetworkPolicy' | 'CiliumClusterwideNetworkPolicy' | 'NetworkPolicy';

const NO_PROBLEMS: readonly Problem[] = [];
/** A pod of this is taken for one of no node, and not, as in manifests, for a local one. */
const NO_NODE = '';
const NODE_ADDRESS_TYPES = ['InternalIP', 'ExternalIP'];

const CILIUM = '/apis/cilium.io/v2';

export function podsOf(path: string, query: Readonly<Record<string, string>>, resource = 'pods'): Watched<Kept<PodObject>> {
  return { resource, paths: [path], query, mayBeAbsent: false, read: (raw) => keptPod(raw) };
}

export const NAMESPACES: Watched<Kept<NamespaceObject>> = {
  resource: 'namespaces', paths: ['/api/v1/namespaces'], query: {}, mayBeAbsent: false, read: (raw) => kept('Namespace', withoutAnnotations(raw), 'namespaces'),
};

export const SERVICES: Watched<Kept<ServiceObject>> = {
  resource: 'services', paths: ['/api/v1/services'], query: {}, mayBeAbsent: false, read: (raw) => kept('Service', withoutAnnotations(raw), 'services'),
};

const SLICES_V1 = '/apis/discovery.k8s.io/v1/endpointslices';
const SLICES_V1BETA1 = '/apis/discovery.k8s.io/v1beta1/endpointslices';

/** Servers before 1.21 have v1beta1, before 1.17 Endpoints alone. */
export const ENDPOINT_SLICES: Watched<Kept<EndpointSliceObject>> = {
  resource: 'endpointslices', paths: [SLICES_V1, SLICES_V1BETA1, '/api/v1/endpoints'], query: {}, mayBeAbsent: false,
  read: (raw) => (Array.isArray(raw.endpoints) || raw.subsets === undefined ? keptSlice(raw) : keptEndpoints(raw)),
};

export const NODES: Watched<Kept<PodObject>> = { resource: 'nodes', paths: ['/api/v1/nodes'], query: {}, mayBeAbsent: false, read: keptNode };

export const POLICIES: readonly Watched<KeptPolicy>[] = [
  {
    resource: 'ciliumnetworkpolicies', paths: [`${CILIUM}/ciliumnetworkpolicies`], query: {}, mayBeAbsent: true,
    read: (raw, before) => keptPolicy('CiliumNetworkPolicy', raw, before),
  },
  {
    resource: 'ciliumclusterwidenetworkpolicies', paths: [`${CILIUM}/ciliumclusterwidenetworkpolicies`], query: {}, mayBeAbsent: true,
    read: (raw, before) => keptPolicy('CiliumClusterwideNetworkPolicy', raw, before),
  },
  {
    resource: 'networkpolicies', paths: ['/apis/networking.k8s.io/v1/networkpolicies'], query: {}, mayBeAbsent: false,
    read: (raw, before) => keptPolicy('NetworkPolicy', raw, before),
  },
];

function kept<L extends 'pods' | 'namespaces' | 'services' | 'endpointSlices'>(
  kind: ObjectKind, raw: unknown, list: L,
): Kept<ReturnType<typeof readObject>['objects'][L][number]> {
  const { objects, problems } = readObject(kind, raw);
  return {
    objects: objects[list].filter(({ name }) => name !== ''),
    problems: problems.length === 0 ? NO_PROBLEMS : problems.map((problem) => ({ ...problem, severity: 'warning' as const })),
  };
}

function keptPod(raw: RawObject): Kept<PodObject> {
  const { spec, status } = raw;
  const containers = field(spec, 'containers');
  const fields = only(spec, ['nodeName', 'hostNetwork', 'serviceAccountName', 'serviceAccount']);
  const { objects, problems } = kept('Pod', {
    metadata: withoutAnnotations(raw).metadata,
    spec: typeof fields !== 'object' ? fields : { ...fields, containers: Array.isArray(containers) ? containers.map((one: unknown) => only(one, ['ports'])) : containers },
    status: only(status, ['phase', 'podIP', 'podIPs']),
  }, 'pods');
  return { objects: objects.map((pod) => (pod.nodeName === null ? { ...pod, nodeName: NO_NODE } : pod)), problems };
}

function keptSlice(raw: RawObject): Kept<EndpointSliceObject> {
  const { metadata } = withoutAnnotations(raw);
  const { endpoints } = raw;
  const bare = Array.isArray(endpoints) ? endpoints.map((one: unknown) => only(one, ['addresses'])) : endpoints;
  return kept('EndpointSlice', { metadata, addressType: raw.addressType, endpoints: bare ?? undefined, ports: raw.ports ?? undefined }, 'endpointSlices');
}

/** Each subset is a slice of the Service with the same name. */
function keptEndpoints(raw: RawObject): Kept<EndpointSliceObject> {
  const { metadata } = raw;
  const labels = { 'kubernetes.io/service-name': metadata.name };
  const subsets = Array.isArray(raw.subsets) ? (raw.subsets as unknown[]) : [];
  const slices = subsets.map((subset, i) => {
    const addresses = ['addresses', 'notReadyAddresses'].flatMap((key) => {
      const list = field(subset, key);
      return Array.isArray(list) ? list.map((one: unknown) => field(one, 'ip')) : [];
    });
    return kept('EndpointSlice', {
      metadata: { name: i === 0 ? metadata.name : `${metadata.name}-${i}`, namespace: metadata.namespace, labels }, endpoints: [{ addresses }], ports: field(subset, 'ports') ?? undefined,
    }, 'endpointSlices');
  });
  const problems = slices.flatMap((one) => one.problems);
  return { objects: slices.flatMap(({ objects }) => objects), problems: problems.length === 0 ? NO_PROBLEMS : problems };
}

/** A node's addresses are those of its pods on the host's network: it is kept as one of them. */
function keptNode({ metadata: { name }, status }: RawObject): Kept<PodObject> {
  const addresses = field(status, 'addresses');
  const found = (Array.isArray(addresses) ? (addresses as unknown[]) : []).flatMap((one) => {
    const [type, address] = [field(one, 'type'), field(one, 'address')];
    return NODE_ADDRESS_TYPES.includes(String(type)) && typeof address === 'string' ? (canonicalAddress(address) ?? []) : [];
  });
  return {
    objects: [{
      namespace: '', name: `node ${name}`, uid: null, labels: {}, nodeName: name, hostNetwork: true, serviceAccount: null, phase: 'Running',
      addresses: [...new Set(found)], ports: [],
    }],
    problems: NO_PROBLEMS,
  };
}

function keptPolicy(kind: PolicyKindOf, raw: RawObject, before: KeptPolicy | null): KeptPolicy {
  const { objects, problems, hasErrors } = readObject(kind, raw);
  const { uid } = raw.metadata;
  const isSameOne = before?.uid === (typeof uid === 'string' ? uid : null);
  const now = hasErrors ? (isSameOne && before !== null ? before.objects : []) : objects.policies;
  return {
    objects: before !== null && isDeepStrictEqual(now, before.objects) ? before.objects : now,
    problems: problems.length === 0 ? NO_PROBLEMS : problems,
    uid: typeof uid === 'string' ? uid : null,
    status: statusOf(raw, { problems, hasErrors }),
  };
}

function withoutAnnotations(raw: RawObject): RawObject {
  return { ...raw, metadata: { ...raw.metadata, annotations: undefined } };
}

/** null where `from` is no mapping; what is no mapping is given on, to be complained about. */
function only(from: unknown, keys: readonly string[]): unknown {
  if (typeof from !== 'object' || from === null || Array.isArray(from)) return from ?? undefined;
  return Object.fromEntries(Object.entries(from).filter(([key, value]) => keys.includes(key) && value !== null));
}

function field(from: unknown, key: string): unknown {
  return typeof from === 'object' && from !== null ? (from as Readonly<Record<string, unknown>>)[key] : undefined;
}
