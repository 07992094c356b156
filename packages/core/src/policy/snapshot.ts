/**
 * The policy snapshot: all that a member needs to judge queries, compiled by the agent from manifests or Kubernetes
 * objects. Plain data (JSON and structured clone keep it whole). A snapshot is immutable; a new one replaces the old
 * by a single swap. With no snapshot at all, a member refuses everything.
 */

/** IP protocol numbers that DNS rules speak of. */
export const PROTOCOL = { tcp: 6, udp: 17 } as const;
export type Protocol = (typeof PROTOCOL)[keyof typeof PROTOCOL];

/** Numeric identities below this are reserved, with Cilium's numbers (pkg/identity/numericidentity.go). */
export const RESERVED_IDENTITY = { unknown: 0, host: 1, world: 2, remoteNode: 6 } as const;
export const FIRST_POD_IDENTITY = 256;

export interface Snapshot {
  /** Grows by one with every change that the agent publishes. */
  readonly revision: number;
  /** Content hash: lower-case hex of the canonical form without revision and hash; see `snapshotHash`. */
  readonly hash: string;
  /** Node whose pods are the local endpoints. */
  readonly nodeName: string;
  readonly endpoints: readonly EndpointRecord[];
  readonly identities: readonly IdentityRecord[];
  readonly services: readonly ServiceRecord[];
  readonly ruleSets: readonly RuleSet[];
  /** Every distinct toFQDNs selector of local endpoints, sorted. */
  readonly fqdnSelectors: readonly FqdnSelector[];
  /** Every policy, whomever it selects, by kind, namespace and name: for lists and traces; verdicts come from the rule sets. */
  readonly policies: readonly PolicyRecord[];
}

export interface PolicyRecord {
  readonly kind: RuleOrigin['kind'];
  /** '' for a clusterwide policy. */
  readonly namespace: string;
  readonly name: string;
  readonly specs: readonly PolicySpecRecord[];
}

export interface PolicySpecRecord {
  /** Field path within the object: `spec` or `specs[2]`. */
  readonly path: string;
  /** Flattened egress rules; 0 where the spec allows nothing. */
  readonly rules: number;
  /** Whether it closes the egress of the endpoints that it selects to all that no rule allows. */
  readonly defaultDeny: boolean;
  /** Ids of the local endpoints that it selects, rising. */
  readonly endpoints: readonly number[];
}

/** A local pod. */
export interface EndpointRecord {
  /** Allotted by the agent, 1 to 65535, kept over restarts. */
  readonly id: number;
  /** Pod UID, or `namespace/name` where the manifest has none. */
  readonly uid: string;
  readonly namespace: string;
  readonly pod: string;
  /** Allotted by the agent per distinct label set. */
  readonly identity: number;
  /** Presentation form, canonical (RFC 5952 for v6). */
  readonly addresses: readonly string[];
  /** Index into `ruleSets`; null when no egress policy selects the pod: it may ask anything. */
  readonly ruleSet: number | null;
}

/**
 * All pods (any node) with one label set: what `toEndpoints` can select as a DNS server. Pods on the host network are the
 * reserved identities host (this node) and remoteNode, as in Cilium.
 */
export interface IdentityRecord {
  readonly identity: number;
  /** `source:key=value`, sorted, such as `k8s:app=net`. */
  readonly labels: readonly string[];
  readonly addresses: readonly string[];
}

/** A Service address stands for its backends: it may be asked only where every backend is selected. */
export interface ServiceRecord {
  readonly namespace: string;
  readonly name: string;
  readonly addresses: readonly string[];
  readonly ports: readonly ServicePort[];
}

export interface ServicePort {
  readonly port: number;
  readonly protocol: Protocol;
  /** Where the port leads: backend address and port. */
  readonly backends: readonly { readonly address: string; readonly port: number }[];
}

/** The egress rules of all policies that select a pod. Pods with equal rules share one. */
export interface RuleSet {
  /** Hash of the content: equal keys mean equal rules, so compiled forms can be kept over an edit. */
  readonly key: string;
  readonly rules: readonly EgressRule[];
}

/** One egress rule, flattened: selected servers × ports × names. Rules only allow; what none allows is denied. */
export interface EgressRule {
  /** Identities that the rule's selectors select; null means any server (no L3 part). */
  readonly identities: readonly number[] | null;
  /** toFQDNs selectors of the rule: whom connections may reach. Such a rule selects no DNS server by itself. */
  readonly fqdns: readonly FqdnSelector[];
  /** Empty means every port. */
  readonly ports: readonly PortRange[];
  /** Names that may be asked; null means that the rule has no `rules.dns`: any name. */
  readonly dnsPatterns: readonly DnsPattern[] | null;
  readonly origin: RuleOrigin;
}

export interface PortRange {
  readonly first: number;
  readonly last: number;
  /** null is ANY: TCP and UDP. */
  readonly protocol: Protocol | null;
}

/** One of the two is set. Text as admitted: lower case, blanks trimmed, trailing dot as Cilium adds it. */
export interface FqdnSelector {
  readonly matchName: string | null;
  readonly matchPattern: string | null;
}

/** A DNS rule may carry both: then both apply, as in Cilium. */
export type DnsPattern = FqdnSelector;

/** Where a rule was written, for `policy trace`, flows and logs. */
export interface RuleOrigin {
  readonly kind: 'CiliumNetworkPolicy' | 'CiliumClusterwideNetworkPolicy';
  readonly namespace: string;
  readonly name: string;
  /** Field path within the object, such as `spec.egress[0].toPorts[1]`. */
  readonly path: string;
}
