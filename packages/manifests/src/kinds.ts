/** The kinds of objects that are read, and how. Their readers know nothing of files or API servers. */
import { POLICY_KINDS, type PolicyObjects } from '@tandem/core';
import { warnOfIdleExtensions, warnOfLabels } from './extensions.js';
import type { MapField } from './field.js';
import { endpointSlice, namespace, pod, service } from './kubernetes-objects.js';
import type { Metadata } from './metadata.js';
import { networkPolicy } from './network-policy.js';
import { policy } from './policy-object.js';

export type Mutable = { -readonly [K in keyof PolicyObjects]: PolicyObjects[K][number][] };

export const OBJECT_KINDS = [
  'Pod', 'Namespace', 'Service', 'EndpointSlice', 'CiliumNetworkPolicy', 'CiliumClusterwideNetworkPolicy', 'NetworkPolicy',
] as const;
export type ObjectKind = (typeof OBJECT_KINDS)[number];

interface Kind {
  readonly apiVersion: string;
  /** Whether `metadata.namespace` applies. */
  readonly namespaced: boolean;
  readonly read: (object: MapField, metadata: Metadata, into: Mutable) => void;
}

export const KINDS: Readonly<Record<ObjectKind, Kind>> = {
  Pod: { apiVersion: 'v1', namespaced: true, read: (object, metadata, into) => into.pods.push(...pod(object, metadata)) },
  Namespace: {
    apiVersion: 'v1',
    namespaced: false,
    read: (_object, metadata, into) => into.namespaces.push(namespace(metadata)),
  },
  Service: {
    apiVersion: 'v1',
    namespaced: true,
    read: (object, metadata, into) => into.services.push(...service(object, metadata)),
  },
  EndpointSlice: {
    apiVersion: 'discovery.k8s.io/v1',
    namespaced: true,
    read: (object, metadata, into) => into.endpointSlices.push(...endpointSlice(object, metadata)),
  },
  CiliumNetworkPolicy: {
    apiVersion: 'cilium.io/v2',
    namespaced: true,
    read: (object, metadata, into) => into.policies.push(...policy(object, metadata, 'CiliumNetworkPolicy')),
  },
  CiliumClusterwideNetworkPolicy: {
    apiVersion: 'cilium.io/v2',
    namespaced: false,
    read: (object, metadata, into) => into.policies.push(...policy(object, metadata, 'CiliumClusterwideNetworkPolicy')),
  },
  NetworkPolicy: {
    apiVersion: 'networking.k8s.io/v1',
    namespaced: true,
    read: (object, metadata, into) => into.policies.push(...networkPolicy(object, metadata)),
  },
};

export function isObjectKind(kind: string): kind is ObjectKind {
  return (OBJECT_KINDS as readonly string[]).includes(kind);
}

export function isPolicyKind(kind: string): boolean {
  return POLICY_KINDS.some((one) => one === kind);
}

export function noObjects(): Mutable {
  return { namespaces: [], pods: [], services: [], endpointSlices: [], policies: [] };
}

/** An object whose metadata has been read. */
export function readKind(kind: ObjectKind, { object, metadata }: { readonly object: MapField; readonly metadata: Metadata }, into: Mutable): void {
  if (isPolicyKind(kind)) warnOfLabels(object, metadata.labels);
  else warnOfIdleExtensions(metadata.annotations);
  KINDS[kind].read(object, metadata, into);
}
