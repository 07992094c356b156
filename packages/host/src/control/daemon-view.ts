/**
 * What a daemon shows of itself: the seam between the HTTP API and the daemon's wire-up, and the JSON forms that the
 * CLI prints with `-o json`. The forms are stable: fields are added, never renamed or removed within a major version.
 * Times are RFC 3339 texts in UTC. A trace's form is in `trace-view.ts`. Knows nothing of HTTP.
 */
import type { ConnectionRequest, ConnectionTrace, Role, TraceRequest, TraceResult } from '@tandem/core';
import type { SettingValue } from './settings-view.js';

/** Implemented by each daemon's wire-up. Calls run on the main thread, return at once and never wait for the peer. */
export interface DaemonView {
  readonly role: Role;
  ready(): Readiness;
  status(): StatusView;
  /** Rows that pass all given filters, sorted by endpoint, name and address. */
  cacheList(filter: CacheFilter): readonly CacheRow[];
  /** Forgets mappings, here and (by tombstone) at the peer; null: all. @throws AppError USAGE for a bad pattern. */
  cacheClean(matchPattern: string | null): CacheCleaned;
  /** The look-ups that hold, as a file has them. @throws AppError LIMIT for more than an import takes. */
  cacheExport(): readonly CacheEntry[];
  /** Brings entries in, all or none. @throws AppError CONFIGURATION for a bad entry, LIMIT for too many. */
  cacheImport(entries: unknown): Promise<CacheImported>;
  /** What it runs with, by the names of settings. */
  settings(): Readonly<Record<string, SettingValue>>;
  endpoints(): readonly EndpointView[];
  /** All of the snapshot, by kind, namespace and name. */
  policies(): readonly PolicyView[];
  /** @throws AppError NOT_FOUND for an unknown pod, UNAVAILABLE without a snapshot. */
  trace(request: TraceRequest): TraceResult;
  /** May one peer connect to another? Throws as `trace`. */
  traceConnection(request: ConnectionRequest): ConnectionTrace;
  /** Prometheus text format. */
  metricsText(): Promise<string>;
}

export interface Readiness {
  readonly ready: boolean;
  /** What is missing, or 'ok'. */
  readonly reason: string;
}

export interface StatusView {
  readonly role: Role;
  readonly version: string;
  readonly pid: number;
  /** Differs between two starts of the same member. */
  readonly incarnation: string;
  readonly nodeName: string;
  readonly startedAt: string;
  readonly uptimeSeconds: number;
  /** `ADDR:PORT` texts. */
  readonly listen: readonly string[];
  readonly upstreams: readonly string[];
  readonly httpListen: string;
  readonly readiness: Readiness;
  readonly policy: PolicyStatus;
  readonly peer: PeerStatus;
  readonly counters: QueryCounters;
  readonly cache: CacheStatus;
  readonly dataPlane: DataPlaneStatus;
  readonly latency: LatencyStatus;
  readonly state: StateStatus;
  readonly datapath: DatapathStatus;
}

/** The thread that answers; before it runs nothing is redundant, adopted or under way, and there was no heartbeat. */
export interface DataPlaneStatus {
  /** Each member could answer for the other. */
  readonly redundant: boolean;
  /** Members that are being answered for. */
  readonly adopted: number;
  /** The peer holds this member's sockets and queries, ready to take over. */
  readonly held: boolean;
  /** `asking`: told to end, and reading its sockets until the peer does; `leaving`: reads no more, finishes what it has. */
  readonly draining: 'no' | 'asking' | 'leaving';
  /** Seconds since its last turn; null before the first. */
  readonly heartbeatAgeSeconds: number | null;
  /** Queries under way. */
  readonly underWay: number;
  /** Unanswered queries at most. */
  readonly slots: number;
  /** Those that could be taken now, the spare ones for an adopted peer's queries among them. */
  readonly slotsFree: number;
  /** From clients. */
  readonly tcpConnections: number;
}

/** Times from a query's arrival until the upstream's answer is given to the client, from the start of the process. */
export interface LatencyStatus {
  /** Upper bounds in milliseconds, ascending. */
  readonly boundsMs: readonly number[];
  /** Counts, not cumulative; one more than there are bounds: the rest. */
  readonly buckets: readonly number[];
  readonly sumMs: number;
}

/** What survives a restart. */
export interface StateStatus {
  readonly dir: string;
  /** Nothing that must survive a restart waits for the disk since a failure. */
  readonly written: boolean;
}

/** Who may connect where: what opens and closes that. */
export interface DatapathStatus {
  readonly kind: 'none' | 'nftables';
  /** Why it is that, or how it is. */
  readonly reason: string;
  /** With nftables: this member writes the tables. */
  readonly leads?: boolean;
  /** With nftables: addresses that names have opened, as this member knows them. */
  readonly open?: number;
}

export interface PolicyStatus {
  /** null: no snapshot is enforced yet, everything is refused. */
  readonly revision: number | null;
  readonly hash: string | null;
  /** Since when this snapshot is enforced; null without one. */
  readonly appliedAt: string | null;
  readonly endpoints: number;
  readonly ruleSets: number;
  readonly fqdnSelectors: number;
  /** Complaints about the source, `FILE:LINE:COLUMN: FIELD: message`; with errors the last good snapshot stays. */
  readonly problems: readonly string[];
}

export interface PeerStatus {
  readonly connected: boolean;
  /** Since when `connected` has its value; null before the first change. */
  readonly since: string | null;
  readonly incarnation: string | null;
  /** The peer's policy revision. */
  readonly revision: number | null;
  /** Mappings not yet acknowledged by the peer, which has them on its disk then, or not yet on this member's own. */
  readonly lag: number;
}

/** All count from the start of the process. Further counters may be present. */
export interface QueryCounters {
  readonly queries: number;
  readonly allowed: number;
  readonly refused: number;
  /** Answered SERVFAIL by ourselves. */
  readonly failed: number;
  /** Upstream answers sent to clients. */
  readonly answered: number;
  readonly [name: string]: number;
}

export interface CacheStatus {
  /** Distinct names. */
  readonly names: number;
  /** (endpoint, name, address) triples. */
  readonly mappings: number;
  /** Of these, those whose look-up has not expired: each member collects the others at a time of its own. */
  readonly valid: number;
  /** Addresses without a valid look-up that connections may use. */
  readonly zombies: number;
}

export type MappingSource = 'lookup' | 'connection';

export interface CacheFilter {
  /** As in a toFQDNs selector; null: every name. */
  readonly matchPattern: string | null;
  readonly endpointId: number | null;
  readonly source: MappingSource | null;
}

/** One lookup's mapping; keys and meaning as in `cilium-dbg fqdn cache list -o json`. */
export interface CacheRow {
  /** Lower case, with the trailing dot. */
  readonly fqdn: string;
  /** `connection`: one. */
  readonly ips: readonly string[];
  /** `connection`: when the latest pass that saw a connection began; 0001-01-01T00:00:00.000Z if none has. */
  readonly 'lookup-time': string;
  /** Seconds; `connection`: 0. */
  readonly ttl: number;
  /** `connection`: when the connection table is searched next. */
  readonly 'expiration-time': string;
  readonly 'endpoint-id': number;
  readonly source: MappingSource;
}

export interface CacheCleaned {
  /** Mappings that were removed. */
  readonly removed: number;
}

/** One look-up in a file, in Cilium's pre-cache format. */
export interface CacheEntry {
  /** Lower case, with the trailing dot. */
  readonly fqdn: string;
  /** RFC 3339. */
  readonly 'lookup-time': string;
  readonly 'expiration-time': string;
  /** Seconds. */
  readonly ttl: number;
  readonly ips: readonly string[];
  /** Pod UID; absent: the node's. */
  readonly 'endpoint-uid'?: string;
}

/** What became of the mappings (names and addresses) of a file; each is counted once in `read`, and once in another. */
export interface CacheImported {
  readonly read: number;
  readonly learned: number;
  /** The cache had them, or better. */
  readonly known: number;
  readonly expired: number;
  /** Of pods that this node has not. */
  readonly strangers: number;
  /** Looked up before a forced clean of their name. */
  readonly cleaned: number;
  /** There was no room: of an endpoint that has more than MAPPINGS_PER_ENDPOINT_MAX those go that expire first. */
  readonly evicted: number;
}

export interface EndpointView {
  readonly id: number;
  readonly identity: number;
  readonly namespace: string;
  readonly pod: string;
  readonly uid: string;
  readonly addresses: readonly string[];
  /** Whether policy closes the pod's egress to all that no rule allows. */
  readonly enforced: boolean;
  /** Whether policy closes its ingress so. A verdict on connections, which nothing enforces without a datapath. */
  readonly ingressClosed: boolean;
  readonly labels: readonly string[];
}

export interface PolicyView {
  readonly kind: string;
  /** Empty for a clusterwide policy. */
  readonly namespace: string;
  readonly name: string;
  /** Egress rules, one per `toPorts` entry; 0 for a policy that allows nothing. */
  readonly rules: number;
  /** Whether it closes the egress of those it selects to all that no rule allows. */
  readonly defaultDeny: boolean;
  /** The same two for ingress. */
  readonly ingress: { readonly rules: number; readonly defaultDeny: boolean };
  /** `namespace/pod` of the local endpoints it selects; may be none. */
  readonly endpoints: readonly string[];
}
