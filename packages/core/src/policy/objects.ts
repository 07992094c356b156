/**
 * What a policy source hands to `compileSnapshot`: Kubernetes and Cilium objects, cut down to the fields that decide
 * about DNS and egress, already checked. Plain data; the order of lists of objects carries no meaning. Knows nothing of
 * YAML, files or API servers: `manifests` and the agent's Kubernetes source both produce this shape.
 */
import type { FqdnSelector, PortRange, Protocol } from './snapshot.js';

export interface PolicyObjects {
  readonly namespaces: readonly NamespaceObject[];
  readonly pods: readonly PodObject[];
  readonly services: readonly ServiceObject[];
  readonly endpointSlices: readonly EndpointSliceObject[];
  readonly policies: readonly PolicyObject[];
}

export const NO_OBJECTS: PolicyObjects = {
  namespaces: [],
  pods: [],
  services: [],
  endpointSlices: [],
  policies: [],
};

/** Kubernetes labels: key without a source prefix → value. */
export type Labels = Readonly<Record<string, string>>;

export interface NamespaceObject {
  readonly name: string;
  readonly labels: Labels;
}

export interface PodObject {
  readonly namespace: string;
  readonly name: string;
  /** null where the source has none: `namespace/name` stands in for it. */
  readonly uid: string | null;
  readonly labels: Labels;
  /** null means that the pod is taken for local. */
  readonly nodeName: string | null;
  readonly hostNetwork: boolean;
  readonly serviceAccount: string | null;
  /** `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`; null where the source has none. */
  readonly phase: string | null;
  /** Canonical text (see base/socket-address.ts), at most one per family as Kubernetes has it. */
  readonly addresses: readonly string[];
  /** Named container ports, which a Service's targetPort may refer to. */
  readonly ports: readonly NamedPort[];
}

export interface NamedPort {
  readonly name: string;
  readonly port: number;
  readonly protocol: Protocol;
}

export interface ServiceObject {
  readonly namespace: string;
  readonly name: string;
  /** Cluster, external and load balancer addresses, canonical text; none for headless and ExternalName services. */
  readonly addresses: readonly string[];
  /** TCP and UDP ports only. */
  readonly ports: readonly ServicePortObject[];
  /** null means that its backends are written by hand, as EndpointSlices. */
  readonly selector: Labels | null;
}

export interface ServicePortObject {
  /** '' where unnamed. */
  readonly name: string;
  readonly port: number;
  readonly protocol: Protocol;
  /** Number, name of a container port, or null: the same as `port`. */
  readonly targetPort: number | string | null;
}

export interface EndpointSliceObject {
  readonly namespace: string;
  readonly name: string;
  /** Label `kubernetes.io/service-name`; null for a slice that belongs to no Service. */
  readonly serviceName: string | null;
  /** Canonical text, ready or not: a verdict must not flap with readiness. */
  readonly addresses: readonly string[];
  readonly ports: readonly SlicePortObject[];
}

export interface SlicePortObject {
  /** '' where unnamed; pairs with the Service port of the same name. */
  readonly name: string;
  /** null means every port. */
  readonly port: number | null;
  readonly protocol: Protocol;
}

export type PolicyKind = 'CiliumNetworkPolicy' | 'CiliumClusterwideNetworkPolicy';

export interface PolicyObject {
  readonly kind: PolicyKind;
  /** '' for a clusterwide policy. */
  readonly namespace: string;
  readonly name: string;
  readonly specs: readonly PolicySpec[];
}

export interface PolicySpec {
  /** Field path of this spec within its object: `spec` or `specs[2]`. */
  readonly path: string;
  /** null for a host policy (nodeSelector): it selects no pod. */
  readonly endpointSelector: LabelSelector | null;
  /** null when the spec has no egress section: it says nothing about egress. An empty list allows nothing. */
  readonly egress: readonly EgressSpec[] | null;
  /** `enableDefaultDeny.egress`; null means: deny if there is an egress section. */
  readonly defaultDenyEgress: boolean | null;
}

export interface EgressSpec {
  /** Absent (null) and empty differ: null restricts nothing, [] selects nothing. */
  readonly toEndpoints: readonly LabelSelector[] | null;
  readonly toFqdns: readonly FqdnSelector[] | null;
  readonly toPorts: readonly PortSpec[] | null;
}

export interface PortSpec {
  /** At least one. */
  readonly ports: readonly PortRange[];
  /** null without `rules.dns`. An empty list, or only empty entries, means every name (as in Cilium). */
  readonly dns: readonly FqdnSelector[] | null;
}

/** As written: keys may carry a source prefix (`k8s:`, `any:`, `reserved:`). Selects everything when both are empty. */
export interface LabelSelector {
  readonly matchLabels: Labels;
  readonly matchExpressions: readonly LabelExpression[];
}

export const LABEL_OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist'] as const;
export type LabelOperator = (typeof LABEL_OPERATORS)[number];

export interface LabelExpression {
  readonly key: string;
  readonly operator: LabelOperator;
  readonly values: readonly string[];
}
