/** Answers of a pair, for tests of the page: a healthy one, changed where a test says so. */
import type { DataPlane, MemberAnswer, PairAnswer, Role, Status } from '../api.js';

export interface Change {
  readonly status?: Partial<Status>;
  readonly dataPlane?: Partial<DataPlane>;
  /** It does not answer. */
  readonly cause?: NonNullable<MemberAnswer['cause']>;
}

const START_MS = Date.UTC(2026, 0, 5, 8);

export function answer(atSeconds: number, changes: Partial<Record<Role, Change>> = {}): PairAnswer {
  return { self: 'dns-proxy', members: [member('agent', atSeconds, changes.agent ?? {}), member('dns-proxy', atSeconds, changes['dns-proxy'] ?? {})] };
}

export function timeMs(atSeconds: number): number {
  return START_MS + atSeconds * 1000;
}

function member(role: Role, atSeconds: number, { status, dataPlane, cause }: Change): MemberAnswer {
  const askedAt = new Date(timeMs(atSeconds)).toISOString();
  if (cause !== undefined) return { role, reachable: false, cause, reason: `because it is ${cause}`, askedAt, status: null };
  return { role, reachable: true, cause: null, reason: 'ok', askedAt, status: { ...healthy(role), ...status, dataPlane: { ...plane, ...dataPlane } } };
}

const plane: DataPlane = {
  redundant: true, adopted: 0, held: true, draining: 'no', heartbeatAgeSeconds: 0.004, underWay: 0, slots: 8192, slotsFree: 16384, tcpConnections: 0,
};

function healthy(role: Role): Status {
  return {
    version: '0.1.0', pid: role === 'agent' ? 100 : 200, incarnation: role === 'agent' ? 'aaaaaaaaaaaaaaaa' : 'dddddddddddddddd', nodeName: 'node-1',
    startedAt: new Date(START_MS).toISOString(), uptimeSeconds: 60, listen: ['127.0.0.1:10053'], upstreams: ['127.0.0.153:53'],
    httpListen: '127.0.0.1:9965', readiness: { ready: true, reason: 'ok' },
    policy: { revision: 1, hash: 'd0406073bc51', appliedAt: null, endpoints: 3, fqdnSelectors: 2, problems: [] },
    peer: { connected: true, since: null, revision: 1, lag: 0 },
    counters: { queries: 0, answered: 0, refused: 0, failed: 0, takeovers: 0, taken: 0 },
    cache: { names: 1, mappings: 1 },
    latency: { boundsMs: [1, 10], buckets: [0, 0, 0] },
  };
}
