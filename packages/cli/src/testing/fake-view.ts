/** A daemon's view with fixed content, for tests of the CLI: what it shows is plain, what it was asked is recorded. */
import {
  AppError, type ConnectionRequest, type ConnectionTrace, type DirectionTrace, PROTOCOL, type Role, type TraceParty, type TraceRequest, type TraceResult,
} from '@tandem/core';
import type { CacheEntry, CacheFilter, CacheImported, CacheRow, DaemonView, EndpointView, PolicyView, StatusView } from '@tandem/host';

export const ROW: CacheRow = {
  'fqdn': 'echo.k8s.intra.', 'ips': ['172.17.0.2', '172.17.0.3'], 'lookup-time': '2026-11-05T10:00:00.000Z', 'ttl': 30,
  'expiration-time': '2026-11-05T10:00:30.000Z', 'endpoint-id': 7, 'source': 'lookup',
};

export const ENTRY: CacheEntry = {
  'fqdn': 'echo.k8s.intra.', 'lookup-time': '2026-11-05T10:00:00.000Z', 'expiration-time': '2026-11-05T10:00:30.000Z', 'ttl': 30,
  'ips': ['172.17.0.2', '172.17.0.3'], 'endpoint-uid': 'u',
};

export class FakeView implements DaemonView {
  readonly role: Role;
  readonly httpListen: string;
  readonly asked: unknown[] = [];
  isReady = true;
  stateDir = '/var/lib/tandem';
  /** Makes of the status what a test wants. */
  change: (status: StatusView) => StatusView = (status) => status;

  constructor(role: Role, httpListen = '127.0.0.1:9964') {
    this.role = role;
    this.httpListen = httpListen;
  }

  ready() {
    return { ready: this.isReady, reason: this.isReady ? 'ok' : 'no policy snapshot yet' };
  }

  status(): StatusView {
    return this.change({
      role: this.role, version: '0.1.0', pid: process.pid, incarnation: 'a1', nodeName: 'node-a', startedAt: '2026-11-05T10:00:00.000Z',
      uptimeSeconds: 3_725, listen: ['127.0.0.1:10053'], upstreams: ['127.0.0.153:53'], httpListen: this.httpListen, readiness: this.ready(),
      policy: {
        revision: 4, hash: '0123456789abcdef', appliedAt: '2026-11-05T10:00:00.000Z', endpoints: 2, ruleSets: 2, fqdnSelectors: 2,
        problems: ['web.yaml:12:9: spec.egress[0]: error: x'],
      },
      peer: { connected: true, since: '2026-11-05T10:00:00.000Z', incarnation: 'b1', revision: 4, lag: 0 },
      counters: { queries: 9, allowed: 6, refused: 3, failed: 0, answered: 6, takeovers: 0, taken: 0 }, cache: { names: 1, mappings: 2, valid: 2, zombies: 0 },
      dataPlane: { redundant: true, adopted: 0, held: true, draining: 'no', heartbeatAgeSeconds: 0.004, underWay: 2, slots: 8_192, slotsFree: 8_126, tcpConnections: 1 },
      latency: { boundsMs: [1, 10], buckets: [5, 3, 1], sumMs: 42.5 },
      state: { dir: this.stateDir, written: true }, datapath: { kind: 'none', reason: 'explicit mode' },
    });
  }

  cacheList(filter: CacheFilter): CacheRow[] {
    this.asked.push(filter);
    return [ROW];
  }

  cacheClean(matchPattern: string | null) {
    this.asked.push(matchPattern);
    return { removed: 2 };
  }

  cacheExport(): CacheEntry[] {
    return [ENTRY];
  }

  cacheImport(entries: unknown): Promise<CacheImported> {
    this.asked.push(entries);
    if (!Array.isArray(entries)) throw new AppError('CONFIGURATION', 'holds an object; allowed: an array of entries');
    return Promise.resolve({ read: 2, learned: 1, known: 0, expired: 1, strangers: 0, cleaned: 0, evicted: 0 });
  }

  settings() {
    return { 'node-name': 'node-a', 'state-dir': this.stateDir, 'pair-tls-key': '/etc/tandem/pair-key.pem' };
  }

  endpoints(): EndpointView[] {
    return [{
      id: 7, identity: 300, namespace: 'demo', pod: 'web', uid: 'u', addresses: ['127.0.1.1'], enforced: true, ingressClosed: false, labels: ['k8s:app=web'],
    }];
  }

  policies(): PolicyView[] {
    return [{ kind: 'CiliumNetworkPolicy', namespace: 'demo', name: 'web-egress', rules: 2, defaultDeny: true, ingress: { rules: 0, defaultDeny: false }, endpoints: ['demo/web'] }];
  }

  trace(request: TraceRequest): TraceResult {
    this.asked.push(request);
    if (request.from === 'demo/nobody') throw new AppError('NOT_FOUND', `no local pod is called "${request.from}"`);
    const origin = { kind: 'CiliumNetworkPolicy', namespace: 'demo', name: 'web-egress', path: 'spec.egress[0].toPorts[0]' } as const;
    const isAllowed = request.name.startsWith('www.');
    return {
      verdict: isAllowed ? 'allowed' : 'refused', reason: isAllowed ? 'rule' : 'no-rule',
      endpoint: { id: 7, identity: 300, namespace: 'demo', pod: 'web', uid: 'u', addresses: ['127.0.1.1'], ruleSet: 0 },
      server: { address: request.server, kind: 'pod', services: [], targets: [{ identity: 301, labels: ['k8s:io.cilium.k8s.policy.cluster=default', 'k8s:io.kubernetes.pod.namespace=kube-system', 'k8s:k8s-app=kube-dns'], ports: [53] }] },
      port: request.port, protocol: request.protocol === PROTOCOL.tcp ? 'tcp' : 'udp', name: request.name,
      rule: isAllowed ? { origin, pattern: '*.shop.example.' } : null,
      near: isAllowed ? [] : [{ origin, missed: 'name', explanation: 'the rule allows *.shop.example.' }],
      deniedBy: isAllowed ? [] : [{ ...origin, path: 'spec' }], isOpen: false, revision: 4,
    };
  }

  traceConnection(request: ConnectionRequest): ConnectionTrace {
    this.asked.push(request);
    const origin = { kind: 'CiliumNetworkPolicy', namespace: 'demo', name: 'web-egress', path: 'spec.egress[0].toPorts[0]' } as const;
    const party = (address: string): TraceParty => ({
      address, kind: 'world', services: [], targets: [{ identity: 2, labels: ['reserved:world='], ports: [request.port] }], endpoint: null,
    });
    const open: DirectionTrace = { verdict: 'allowed', reason: 'not-local', rule: null, near: [], deniedBy: [] };
    const isAllowed = request.port === 443;
    return {
      verdict: isAllowed ? 'allowed' : 'denied', from: party('10.0.0.1'), to: party(request.to), port: request.port, protocol: 'tcp', name: request.name,
      egress: isAllowed
        ? { ...open, reason: 'rule', rule: origin }
        : {
          verdict: 'denied', reason: 'no-rule', rule: null, near: [{ origin, missed: 'port', explanation: 'the rule allows 443/TCP, the port is 80' }],
          deniedBy: [{ ...origin, path: 'spec' }],
        },
      ingress: open, revision: 4,
    };
  }

  metricsText() {
    return Promise.resolve('');
  }
}
