/**
 * What a policy source hands to `compileSnapshot`: Kubernetes and Cilium objects, cut down to the fields that decide
 * who may connect to whom and ask for what, already checked. Plain data; the order of lists of objects carries no meaning. Knows nothing of
 * YAML, files or API servers: `manifests` and the agent's Kubernetes source both produce this shape.
 */
import type { FqdnSelector, L4Protocol, PolicyKind, PortRange, Protocol } from './snapshot.js';

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
  /** Of another node, and nothing but its addresses is known: no rule with labels selects it, no prefix and no name stands for it. */
  readonly isOpaque?: true;
}

export interface NamedPort {
  readonly name: string;
  readonly port: number;
  readonly protocol: L4Protocol;
}

export interface ServiceObject {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
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

/** A NetworkPolicy of networking.k8s.io/v1 is said in the same terms: its selectors' keys carry the `k8s:` prefix. */
export interface PolicyObject {
  readonly kind: PolicyKind;
  /** '' for a clusterwide policy. */
  readonly namespace: string;
  readonly name: string;
  readonly specs: readonly PolicySpec[];
  /** From its annotations; they hold for every spec. */
  readonly extensions: PolicyExtensions;
}

/** What Tandem adds to the language, under `tandem.dev/` in a policy's annotations (docs/reference/policy.md). null: not said. */
export interface PolicyExtensions {
  /** `query-types`: DNS types that its `rules.dns` let through; for another type they allow no name. */
  readonly queryTypes: readonly number[] | null;
  /** `deny-fqdns`: names that the selected pods may neither ask for nor connect to, whatever else allows it. */
  readonly denyFqdns: readonly FqdnSelector[] | null;
  /** `grant-scope`: whom an address opens for that a selected pod learned. */
  readonly grantScope: GrantScope | null;
  /** `query-rate`: queries per second of one pod, 1 to 1,000,000. */
  readonly queryRate: number | null;
  /** `label-entropy`: bits of Shannon entropy that one label of a name may have, 1 to 400. */
  readonly labelEntropyBits: number | null;
  /** `limit-action`: what happens at `query-rate` and `label-entropy`. */
  readonly limitAction: LimitAction | null;
  /** `private-addresses`: names that may have private addresses; every other name's are refused. */
  readonly privateNames: readonly FqdnSelector[] | null;
}

export const GRANT_SCOPES = ['node', 'endpoint'] as const;
export type GrantScope = (typeof GRANT_SCOPES)[number];
export const LIMIT_ACTIONS = ['audit', 'refuse'] as const;
export type LimitAction = (typeof LIMIT_ACTIONS)[number];

export const NO_EXTENSIONS: PolicyExtensions = {
  queryTypes: null, denyFqdns: null, grantScope: null, queryRate: null, labelEntropyBits: null, limitAction: null, privateNames: null,
};

export interface PolicySpec {
  /** Field path of this spec within its object: `spec` or `specs[2]`. */
  readonly path: string;
  /** null for a host policy (nodeSelector): it selects no pod. */
  readonly endpointSelector: LabelSelector | null;
  readonly egress: DirectionSpec;
  readonly ingress: DirectionSpec;
}

/** What a spec says about one direction. */
export interface DirectionSpec {
  /** null when the spec has no such section: it allows nothing, and by itself closes nothing. An empty list allows nothing. */
  readonly allow: readonly RuleSpec[] | null;
  /** `egressDeny`, `ingressDeny`; null as above. Beats every `allow` of every policy. */
  readonly deny: readonly RuleSpec[] | null;
  /** `enableDefaultDeny`; null means: all else is denied if there is one of the sections. */
  readonly defaultDeny: boolean | null;
}

export const NOTHING_SAID: DirectionSpec = { allow: null, deny: null, defaultDeny: null };

/**
 * One entry of a section. Its peers are the union of its L3 lists (Cilium admits one list per entry, NetworkPolicy several). A list
 * that is absent (null) and one that is empty differ: null restricts nothing, [] selects nothing.
 */
export interface RuleSpec {
  /** toEndpoints, fromEndpoints. */
  readonly endpoints: readonly LabelSelector[] | null;
  /** toCIDR and toCIDRSet, fromCIDR and fromCIDRSet. */
  readonly cidrs: readonly CidrSpec[] | null;
  /** toEntities, fromEntities. */
  readonly entities: readonly Entity[] | null;
  /** toServices; egress only. */
  readonly services: readonly ServiceReference[] | null;
  /** toFQDNs; egress only, and only to allow. */
  readonly fqdns: readonly FqdnSelector[] | null;
  /** null without toPorts and icmps: every port and protocol. */
  readonly ports: readonly PortSpec[] | null;
}

export const ANY_PEER: RuleSpec = { endpoints: null, cidrs: null, entities: null, services: null, fqdns: null, ports: null };

export interface CidrSpec {
  /** Canonical: network address (RFC 5952 for v6), `/`, prefix length; host bits are zero. */
  readonly cidr: string;
  /** In the same form, each inside `cidr`. */
  readonly except: readonly string[];
}

/** Cilium's entities (pkg/policy/api/entity.go). */
export const ENTITIES = [
  'all', 'world', 'world-ipv4', 'world-ipv6', 'cluster', 'host', 'remote-node', 'kube-apiserver', 'init', 'ingress', 'unmanaged', 'health', 'none',
] as const;
export type Entity = (typeof ENTITIES)[number];

/** One entry of toServices: a Service by name, or those with certain labels. */
export interface ServiceReference {
  /** null: of every namespace. */
  readonly namespace: string | null;
  /** null: by `selector`. */
  readonly name: string | null;
  /** Keys as in Kubernetes, without a source prefix; null: by `name`. */
  readonly selector: LabelSelector | null;
}

export interface PortSpec {
  /** Its field within the entry: `toPorts[0]`, `icmps[1]`, `ports` of a NetworkPolicy. */
  readonly path: string;
  /** At least one. `icmps` stand here, too: as ranges of types with the protocol icmp or icmpv6. */
  readonly ports: readonly (PortRange | NamedPortRef)[];
  /** null without `rules.dns`. An empty list, or only empty entries, means every name (as in Cilium). */
  readonly dns: readonly FqdnSelector[] | null;
}

/** A port by the name that containers give it: the peers' in egress, the selected pod's own in ingress. */
export interface NamedPortRef {
  readonly portName: string;
  /** null is ANY. */
  readonly protocol: L4Protocol | null;
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
