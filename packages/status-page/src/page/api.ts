/**
 * What the page asks the member that serves it, and the parts of the answers that it reads. Every request has a deadline. Fields
 * that the page does not know are let be, and a member of another release may lack one of the optional ones.
 */
export type Role = 'agent' | 'dns-proxy';

export interface PairAnswer {
  readonly self: Role;
  readonly members: readonly MemberAnswer[];
}

export interface MemberAnswer {
  readonly role: Role;
  readonly reachable: boolean;
  readonly cause: 'absent' | 'gone' | 'silent' | 'failed' | null;
  readonly reason: string;
  /** RFC 3339. */
  readonly askedAt: string;
  readonly status: Status | null;
}

export interface Status {
  readonly version: string;
  readonly pid: number;
  readonly incarnation: string;
  readonly nodeName: string;
  readonly startedAt: string;
  readonly uptimeSeconds: number;
  readonly listen: readonly string[];
  readonly upstreams: readonly string[];
  readonly httpListen: string;
  readonly readiness: { readonly ready: boolean; readonly reason: string };
  readonly policy: {
    readonly revision: number | null;
    readonly hash: string | null;
    readonly appliedAt: string | null;
    readonly endpoints: number;
    readonly fqdnSelectors: number;
    readonly problems: readonly string[];
  };
  readonly peer: { readonly connected: boolean; readonly since: string | null; readonly revision: number | null; readonly lag: number };
  /** From the start of the process. */
  readonly counters: Readonly<Record<string, number>>;
  readonly cache: { readonly names: number; readonly mappings: number; readonly zombies?: number };
  readonly dataPlane?: DataPlane;
  readonly latency?: Latency;
}

export interface DataPlane {
  readonly redundant: boolean;
  /** Members that are being answered for. */
  readonly adopted: number;
  /** Its sockets and queries are with the peer, too. */
  readonly held?: boolean;
  readonly draining?: 'no' | 'asking' | 'leaving';
  readonly heartbeatAgeSeconds: number | null;
  readonly underWay: number;
  readonly slots: number;
  readonly slotsFree: number;
  readonly tcpConnections: number;
}

export interface Latency {
  /** Upper bounds, ascending, in milliseconds. */
  readonly boundsMs: readonly number[];
  /** Counts per bucket, not cumulative; one more than there are bounds: the rest. */
  readonly buckets: readonly number[];
}

export interface CacheRow {
  readonly fqdn: string;
  readonly ips: readonly string[];
  readonly ttl: number;
  readonly 'expiration-time': string;
  readonly 'endpoint-id': number;
  readonly source: string;
}

export interface EndpointRow {
  readonly id: number;
  readonly namespace: string;
  readonly pod: string;
  readonly addresses: readonly string[];
}

export interface Rule {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly path: string;
}

export interface TraceAnswer {
  readonly verdict: 'allow' | 'refuse' | 'audit';
  readonly reason: string;
  readonly endpoint: { readonly id: number; readonly identity: number; readonly namespace: string; readonly pod: string } | null;
  readonly server: { readonly address: string; readonly kind: string };
  readonly port: number;
  readonly protocol: string;
  readonly name: string;
  readonly rule: (Rule & { readonly pattern: string | null }) | null;
  readonly nearest: readonly (Rule & { readonly explanation: string })[];
  readonly deniedBy: readonly Rule[];
  readonly revision: number;
}

/** A refusal, or no answer, with a sentence for the reader. */
export class ApiError extends Error {
  /** As the API has it; UNREACHABLE: nobody answered. */
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** The answer's JSON. @throws ApiError */
export async function get<T>(path: string, timeoutMs: number): Promise<T> {
  const response = await fetch(path, { signal: AbortSignal.timeout(timeoutMs), cache: 'no-store', credentials: 'omit' }).catch((error: unknown) => {
    const isLate = error instanceof DOMException && error.name === 'TimeoutError';
    throw new ApiError('UNREACHABLE', isLate ? `no answer in ${timeoutMs} ms` : 'nobody answers');
  });
  const value: unknown = await response.json().catch(() => null);
  if (response.ok && value !== null) return value as T;
  const { error } = (value ?? {}) as { error?: { code?: string; message?: string } };
  throw new ApiError(error?.code ?? 'INTERNAL', error?.message ?? `the answer has status ${response.status} and cannot be read`);
}

export function query(fields: Readonly<Record<string, string>>): string {
  return new URLSearchParams(Object.entries(fields).filter(([, value]) => value !== '')).toString();
}
