/**
 * What a table of the conformance suite is made of: manifests as YAML text, and questions with the verdict that the policy
 * language demands. Each case names its source: where the language says so.
 * Does not know how a question is put: the runners do.
 */

/** The DNS server of a group unless a case says otherwise. Each other address or port costs the live tests a pair of its own. */
export const DNS_SERVER = '127.0.0.53';
export const DNS_PORT = 53;
/** Name of the node whose pods are local. */
export const NODE = 'node-1';

export const DNS_TYPE = { A: 1, NS: 2, CNAME: 5, PTR: 12, MX: 15, TXT: 16, AAAA: 28, SRV: 33, HTTPS: 65, ANY: 255 } as const;

export type Protocol = 'tcp' | 'udp' | 'sctp' | 'icmp' | 'icmpv6';

interface Sourced {
  /** Section of Cilium's documentation (`Documentation/…#heading`), a source file of Cilium, a document of Kubernetes, or our own page. */
  readonly source: string;
}

export interface DnsCase extends Sourced {
  readonly kind: 'dns';
  /** `namespace/pod` of a local pod, or an address. */
  readonly from: string;
  readonly server: string;
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
  readonly name: string;
  readonly type: number;
  readonly verdict: 'allowed' | 'refused';
  /** `policy path`: beginning of the rule that decides; null: not looked at. */
  readonly rule: string | null;
  /** Why the case is not asked live; null: it is. */
  readonly notLive: string | null;
}

export interface ConnectionCase extends Sourced {
  readonly kind: 'connection';
  /** `namespace/pod` or an address. */
  readonly from: string;
  readonly to: string;
  readonly protocol: Protocol;
  /** A type with icmp and icmpv6. */
  readonly port: number;
  /** By which the address was learned; null: by none. */
  readonly fqdn: string | null;
  readonly verdict: 'allowed' | 'denied';
  /** As in DnsCase. */
  readonly rule: string | null;
}

export interface AdmissionCase extends Sourced {
  readonly kind: 'admission';
  readonly says: string;
  /** One object or several. */
  readonly yaml: string;
  /** Path of the field that is complained of. */
  readonly field: string;
  readonly message: RegExp;
  readonly severity: 'error' | 'warning';
}

export type Case = DnsCase | ConnectionCase;

export interface Settings {
  readonly enablePolicy: 'default' | 'always' | 'never';
}

/** Questions to one state of a cluster. */
export interface Group {
  readonly name: string;
  readonly manifests: string;
  /** Absent: the default. */
  readonly settings?: Settings;
  readonly cases: readonly Case[];
}

export interface DnsOptions {
  readonly server?: string;
  readonly port?: number;
  readonly protocol?: 'tcp' | 'udp';
  readonly type?: number;
  readonly rule?: string;
  readonly notLive?: string;
}

export interface ConnectionOptions {
  readonly fqdn?: string;
  readonly rule?: string;
}

/** Cases that all come from one source. */
export function cite(source: string): {
  readonly asks: (from: string, name: string, options?: DnsOptions) => DnsCase;
  readonly isRefused: (from: string, name: string, options?: DnsOptions) => DnsCase;
  /** `at` is `protocol/port`. */
  readonly reaches: (from: string, to: string, at: string, options?: ConnectionOptions) => ConnectionCase;
  readonly isDenied: (from: string, to: string, at: string, options?: ConnectionOptions) => ConnectionCase;
} {
  const dns = (verdict: DnsCase['verdict']) => (from: string, name: string, options: DnsOptions = {}): DnsCase => ({
    kind: 'dns', source, verdict, from, name, server: options.server ?? DNS_SERVER, port: options.port ?? DNS_PORT,
    protocol: options.protocol ?? 'udp', type: options.type ?? DNS_TYPE.A, rule: options.rule ?? null, notLive: options.notLive ?? whyNotLive(options),
  });
  const connection = (verdict: ConnectionCase['verdict']) => (from: string, to: string, at: string, options: ConnectionOptions = {}): ConnectionCase => ({
    kind: 'connection', source, verdict, from, to, ...protocolAndPort(at), fqdn: options.fqdn ?? null, rule: options.rule ?? null,
  });
  return { asks: dns('allowed'), isRefused: dns('refused'), reaches: connection('allowed'), isDenied: connection('denied') };
}

function whyNotLive({ server }: DnsOptions): string | null {
  return server === undefined || server.startsWith('127.') ? null : 'no server can listen at an address that is not of loopback';
}

const PROTOCOLS: readonly string[] = ['tcp', 'udp', 'sctp', 'icmp', 'icmpv6'];

function protocolAndPort(at: string): { protocol: Protocol; port: number } {
  const [protocol, port] = at.split('/');
  if (!isProtocol(protocol) || !/^\d+$/.test(port)) throw new Error(`"${at}" is no protocol/port`);
  return { protocol, port: Number(port) };
}

function isProtocol(text: string): text is Protocol {
  return PROTOCOLS.includes(text);
}

export function titleOf(one: Case): string {
  if (one.kind === 'dns') {
    return `${one.from} asks ${one.server}:${String(one.port)}/${one.protocol} for ${one.name} (type ${String(one.type)}): ${one.verdict}`;
  }
  const learned = one.fqdn === null ? '' : `, learned as ${one.fqdn}`;
  return `${one.from} connects to ${one.to}${learned} at ${one.protocol}/${String(one.port)}: ${one.verdict}`;
}
