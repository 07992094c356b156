/**
 * The filters of `tandem observe`, one row each, with the names of Hubble's client. A row says which fields of a FlowFilter its value
 * goes to; where a flag speaks of either end (`--ip`), the two ends become two filters of which one is enough.
 */
import { InvalidArgumentError } from 'commander';
import { DropReason, type FlowFilter, IPVersion, TrafficDirection, Verdict } from '@tandem/proto';

type Lists = { [K in keyof FlowFilter]: NonNullable<FlowFilter[K]> extends readonly (infer T)[] ? T : never };
type Patch = { readonly [K in keyof Lists]?: Lists[K] };

export interface FilterFlag {
  /** As commander has it: `-n, --namespace <NAME>`. */
  readonly flags: string;
  readonly why: string;
  readonly choices?: readonly string[];
  /** What a value adds to the filter of each end; the same for both but where the flag speaks of either. Throws for a bad value. */
  readonly left: (text: string) => Patch;
  readonly right: (text: string) => Patch;
}

/** Namespaces become part of pod and service filters once all flags are known. */
export const NAMESPACE_FLAGS = {
  'namespace': 'either', 'from-namespace': 'source', 'to-namespace': 'destination',
  'all-namespaces': 'either', 'from-all-namespaces': 'source', 'to-all-namespaces': 'destination',
} as const;

export const RESERVED_IDENTITIES = [
  'unknown', 'host', 'world', 'unmanaged', 'health', 'init', 'remote-node', 'kube-apiserver', 'ingress', 'world-ipv4', 'world-ipv6', 'encrypted-overlay',
] as const;
export const EVENT_TYPES: Readonly<Record<string, number>> = { 'drop': 1, 'capture': 3, 'trace': 4, 'policy-verdict': 5, 'trace-sock': 7, 'l7': 129 };
/** By number; the place is the number. */
export const TRACE_POINTS = [
  'to-endpoint', 'to-proxy', 'to-host', 'to-stack', 'to-overlay', 'from-endpoint', 'from-proxy', 'from-host', 'from-stack', 'from-overlay', 'from-network',
  'to-network', 'from-crypto', 'to-crypto',
] as const;
const PROTOCOLS = ['icmp', 'icmpv4', 'icmpv6', 'sctp', 'tcp', 'udp', 'dns', 'http', 'kafka'] as const;
const VERDICTS = ['FORWARDED', 'DROPPED', 'AUDIT', 'REDIRECTED', 'ERROR', 'TRACED', 'TRANSLATED'] as const;
const TCP_FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR', 'NS'] as const;
const UINT32_MAX = 4_294_967_295;
const PORT_MAX = 65_535;

export const FILTER_FLAGS: readonly FilterFlag[] = [
  ...ends('pod', '[NAMESPACE/]PREFIX', 'a pod whose name begins so', (end, text) => (end === 'source' ? { sourcePod: text } : { destinationPod: text })),
  ...ends('ip', 'ADDRESS|CIDR', 'an IP address or network', (end, text) => (end === 'source' ? { sourceIp: text } : { destinationIp: text })),
  ...ends('fqdn', 'PATTERN', 'an address of this name (names asked for: --dns-query)', (end, text) => (
    end === 'source' ? { sourceFqdn: text } : { destinationFqdn: text })),
  ...ends('label', 'SELECTOR', 'labels, such as key=value or reserved:world', (end, text) => (
    end === 'source' ? { sourceLabel: text } : { destinationLabel: text }), 'l'),
  ...ends('service', '[NAMESPACE/]PREFIX', 'a Service whose name begins so', (end, text) => (
    end === 'source' ? { sourceService: text } : { destinationService: text })),
  ...ends('port', 'PORT', 'a port', (end, text) => (end === 'source' ? { sourcePort: port(text) } : { destinationPort: port(text) })),
  ...ends('identity', 'NUMBER|NAME', 'a security identity', (end, text) => (
    end === 'source' ? { sourceIdentity: identity(text) } : { destinationIdentity: identity(text) })),
  ...ends('workload', '[KIND/]NAME', 'a workload', (end, text) => (
    end === 'source' ? { sourceWorkload: workload(text) } : { destinationWorkload: workload(text) })),
  ...ends('cluster', 'PATTERN', 'a cluster name', (end, text) => (end === 'source' ? { sourceClusterName: text } : { destinationClusterName: text })),
  one('protocol', 'NAME', 'of this layer 4 or 7 protocol', (text) => ({ protocol: text }), PROTOCOLS),
  one('verdict', 'VERDICT', 'with this verdict', (text) => ({ verdict: Verdict[text as (typeof VERDICTS)[number]] }), VERDICTS),
  one('drop-reason-desc', 'REASON', 'dropped for this reason', (text) => ({ dropReasonDesc: dropReason(text) })),
  one('type', 'TYPE[:SUBTYPE]', `of this event type: ${Object.keys(EVENT_TYPES).join(', ')}, or a number`, (text) => ({ eventType: eventType(text) }), undefined, 't'),
  one('dns-query', 'REGEX', 'asking for a name that this RE2 expression finds', (text) => ({ dnsQuery: text })),
  one('uuid', 'UUID', 'with this identifier', (text) => ({ uuid: text })),
  one('traffic-direction', 'DIRECTION', 'in this direction', (text) => ({
    trafficDirection: text === 'ingress' ? TrafficDirection.INGRESS : TrafficDirection.EGRESS,
  }), ['ingress', 'egress']),
  one('node-name', 'PATTERN', 'seen on this node, such as k8s* or cluster/node', (text) => ({ nodeName: text })),
  one('node-label', 'SELECTOR', 'seen on a node with these labels', (text) => ({ nodeLabels: text })),
  one('ip-version', 'VERSION', 'of this IP version', (text) => ({ ipVersion: ipVersion(text) }), ['none', 'v4', 'v6']),
  bare('4, --ipv4', 'IPv4', () => ({ ipVersion: IPVersion.IPv4 })),
  bare('6, --ipv6', 'IPv6', () => ({ ipVersion: IPVersion.IPv6 })),
  one('snat-ip', 'ADDRESS|CIDR', 'whose source was translated to this', (text) => ({ sourceIpXlated: text })),
  one('tcp-flags', 'FLAGS', 'with these TCP flags, such as syn,ack', (text) => ({ tcpFlags: tcpFlags(text) })),
  one('interface', 'NAME', 'seen at this interface', (text) => ({ interface: { index: 0, name: text } })),
  one('http-status', 'CODE', 'with this HTTP status, or one that begins so (5+)', (text) => ({ httpStatusCode: text })),
  one('http-method', 'METHOD', 'with this HTTP method', (text) => ({ httpMethod: text })),
  one('http-path', 'REGEX', 'with such an HTTP path', (text) => ({ httpPath: text })),
  one('http-url', 'REGEX', 'with such an HTTP URL', (text) => ({ httpUrl: text })),
  one('http-header', 'NAME:VALUE', 'with this HTTP header', (text) => ({ httpHeader: httpHeader(text) })),
  one('trace-id', 'ID', 'with this trace ID', (text) => ({ traceId: text })),
  one('ip-trace-id', 'NUMBER', 'with this IP trace ID', (text) => ({ ipTraceId: positive(text) })),
  ...namespaces(),
];

/** Which flags exclude each other, as in Hubble's client: together they would narrow down to nothing, or mean two things. */
export const CONFLICTS: readonly (readonly string[])[] = [
  ['from-fqdn', 'from-ip', 'ip', 'fqdn', 'from-namespace', 'namespace', 'from-all-namespaces', 'all-namespaces'],
  ['from-fqdn', 'from-ip', 'ip', 'fqdn', 'from-pod', 'pod'],
  ['to-fqdn', 'to-ip', 'ip', 'fqdn', 'to-namespace', 'namespace', 'to-all-namespaces', 'all-namespaces'],
  ['to-fqdn', 'to-ip', 'ip', 'fqdn', 'to-pod', 'pod'],
  ...['to-pod', 'from-pod', 'to-service', 'from-service'].map((flag) => [flag, 'namespace', 'all-namespaces']),
  ...['label', 'service', 'port', 'identity', 'workload', 'cluster'].flatMap((noun) => [[noun, `from-${noun}`], [noun, `to-${noun}`]]),
];

type End = 'source' | 'destination';

/** Three flags: of either end, of the source, of the destination. */
function ends(
  noun: string, unit: string, what: string, patch: (end: End, text: string) => Patch, letter?: string,
): FilterFlag[] {
  const short = letter === undefined ? '' : `-${letter}, `;
  const from = (text: string): Patch => patch('source', text);
  const to = (text: string): Patch => patch('destination', text);
  return [
    { flags: `${short}--${noun} <${unit}>`, why: `related to ${what}`, left: from, right: to },
    { flags: `--from-${noun} <${unit}>`, why: `originating at ${what}`, left: from, right: from },
    { flags: `--to-${noun} <${unit}>`, why: `terminating at ${what}`, left: to, right: to },
  ];
}

function one(name: string, unit: string, why: string, patch: (text: string) => Patch, choices?: readonly string[], short?: string): FilterFlag {
  return { flags: `${short === undefined ? '' : `-${short}, `}--${name} <${unit}>`, why, left: patch, right: patch, ...(choices === undefined ? {} : { choices }) };
}

function bare(flags: string, why: string, patch: () => Patch): FilterFlag {
  return { flags: `-${flags}`, why: `only ${why}`, left: patch, right: patch };
}

function namespaces(): FilterFlag[] {
  const nothing = (): Patch => ({});
  return [
    ['-n, --namespace <NAME>', 'related to this Kubernetes namespace'], ['--from-namespace <NAME>', 'originating in this namespace'],
    ['--to-namespace <NAME>', 'terminating in this namespace'], ['-A, --all-namespaces', 'related to any namespace'],
    ['--from-all-namespaces', 'originating in any namespace'], ['--to-all-namespaces', 'terminating in any namespace'],
  ].map(([flags, why]) => ({ flags, why, left: nothing, right: nothing }));
}

function port(text: string): string {
  if (!/^[0-9]{1,5}$/.test(text) || Number(text) > PORT_MAX) throw new InvalidArgumentError(`a port is expected, 0 to ${PORT_MAX}.`);
  return text;
}

function identity(text: string): number {
  const reserved = (RESERVED_IDENTITIES as readonly string[]).indexOf(text.replace(/^reserved:/, ''));
  if (reserved >= 0) return reserved;
  if (!/^[0-9]{1,10}$/.test(text) || Number(text) > UINT32_MAX) throw new InvalidArgumentError(`a number is expected, or one of ${RESERVED_IDENTITIES.join(', ')}.`);
  return Number(text);
}

function workload(text: string): { kind: string; name: string } {
  const slash = text.indexOf('/');
  return slash === -1 ? { kind: '', name: text } : { kind: text.slice(0, slash), name: text.slice(slash + 1) };
}

function dropReason(text: string): DropReason {
  const reason = Object.hasOwn(DropReason, text) ? DropReason[text as keyof typeof DropReason] : -1;
  if (reason <= 0) throw new InvalidArgumentError('a reason is expected, such as POLICY_DENIED or AUTH_REQUIRED.');
  return reason;
}

function eventType(text: string): { type: number; matchSubType: boolean; subType: number } {
  const [name, sub] = text.split(':', 2);
  const type = Object.hasOwn(EVENT_TYPES, name) ? EVENT_TYPES[name] : small(name);
  if (sub === undefined) return { type, matchSubType: false, subType: 0 };
  const point = type === EVENT_TYPES.trace ? (TRACE_POINTS as readonly string[]).indexOf(sub) : -1;
  return { type, matchSubType: true, subType: point >= 0 ? point : small(sub) };
}

function small(text: string): number {
  if (!/^[0-9]{1,3}$/.test(text)) throw new InvalidArgumentError(`TYPE[:SUBTYPE] is expected; types are ${Object.keys(EVENT_TYPES).join(', ')}, or numbers; ${text} is none.`);
  return Number(text);
}

function ipVersion(text: string): IPVersion {
  return text === 'v4' ? IPVersion.IPv4 : text === 'v6' ? IPVersion.IPv6 : IPVersion.IP_NOT_USED;
}

function tcpFlags(text: string): Record<(typeof TCP_FLAGS)[number], boolean> {
  const words = text.toUpperCase().split(',');
  const unknown = words.find((word) => !(TCP_FLAGS as readonly string[]).includes(word));
  if (unknown !== undefined) throw new InvalidArgumentError(`${unknown} is no TCP flag; flags are ${TCP_FLAGS.join(', ')}.`);
  return Object.fromEntries(TCP_FLAGS.map((flag) => [flag, words.includes(flag)])) as Record<(typeof TCP_FLAGS)[number], boolean>;
}

function httpHeader(text: string): { key: string; value: string } {
  const colon = text.indexOf(':');
  if (colon <= 0) throw new InvalidArgumentError('NAME:VALUE is expected.');
  return { key: text.slice(0, colon), value: text.slice(colon + 1) };
}

function positive(text: string): bigint {
  if (!/^[0-9]{1,20}$/.test(text) || BigInt(text) === 0n || BigInt(text) > 18_446_744_073_709_551_615n) throw new InvalidArgumentError('a number above 0 is expected.');
  return BigInt(text);
}
