/**
 * Every setting of both daemons, in one array. The flag (`--name`), the environment variable (`TANDEM_NAME`), the key
 * in a `--config` file (`name`) and the row in the reference page are derived from it, so they cannot drift apart.
 * Knows nothing of argv, files or the environment: `settings-parse.ts` turns text into values, `host` finds the text.
 */
import type { Role } from './seams.js';
import type { SocketAddress } from './socket-address.js';

/** What a daemon runs with. Immutable; one object from start to exit (SIGHUP builds a new one). */
export interface Settings {
  readonly role: Role;
  /** transparent: clients' DNS comes by TPROXY, its original destination is kept and asked. */
  readonly mode: 'explicit' | 'transparent';
  /** Shared addresses, UDP and TCP; at least one. */
  readonly listen: readonly SocketAddress[];
  /** Resolvers of explicit mode, in order of preference; at least one. Empty in transparent mode. */
  readonly upstreams: readonly SocketAddress[];
  /** nftables: who may connect where is enforced in the kernel. */
  readonly datapath: 'none' | 'nftables';
  /** For whom a learned address opens, where no policy says it: every pod that may reach the name, or the one that asked. */
  readonly grantScope: 'node' | 'endpoint';
  /** Transparent mode: questions leave with the client's own address. */
  readonly clientAddressUpstream: boolean;
  /** Prefixes of this node's pods: an address in one of them that is no endpoint's is a stranger's. */
  readonly podCidrs: readonly string[];
  /** The lowest of the four bits of the packet mark that are used, and the routing table for redirected DNS. */
  readonly packetMark: number;
  readonly routeTable: number;
  /** The port under which policy sees the upstream's address. */
  readonly policyPort: number;
  /** Folder of manifests; null: none (always null on dns-proxy). */
  readonly manifestsDir: string | null;
  /** Objects come from the API server; at most one of this and `manifestsDir` (always false on dns-proxy). */
  readonly kubernetes: boolean;
  /** null: `$KUBECONFIG`, else the files of a pod. */
  readonly kubeconfig: string | null;
  /** Where all addresses of pods and nodes lie; empty: anywhere. */
  readonly clusterCidrs: readonly string[];
  readonly nodeName: string;
  readonly runDir: string;
  readonly stateDir: string;
  /** Port 0: the kernel chooses. */
  readonly httpListen: SocketAddress;
  readonly unknownEndpoint: 'refuse' | 'allow';
  readonly enablePolicy: 'default' | 'always' | 'never';
  /** So long after its source was last heard, policy knows pods of other nodes no more; 0: it always does. */
  readonly staleSourceLimitSeconds: number;
  /** True: nothing is refused by policy, the verdict is AUDIT. */
  readonly auditMode: boolean;
  /** Threads that answer queries, each with sockets of its own in the shared addresses' groups. */
  readonly workers: number;
  /** Unanswered queries at most, per member. */
  readonly slots: number;
  /** False: no flow is written. */
  readonly enableHubble: boolean;
  /** Flows that are kept, about. */
  readonly flowCapacity: number;
  /** UDP source ports towards upstreams. */
  readonly upstreamPorts: number;
  readonly tcpIdleTimeoutMs: number;
  readonly tcpConnections: number;
  readonly tcpConnectionsPerClient: number;
  readonly rejectResponseCode: 'refused' | 'nameError';
  /** What a refused name gets that is an allowed one with a search domain behind it; refuse: as any other. */
  readonly refusedSearchExpansions: 'refuse' | 'nxdomain';
  /** Lower case, without a final dot; so are all of `searchDomains`. */
  readonly clusterDomain: string;
  /** Searched by pods besides the cluster's own. */
  readonly searchDomains: readonly string[];
  readonly dnsCompression: boolean;
  readonly minTtlSeconds: number;
  readonly maxIpsPerHostname: number;
  /** Zombies per endpoint; 0: none, what has expired is let go of with the next collection. */
  readonly maxDeferredDeletes: number;
  /** How long after its expiry a zombie is spared at least. */
  readonly idleConnectionGraceMs: number;
  readonly gcIntervalMs: number;
  /** How often the connection table is gone through for zombies. */
  readonly connectionGcIntervalMs: number;
  /** File with mappings to begin with; null or '': none. */
  readonly preCachePath: string | null;
  /** 0: an answer does not wait for the datapath. */
  readonly responseMaxDelayMs: number;
  /** Queries under way at most; 0: no limit but `slots`. */
  readonly concurrencyLimit: number;
  /** How long a query may wait for a place under `concurrencyLimit`; 0: not at all. */
  readonly concurrencyGraceMs: number;
  /** The agent's end of the pair link over TCP; null: the Unix socket alone (always null on dns-proxy). */
  readonly pairListen: SocketAddress | null;
  /** Where the DNS proxy dials; null: the Unix socket (always null on the agent). */
  readonly pairConnect: SocketAddress | null;
  /** Whose policy is taken, and who is told mappings, in place of an agent of ours; null: the pair link (always null on the agent). */
  readonly ciliumAgent: SocketAddress | null;
  /** Where a DNS proxy of Cilium's contract is served; null: nowhere (always null on dns-proxy). */
  readonly standaloneProxyListen: SocketAddress | null;
  /** PEM files; all three, or none. */
  readonly pairTlsCert: string | null;
  readonly pairTlsKey: string | null;
  readonly pairTlsCa: string | null;
  /** Where flows are asked for: a Unix socket's path, an address, or null: nowhere. */
  readonly hubbleListen: string | SocketAddress | null;
  /** PEM files; certificate and key, or neither. */
  readonly hubbleTlsCertFile: string | null;
  readonly hubbleTlsKeyFile: string | null;
  /** PEM files; empty: clients show no certificate. */
  readonly hubbleTlsClientCaFiles: readonly string[];
  /** In front of the names of metrics that Cilium has, too; '': nothing. */
  readonly metricsCiliumPrefix: string;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  readonly logFormat: 'json' | 'text';
}

/** What a default may depend on; `host` finds it out. */
export interface SettingFacts {
  readonly role: Role;
  readonly hostname: string;
  readonly runDir: string;
  readonly stateDir: string;
  /** First server of /etc/resolv.conf as `ADDR:53`; null if there is none. */
  readonly resolver: string | null;
  /** Canonical texts of the addresses of this host's interfaces; 127.0.0.0/8 and ::1 need not be among them. */
  readonly localAddresses: readonly string[];
  /** `--mode`, once it has been read. */
  readonly mode?: 'explicit' | 'transparent';
}

/** How the text of a value is read. `addresses`, `names`, `cidrs` and `files` are lists (the flag may be repeated), all others are single. */
export type SettingKind =
  | 'addresses' | 'address' | 'address or socket' | 'names' | 'cidrs' | 'mark' | 'files' | 'name' | 'prefix' | 'integer' | 'duration' | 'boolean' | 'choice' | 'text';

export interface SettingRow {
  /** Without dashes in front; the key in a `--config` file. */
  readonly name: string;
  /** Where the value lands in `Settings`; absent: read and checked, but kept nowhere. */
  readonly field?: Exclude<keyof Settings, 'role'>;
  readonly kind: SettingKind;
  /** Placeholder in the help text and unit in the reference page. */
  readonly unit: string;
  /** Text form. null: no value. A function: depends on the host or role, and `defaultText` describes it. */
  readonly default: string | null | ((facts: SettingFacts) => string | null);
  readonly defaultText?: string;
  /** Integers: in `unit`; durations: milliseconds; addresses: the port; text, names and socket paths: length in characters. */
  readonly min?: number;
  readonly max?: number;
  readonly choices?: readonly string[];
  /** Absent: both. */
  readonly roles?: readonly Role[];
  /**
   * honoured: acts. notice: accepted for the sake of Cilium's configuration, changes nothing, said in the log.
   */
  readonly status: 'honoured' | 'notice';
  readonly why: string;
}

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const PORT_MAX = 65_535;
const YEAR_SECONDS = 365 * 24 * 3_600;
const PATH_MAX = 4_096;
/** A Unix socket's path has 108 bytes; the longest name in the run-dir must fit behind it. */
const RUN_DIR_MAX = 80;
/** A query's own deadline: no wait inside it can be longer. */
const QUERY_DEADLINE_MS = 2_500;

/** A slot takes up to two of the 65,536 message IDs, for its try and the one before, and one ID must stay free. */
const SLOTS_MAX = 32_767;

export const LISTEN_ADDRESSES_MAX = 16;
export const WORKERS_MAX = 16;
export const SEARCH_DOMAINS_MAX = 16;
export const FILES_MAX = 16;
export const POD_CIDRS_MAX = 64;
/** Four bits are used from it on, and the highest stays free: marks are signed in some tools. */
export const PACKET_MARK_MAX = 0x0800_0000;
/** With a comma between two: what Kubernetes allows a pod's search list, and the pair link a setting. */
export const SEARCH_DOMAINS_CHARACTERS_MAX = 2_048;
/** RFC 1035 §2.3.4, without the final dot. */
const NAME_CHARACTERS_MAX = 253;
/** UDP sockets towards upstreams in use at once; the data plane has numbers for 1024, replaced ones among them. */
export const UPSTREAM_SOCKETS_MAX = 768;

const honoured = [
  {
    name: 'mode', field: 'mode', kind: 'choice', unit: 'MODE', default: 'explicit', choices: ['explicit', 'transparent'], status: 'honoured',
    why: "explicit: clients send to --listen; transparent: pods' DNS is redirected here (TPROXY), its destination is kept and asked; needs CAP_NET_ADMIN",
  },
  {
    name: 'listen', field: 'listen', kind: 'addresses', unit: 'ADDR:PORT',
    default: ({ mode }) => (mode === 'transparent' ? '127.0.0.153:53,[fd53::1]:53' : '127.0.0.1:10053'),
    defaultText: '127.0.0.1:10053; transparent: 127.0.0.153:53 and [fd53::1]:53', min: 1, max: PORT_MAX, status: 'honoured', why: 'the shared address, UDP and TCP, v4 or v6; may be repeated',
  },
  {
    name: 'upstream', field: 'upstreams', kind: 'addresses', unit: 'ADDR:PORT', default: ({ mode, resolver }) => (mode === 'transparent' ? null : resolver),
    defaultText: 'first server of /etc/resolv.conf', min: 1, max: PORT_MAX, status: 'honoured',
    why: 'the resolver that queries go to; may be repeated: the second try goes to the next one; explicit mode only',
  },
  {
    name: 'datapath', field: 'datapath', kind: 'choice', unit: 'KIND', default: ({ mode }) => (mode === 'transparent' ? 'nftables' : 'none'),
    defaultText: 'none; transparent: nftables', choices: ['none', 'nftables'], status: 'honoured',
    why: 'nftables: who may connect where is enforced, with addresses opened as they are learned; transparent mode only',
  },
  {
    name: 'grant-scope', field: 'grantScope', kind: 'choice', unit: 'SCOPE', default: 'node', choices: ['node', 'endpoint'], status: 'honoured',
    why: 'node: a learned address opens for every pod that may reach the name, as with Cilium; endpoint: for the pod that asked alone',
  },
  {
    name: 'dnsproxy-enable-transparent-mode', field: 'clientAddressUpstream', kind: 'boolean', unit: '', default: 'false', status: 'honoured',
    why: "queries leave with the pod's own address instead of the node's; transparent mode only",
  },
  {
    name: 'pod-cidr', field: 'podCidrs', kind: 'cidrs', unit: 'CIDR', default: null, status: 'honoured',
    why: "the addresses of this node's pods: one of them that is no known pod's is refused everything, instead of being left alone; may be repeated; transparent mode only",
  },
  {
    name: 'packet-mark', field: 'packetMark', kind: 'mark', unit: 'BIT', default: '0x1000000', status: 'honoured',
    why: 'the lowest of four bits of the packet mark, and of the connection mark, that no other software on the node uses',
  },
  {
    name: 'route-table', field: 'routeTable', kind: 'integer', unit: 'TABLE', default: '10053', min: 1, max: 2_147_483_647, status: 'honoured',
    why: 'the routing table of redirected DNS, which no other software on the node uses',
  },
  {
    name: 'policy-port', field: 'policyPort', kind: 'integer', unit: 'PORT', default: '53', min: 1, max: PORT_MAX,
    status: 'honoured', why: 'the port under which policy sees the upstream: rules are written for 53',
  },
  {
    name: 'manifests', field: 'manifestsDir', kind: 'text', unit: 'DIR', default: null, min: 1, max: PATH_MAX,
    roles: ['agent'], status: 'honoured', why: 'folder of *.yaml, *.yml and *.json with pods, services and policies; watched',
  },
  {
    name: 'kubernetes', field: 'kubernetes', kind: 'boolean', unit: '', default: 'false', roles: ['agent'], status: 'honoured',
    why: 'pods, services and policies from the API server, in place of --manifests; by --kubeconfig, else $KUBECONFIG, else as a pod does',
  },
  {
    name: 'kubeconfig', field: 'kubeconfig', kind: 'text', unit: 'FILE', default: null, min: 1, max: PATH_MAX,
    roles: ['agent'], status: 'honoured', why: 'the API server of --kubernetes and how to get in: the current context of this file',
  },
  {
    name: 'cluster-cidr', field: 'clusterCidrs', kind: 'cidrs', unit: 'CIDR', default: null, roles: ['agent'], status: 'honoured',
    why: 'the addresses of all pods and nodes of the cluster: with it, rules for prefixes outside need no watch of every pod; may be repeated; for --kubernetes',
  },
  {
    name: 'node-name', field: 'nodeName', kind: 'text', unit: 'NAME', default: (facts) => facts.hostname,
    defaultText: 'host name', min: 1, max: 253, status: 'honoured', why: 'whose pods are local endpoints',
  },
  {
    name: 'run-dir', field: 'runDir', kind: 'text', unit: 'DIR', default: (facts) => facts.runDir,
    defaultText: '/run/tandem (root), else $XDG_RUNTIME_DIR/tandem, else a folder per user under the temporary directory',
    min: 1, max: RUN_DIR_MAX, status: 'honoured', why: 'Unix sockets between the two members and for the CLI',
  },
  {
    name: 'state-dir', field: 'stateDir', kind: 'text', unit: 'DIR', default: (facts) => facts.stateDir,
    defaultText: '/var/lib/tandem/ROLE (root), else $XDG_STATE_HOME/tandem/ROLE, else ~/.local/state/tandem/ROLE', min: 1, max: PATH_MAX,
    status: 'honoured', why: 'what survives a restart',
  },
  {
    name: 'http-listen', field: 'httpListen', kind: 'address', unit: 'ADDR:PORT',
    default: (facts) => (facts.role === 'agent' ? '127.0.0.1:9964' : '127.0.0.1:9965'),
    defaultText: 'agent 127.0.0.1:9964, dns-proxy 127.0.0.1:9965', min: 0, max: PORT_MAX, status: 'honoured',
    why: 'health, readiness, metrics and API; port 0 takes a free one',
  },
  {
    name: 'unknown-endpoint', field: 'unknownEndpoint', kind: 'choice', unit: 'VERDICT', default: 'refuse',
    choices: ['refuse', 'allow'], status: 'honoured', why: 'the verdict for addresses that are no known endpoint',
  },
  {
    name: 'enable-policy', field: 'enablePolicy', kind: 'choice', unit: 'MODE', default: 'default',
    choices: ['default', 'always', 'never'], status: 'honoured', why: "Cilium's enforcement modes",
  },
  {
    name: 'stale-source-limit', field: 'staleSourceLimitSeconds', kind: 'integer', unit: 'SECONDS', default: '0', min: 0, max: YEAR_SECONDS,
    status: 'honoured',
    why: 'so long after the policy source was last heard, restarts or not, pods of other nodes lose what their labels allow, for their addresses may be others\' by then; 0: never',
  },
  {
    name: 'policy-audit-mode', field: 'auditMode', kind: 'boolean', unit: '', default: 'false', status: 'honoured',
    why: 'nothing is refused by policy; the verdict is AUDIT',
  },
  {
    name: 'enable-hubble', field: 'enableHubble', kind: 'boolean', unit: '', default: 'true', status: 'honoured',
    why: 'keep a record of every query, to be seen with tandem observe and the Hubble API',
  },
  {
    name: 'hubble-event-buffer-capacity', field: 'flowCapacity', kind: 'integer', unit: 'FLOWS', default: '8191', min: 1023, max: 262_143,
    status: 'honoured', why: 'flows that are kept, about, 128 bytes each; older ones are overwritten',
  },
  {
    name: 'workers', field: 'workers', kind: 'integer', unit: 'N', default: '1', min: 1, max: WORKERS_MAX,
    status: 'honoured',
    why: 'threads that answer queries; more than one is for nodes with four cores or more; the same for both members, as each worker answers for its counterpart alone; shares of --slots, --tcp-connections, --tcp-connections-per-client, --dnsproxy-concurrency-limit and --hubble-event-buffer-capacity are theirs',
  },
  {
    name: 'slots', field: 'slots', kind: 'integer', unit: 'N', default: '8192', min: 64, max: SLOTS_MAX,
    status: 'honoured', why: 'unanswered queries at most; about 2 KiB of shared memory each',
  },
  {
    name: 'upstream-ports', field: 'upstreamPorts', kind: 'integer', unit: 'N', default: '64', min: 64, max: 256,
    status: 'honoured', why: "each worker's UDP source ports towards upstreams: each doubling costs a forger one more bit",
  },
  {
    name: 'tcp-idle-timeout', field: 'tcpIdleTimeoutMs', kind: 'duration', unit: 'DURATION', default: '10s',
    min: SECOND_MS, max: 10 * MINUTE_MS, status: 'honoured', why: 'a TCP connection without a whole query for so long is closed',
  },
  {
    name: 'tcp-connections', field: 'tcpConnections', kind: 'integer', unit: 'N', default: '1024', min: 1, max: 16_384,
    status: 'honoured', why: 'TCP connections at most; the longest idle one makes room',
  },
  {
    name: 'tcp-connections-per-client', field: 'tcpConnectionsPerClient', kind: 'integer', unit: 'N', default: '128',
    min: 1, max: 16_384, status: 'honoured', why: 'TCP connections of one client address at most; a further one is closed',
  },
  {
    name: 'tofqdns-dns-reject-response-code', field: 'rejectResponseCode', kind: 'choice', unit: 'CODE',
    default: 'refused', choices: ['refused', 'nameError'], status: 'honoured', why: 'the response code of a refusal',
  },
  {
    name: 'refused-search-expansions', field: 'refusedSearchExpansions', kind: 'choice', unit: 'ANSWER', default: 'refuse',
    choices: ['refuse', 'nxdomain'], status: 'honoured',
    why: 'nxdomain: a refused name that is an allowed one with a search domain behind it gets NXDOMAIN, so that resolver libraries that give up at a refusal go on to the next domain',
  },
  {
    name: 'cluster-domain', field: 'clusterDomain', kind: 'name', unit: 'NAME', default: 'cluster.local', min: 1,
    max: NAME_CHARACTERS_MAX, status: 'honoured', why: 'pods search NAMESPACE.svc.NAME, svc.NAME and NAME; for --refused-search-expansions',
  },
  {
    name: 'search-domain', field: 'searchDomains', kind: 'names', unit: 'NAME', default: null, min: 1,
    max: NAME_CHARACTERS_MAX, status: 'honoured',
    why: `a domain that pods search besides, such as the node's; up to ${SEARCH_DOMAINS_MAX}; for --refused-search-expansions; may be repeated`,
  },
  {
    name: 'tofqdns-enable-dns-compression', field: 'dnsCompression', kind: 'boolean', unit: '', default: 'true',
    status: 'honoured', why: 'compress an answer that is larger than the client takes, before truncating it',
  },
  {
    name: 'tofqdns-min-ttl', field: 'minTtlSeconds', kind: 'integer', unit: 'SECONDS', default: '0', min: 0,
    max: YEAR_SECONDS, status: 'honoured', why: 'a mapping lives at least so long, whatever its TTL',
  },
  {
    name: 'tofqdns-endpoint-max-ip-per-hostname', field: 'maxIpsPerHostname', kind: 'integer', unit: 'N',
    default: '1000', min: 1, max: 10_000, status: 'honoured',
    why: 'addresses per endpoint and name, and of these without a valid look-up as many again; the earliest expiry goes first',
  },
  {
    name: 'tofqdns-max-deferred-connection-deletes', field: 'maxDeferredDeletes', kind: 'integer', unit: 'N',
    default: '10000', min: 0, max: 1_000_000, status: 'honoured',
    why: 'expired addresses kept per endpoint for connections that may use them; beyond it those unused for longest go',
  },
  {
    name: 'tofqdns-idle-connection-grace-period', field: 'idleConnectionGraceMs', kind: 'duration', unit: 'DURATION',
    default: '0s', min: 0, max: DAY_MS, status: 'honoured', why: 'an expired address without connections is kept so much longer',
  },
  {
    name: 'tofqdns-gc-interval', field: 'gcIntervalMs', kind: 'duration', unit: 'DURATION', default: '1m', min: SECOND_MS,
    max: HOUR_MS, status: 'honoured', why: 'how often expired mappings are collected (Cilium: always 1m)',
  },
  {
    name: 'conntrack-gc-interval', field: 'connectionGcIntervalMs', kind: 'duration', unit: 'DURATION', default: '1m',
    min: SECOND_MS, max: DAY_MS, status: 'honoured',
    why: 'how often the connection table is searched for connections of expired addresses; two passes without any end them',
  },
  {
    name: 'tofqdns-pre-cache', field: 'preCachePath', kind: 'text', unit: 'FILE', default: null, min: 0, max: PATH_MAX,
    status: 'honoured', why: "mappings read at the start, in the form of 'tandem cache export'; a bad file is complained about and left out",
  },
  {
    name: 'tofqdns-proxy-response-max-delay', field: 'responseMaxDelayMs', kind: 'duration', unit: 'DURATION',
    default: '100ms', min: 0, max: QUERY_DEADLINE_MS, status: 'honoured', why: 'how long an answer may wait for the datapath',
  },
  {
    name: 'dnsproxy-concurrency-limit', field: 'concurrencyLimit', kind: 'integer', unit: 'N', default: '0', min: 0,
    max: 1_000_000, status: 'honoured', why: 'queries under way at most, further ones get SERVFAIL; 0: no limit but --slots',
  },
  {
    name: 'dnsproxy-concurrency-processing-grace-period', field: 'concurrencyGraceMs', kind: 'duration',
    unit: 'DURATION', default: '0s', min: 0, max: QUERY_DEADLINE_MS, status: 'honoured',
    why: 'how long a query waits for a place under the concurrency limit',
  },
  {
    name: 'pair-listen', field: 'pairListen', kind: 'address', unit: 'ADDR:PORT', default: null, min: 1, max: PORT_MAX,
    roles: ['agent'], status: 'honoured', why: 'the pair link over TCP with TLS, beside the Unix socket: where the members have no run-dir in common',
  },
  {
    name: 'pair-connect', field: 'pairConnect', kind: 'address', unit: 'ADDR:PORT', default: null, min: 1, max: PORT_MAX,
    roles: ['dns-proxy'], status: 'honoured', why: "the agent's --pair-listen, dialled in place of the Unix socket",
  },
  {
    name: 'cilium-agent', field: 'ciliumAgent', kind: 'address', unit: 'ADDR:PORT', default: null, min: 1, max: PORT_MAX,
    roles: ['dns-proxy'], status: 'honoured',
    why: "a Cilium agent (its --standalone-dns-proxy-server-port) on this node: policy is taken from it and mappings are told to it, in place of an agent of Tandem's",
  },
  {
    name: 'standalone-dns-proxy-listen', field: 'standaloneProxyListen', kind: 'address', unit: 'ADDR:PORT', default: null, min: 1, max: PORT_MAX,
    roles: ['agent'], status: 'honoured', why: "where another DNS proxy of this node that speaks Cilium's contract takes its policy and tells its mappings; a loopback address, for nobody is asked who they are",
  },
  {
    name: 'pair-tls-cert', field: 'pairTlsCert', kind: 'text', unit: 'FILE', default: null, min: 1, max: PATH_MAX,
    status: 'honoured', why: "this member's certificate (PEM), made out to tandem-agent or tandem-dns-proxy; read again when it changes",
  },
  {
    name: 'pair-tls-key', field: 'pairTlsKey', kind: 'text', unit: 'FILE', default: null, min: 1, max: PATH_MAX,
    status: 'honoured', why: 'its private key (PEM)',
  },
  {
    name: 'pair-tls-ca', field: 'pairTlsCa', kind: 'text', unit: 'FILE', default: null, min: 1, max: PATH_MAX,
    status: 'honoured', why: "who signed the peer's certificate (PEM)",
  },
  {
    name: 'hubble-listen', field: 'hubbleListen', kind: 'address or socket', unit: 'ADDR:PORT|unix:PATH',
    default: ({ runDir, role }) => `unix:${runDir}/${role}-hubble.sock`, defaultText: 'unix:RUN_DIR/ROLE-hubble.sock', min: 1, max: PORT_MAX,
    status: 'honoured', why: "Hubble's Observer API; an empty value turns it off; over TCP it is open to all who reach it, but for --hubble-tls-…",
  },
  {
    name: 'hubble-tls-cert-file', field: 'hubbleTlsCertFile', kind: 'text', unit: 'FILE', default: null, min: 1, max: PATH_MAX,
    status: 'honoured', why: "the Observer API's certificate (PEM): its TCP port then speaks TLS; read again when it changes",
  },
  {
    name: 'hubble-tls-key-file', field: 'hubbleTlsKeyFile', kind: 'text', unit: 'FILE', default: null, min: 1, max: PATH_MAX,
    status: 'honoured', why: 'its private key (PEM)',
  },
  {
    name: 'hubble-tls-client-ca-files', field: 'hubbleTlsClientCaFiles', kind: 'files', unit: 'FILE', default: null, min: 1, max: PATH_MAX,
    status: 'honoured', why: `who signed the certificates of its clients (PEM); clients without one are then refused; up to ${FILES_MAX}; may be repeated`,
  },
  {
    name: 'metrics-cilium-prefix', field: 'metricsCiliumPrefix', kind: 'prefix', unit: 'PREFIX', default: 'cilium_', min: 0, max: 32,
    status: 'honoured', why: "in front of the names of metrics that Cilium has, too; 'tandem_' or nothing where Cilium itself runs on the node",
  },
  {
    name: 'log-level', field: 'logLevel', kind: 'choice', unit: 'LEVEL', default: 'info',
    choices: ['debug', 'info', 'warn', 'error'], status: 'honoured', why: 'what is logged',
  },
  {
    name: 'log-format', field: 'logFormat', kind: 'choice', unit: 'FORMAT', default: 'json', choices: ['json', 'text'],
    status: 'honoured', why: 'one JSON object or one plain line per event, on standard error',
  },
] as const satisfies readonly SettingRow[];

/** What a row without effect allows: nonsense is refused there, too. */
type Values = Pick<SettingRow, 'kind' | 'unit'> & Partial<Pick<SettingRow, 'min' | 'max' | 'choices' | 'roles'>>;

const BOOLEAN: Values = { kind: 'boolean', unit: '' };
const DURATION: Values = { kind: 'duration', unit: 'DURATION', min: 0, max: DAY_MS };

function integer(unit: string, max: number): Values {
  return { kind: 'integer', unit, min: 0, max };
}

function notice(name: string, values: Values, atDefault: string, why: string): SettingRow {
  return { name, ...values, default: atDefault, status: 'notice', why };
}

const others: readonly SettingRow[] = [
  notice('tofqdns-preallocate-identities', BOOLEAN, 'true', 'there are no identities per address here'),
  notice('tofqdns-proxy-port', integer('PORT', PORT_MAX), '0', 'the port is that of --listen'),
  notice('dnsproxy-lock-count', integer('N', 1_000_000), '131', 'there are no locks here'),
  notice('dnsproxy-lock-timeout', DURATION, '500ms', 'there are no locks here'),
  notice('dnsproxy-insecure-skip-transparent-mode-check', BOOLEAN, 'false', 'there is no such check here'),
  notice('dnsproxy-socket-linger-timeout', integer('SECONDS', YEAR_SECONDS), '10', 'upstream sockets are shared and stay open'),
];

/** In the order of help and reference page. */
export const SETTINGS: readonly SettingRow[] = [...honoured, ...others];

export function flagOf(row: SettingRow): string {
  return `--${row.name}`;
}

export function environmentNameOf(row: SettingRow): string {
  return `TANDEM_${row.name.replaceAll('-', '_').toUpperCase()}`;
}

/** The default as a reader sees it. */
export function defaultTextOf(row: SettingRow): string {
  if (row.defaultText !== undefined) return row.defaultText;
  return typeof row.default === 'string' ? row.default : '–';
}

/** The allowed values as a reader sees them; '' when anything goes. */
export function rangeTextOf(row: SettingRow): string {
  if (row.kind === 'choice') return row.choices!.join(', ');
  if (row.kind === 'boolean') return 'true, false';
  if (row.kind === 'cidrs') return `a prefix such as 10.244.1.0/24 or fd00:10:244:1::/64, up to ${POD_CIDRS_MAX} of them`;
  if (row.kind === 'mark') return `a power of two from 0x1 to 0x${PACKET_MARK_MAX.toString(16)}`;
  if (row.min === undefined || row.max === undefined) return '';
  switch (row.kind) {
    case 'integer':
      return `${row.min} to ${row.max}`;
    case 'duration':
      return `${durationText(row.min)} to ${durationText(row.max)}`;
    case 'addresses':
    case 'address':
      return `an IP address with a port from ${row.min} to ${row.max}, such as 127.0.0.1:53 or [::1]:53`;
    case 'address or socket':
      return `an IP address with a port from ${row.min} to ${row.max}, unix:PATH, or nothing at all`;
    case 'names':
    case 'name':
      return `a domain name of up to ${row.max} characters, labels of letters, digits, "-" and "_"`;
    case 'prefix':
      return `${row.min} to ${row.max} letters, digits and "_", no digit in front`;
    case 'text':
    case 'files':
      return `${row.min} to ${row.max} characters`;
  }
}

/** `1500` → `1.5s`. */
export function durationText(ms: number): string {
  if (ms === 0) return '0s';
  if (ms % HOUR_MS === 0) return `${ms / HOUR_MS}h`;
  if (ms % MINUTE_MS === 0) return `${ms / MINUTE_MS}m`;
  return ms >= SECOND_MS ? `${ms / SECOND_MS}s` : `${ms}ms`;
}
