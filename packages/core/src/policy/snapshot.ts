/**
 * The policy snapshot: all that a member needs to judge queries, compiled by the agent from manifests or Kubernetes
 * objects. Plain data (JSON and structured clone keep it whole). A snapshot is immutable; a new one replaces the old
 * by a single swap. With no snapshot at all, a member refuses everything.
 *
 * A field that may be absent came later than the form itself, and is absent wherever it says nothing: then members of an
 * earlier version read the snapshot as before, and refuse one (keeping theirs) that says what they cannot enforce.
 */

/** IP protocol numbers that DNS comes by. */
export const PROTOCOL = { tcp: 6, udp: 17 } as const;
export type Protocol = (typeof PROTOCOL)[keyof typeof PROTOCOL];

/** IP protocol numbers that rules speak of. */
export const L4_PROTOCOL = { ...PROTOCOL, icmp: 1, icmpv6: 58, sctp: 132 } as const;
export type L4Protocol = (typeof L4_PROTOCOL)[keyof typeof L4_PROTOCOL];

/** Numeric identities below FIRST_POD_IDENTITY are reserved, with Cilium's numbers (pkg/identity/numericidentity.go). */
export const RESERVED_IDENTITY = { unknown: 0, host: 1, world: 2, unmanaged: 3, remoteNode: 6, kubeApiserver: 7 } as const;
export const FIRST_POD_IDENTITY = 256;
/** Identities of CIDRs begin here (Cilium's local scope): every address outside the cluster has that of its longest prefix. */
export const FIRST_CIDR_IDENTITY = 0x100_0000;

export interface Snapshot {
  /** Grows by one with every change that the agent publishes. */
  readonly revision: number;
  /** Content hash: lower-case hex of the canonical form without revision and hash; see `snapshotHash`. */
  readonly hash: string;
  /** Node whose pods are the local endpoints. */
  readonly nodeName: string;
  /** Boot id of the node's kernel, for which the interface indexes in `endpoints[].at` hold; absent where there are none. */
  readonly boot?: string;
  readonly endpoints: readonly EndpointRecord[];
  readonly identities: readonly IdentityRecord[];
  /** Addresses that pods of unlike labels claim, by address. */
  readonly contested?: readonly ContestedAddress[];
  /** Every prefix that a policy names, by identity. */
  readonly cidrs?: readonly CidrRecord[];
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
  /** The same two for ingress; absent where the spec says nothing about it. */
  readonly ingress?: { readonly rules: number; readonly defaultDeny: boolean };
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
  /** Where its addresses must come from, in the order of `addresses`; absent where none has been seen: nobody speaks for those. */
  readonly at?: readonly EndpointLocation[];
  /** Index into `ruleSets` for egress; null when no egress policy selects the pod: it may ask anything. */
  readonly ruleSet: number | null;
  /** The same for ingress; absent when everybody may connect to it. */
  readonly ingressRuleSet?: number;
}

/** Where an address of a local pod was first seen, and must come from (attestation.ts). */
export interface EndpointLocation {
  readonly address: string;
  /** Index of the veth's host end, or of the bridge port: 1 to 2^31 - 1. */
  readonly interface: number;
  /** Tells the link from a later one with the same index, in the same boot; absent where the watcher cannot. */
  readonly link?: string;
  /** Bridged: the pod's MAC, lower case with colons. Absent for a pod with a veth of its own. */
  readonly mac?: string;
  /** Bridged: index of the bridge. Beside `mac` always. */
  readonly bridge?: number;
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

/**
 * Addresses outside the cluster by their longest prefix, as in Cilium. A rule that selects a prefix names it and all longer ones
 * within, but for its exceptions: so `identities` of a rule alone say whom it selects.
 */
export interface CidrRecord {
  readonly identity: number;
  /** `10.0.0.0/8`: canonical, host bits zero. */
  readonly cidr: string;
  /** Beside `reserved:world`: `reserved:kube-apiserver=` where it is that one's address. */
  readonly labels?: readonly string[];
}

/** Nobody knows whose it is: it is allowed where each claimant is, and denied where one is. */
export interface ContestedAddress {
  readonly address: string;
  /** Rising; at least two. */
  readonly identities: readonly number[];
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

/** The rules of one direction, of all policies that select a pod. Pods with equal rules share one. */
export interface RuleSet {
  /** Hash of the content: equal keys mean equal rules, so compiled forms can be kept over an edit. */
  readonly key: string;
  readonly rules: readonly PolicyRule[];
  /** What no rule covers is allowed, too. A rule with `dnsPatterns` still limits what the servers that it covers may be asked. */
  readonly openByDefault?: true;
  /** Egress only. */
  readonly limits?: QueryLimits;
}

/**
 * Limits of one pod's questions, from the extensions (objects.ts) of all policies that select it: of rates and entropies the strictest
 * that refuses, else the strictest that audits; names that may have private addresses add up.
 */
export interface QueryLimits {
  readonly grantScope?: 'endpoint';
  readonly queryRate?: number;
  readonly labelEntropyBits?: number;
  /** `queryRate` is only counted. Absent: a query above it is refused. */
  readonly auditRate?: true;
  /** The same of `labelEntropyBits`. */
  readonly auditEntropy?: true;
  /** Names that may have private addresses; absent: every name may. An empty list: none may. */
  readonly privateNames?: readonly FqdnSelector[];
}

/**
 * One rule, flattened: selected peers × ports × names. What a rule with `deny` covers is denied, whatever others allow; all else
 * is allowed if any rule covers it.
 */
export interface PolicyRule {
  /** Identities that the rule's selectors select, rising; null means any peer. */
  readonly identities: readonly number[] | null;
  /** toFQDNs selectors of the rule: whom connections may reach. Such a rule selects no DNS server by itself. */
  readonly fqdns: readonly FqdnSelector[];
  /** Empty means every port and protocol. */
  readonly ports: readonly PortRange[];
  /** Names that may be asked; null means that the rule has no `rules.dns`: any name. */
  readonly dnsPatterns: readonly DnsPattern[] | null;
  /** DNS types that may be asked; absent: any. Only beside `dnsPatterns`. */
  readonly queryTypes?: readonly number[];
  /** With `dnsPatterns` it is these names that are denied, and no connection. */
  readonly deny?: true;
  readonly origin: RuleOrigin;
}

export interface PortRange {
  /** A port; with icmp and icmpv6 a type. */
  readonly first: number;
  readonly last: number;
  /** null is ANY: TCP, UDP and SCTP. */
  readonly protocol: L4Protocol | null;
}

/** One of the two is set. Text as admitted: lower case, blanks trimmed, trailing dot as Cilium adds it. */
export interface FqdnSelector {
  readonly matchName: string | null;
  readonly matchPattern: string | null;
}

/** A DNS rule may carry both: then both apply, as in Cilium. */
export type DnsPattern = FqdnSelector;

export const POLICY_KINDS = ['CiliumNetworkPolicy', 'CiliumClusterwideNetworkPolicy', 'NetworkPolicy'] as const;
export type PolicyKind = (typeof POLICY_KINDS)[number];

/** Where a rule was written, for `policy trace`, flows and logs. */
export interface RuleOrigin {
  readonly kind: PolicyKind;
  readonly namespace: string;
  readonly name: string;
  /** Field path within the object, such as `spec.egress[0].toPorts[1]`. */
  readonly path: string;
}
