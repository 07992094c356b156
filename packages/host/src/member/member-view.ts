/** A member as its HTTP API and CLI show it. */
import {
  AppError, COUNTERS, formatSocketAddress, LATENCY_BUCKETS_MS, type Mapping, type Role, trace, type TraceRequest,
  type TraceResult, underSettings,
} from '@tandem/core';
import { bootTimeMs } from 'node-reuseport';
import type {
  CacheCleaned, CacheFilter, CacheRow, DaemonView, EndpointView, PolicyView, QueryCounters, Readiness, StatusView,
} from '../control/daemon-view.js';
import { Metrics } from '../control/metrics.js';
import type { Member } from './member.js';
import { nameMatcher } from './name-matcher.js';

const MS_PER_SECOND = 1000;

export class MemberView implements DaemonView {
  readonly role: Role;
  private readonly member: Member;
  private readonly metrics: Metrics;

  constructor(member: Member) {
    this.role = member.settings.role;
    this.member = member;
    this.metrics = metricsOf(member);
  }

  ready(): Readiness {
    if (this.member.dataPlane === null) return { ready: false, reason: 'the shared addresses are not bound yet' };
    if (this.member.enforced === null) return { ready: false, reason: 'no policy snapshot is enforced yet' };
    return { ready: true, reason: 'ok' };
  }

  status(): StatusView {
    const { member } = this;
    const { settings, snapshot, enforced, peer } = member;
    const names = new Set<string>();
    for (const mapping of member.cache.mappings()) names.add(mapping.name);
    return {
      role: this.role,
      version: member.version,
      pid: process.pid,
      incarnation: member.incarnation,
      nodeName: settings.nodeName,
      startedAt: time(member.startedAtMs),
      uptimeSeconds: Math.floor((Date.now() - member.startedAtMs) / MS_PER_SECOND),
      listen: (member.dataPlane?.addresses ?? settings.listen).map(formatSocketAddress),
      upstreams: settings.upstreams.map(formatSocketAddress),
      httpListen: formatSocketAddress(member.httpListen),
      readiness: this.ready(),
      policy: {
        revision: enforced?.revision ?? null,
        hash: enforced?.hash ?? null,
        appliedAt: enforced === null ? null : time(enforced.atMs),
        endpoints: snapshot?.endpoints.length ?? 0,
        ruleSets: snapshot?.ruleSets.length ?? 0,
        fqdnSelectors: snapshot?.fqdnSelectors.length ?? 0,
        problems: member.problems,
      },
      peer: {
        connected: peer.connected,
        since: peer.sinceMs === null ? null : time(peer.sinceMs),
        incarnation: peer.incarnation,
        revision: peer.revision,
        lag: member.lag,
      },
      counters: this.counters(),
      cache: { names: names.size, mappings: member.cache.size },
    };
  }

  cacheList(filter: CacheFilter): readonly CacheRow[] {
    if (filter.source === 'connection') return [];
    const matches = filter.matchPattern === null ? () => true : nameMatcher(filter.matchPattern);
    // One reading of both clocks: times of one row must fit each other.
    const bootedAtMs = Date.now() - bootTimeMs();
    const rows = new Map<string, CacheRow & { readonly ips: string[] }>();
    for (const mapping of this.member.cache.mappings()) {
      if (!matches(mapping.name)) continue;
      const id = this.member.endpointByUid(mapping.endpointUid)?.id ?? 0;
      if (filter.endpointId !== null && filter.endpointId !== id) continue;
      // One row per look-up, as Cilium has it.
      const key = `${id} ${mapping.name} ${mapping.lookupMs} ${mapping.ttlSeconds}`;
      const row = rows.get(key);
      if (row === undefined) rows.set(key, rowOf(mapping, id, bootedAtMs));
      else row.ips.push(mapping.address);
    }
    for (const row of rows.values()) row.ips.sort();
    return [...rows.values()].sort(
      (a, b) => a['endpoint-id'] - b['endpoint-id'] || compare(a.fqdn, b.fqdn) || compare(a.ips[0], b.ips[0]),
    );
  }

  cacheClean(matchPattern: string | null): CacheCleaned {
    return { removed: this.member.clean(matchPattern) };
  }

  endpoints(): readonly EndpointView[] {
    const { snapshot } = this.member;
    if (snapshot === null) return [];
    const labels = new Map(snapshot.identities.map((identity) => [identity.identity, identity.labels]));
    return snapshot.endpoints.map((endpoint) => ({
      id: endpoint.id,
      identity: endpoint.identity,
      namespace: endpoint.namespace,
      pod: endpoint.pod,
      uid: endpoint.uid,
      addresses: endpoint.addresses,
      enforced: endpoint.ruleSet !== null,
      labels: labels.get(endpoint.identity) ?? [],
    }));
  }

  policies(): readonly PolicyView[] {
    const { snapshot } = this.member;
    if (snapshot === null) return [];
    const podOf = new Map(snapshot.endpoints.map(({ id, namespace, pod }) => [id, `${namespace}/${pod}`]));
    return snapshot.policies.map(({ kind, namespace, name, specs }) => ({
      kind,
      namespace,
      name,
      rules: specs.reduce((sum, { rules }) => sum + rules, 0),
      defaultDeny: specs.some(({ defaultDeny }) => defaultDeny),
      endpoints: [...new Set(specs.flatMap(({ endpoints }) => endpoints.map((id) => podOf.get(id)!)))].sort(),
    }));
  }

  trace(request: TraceRequest): TraceResult {
    const { index } = this.member;
    if (index === null) throw new AppError('UNAVAILABLE', 'no policy snapshot is enforced yet');
    return underSettings(trace(index, request), this.member.settings);
  }

  metricsText(): Promise<string> {
    return this.metrics.text();
  }

  private counters(): QueryCounters {
    const counters = this.member.dataPlane?.counters;
    if (counters === undefined) return { queries: 0, allowed: 0, refused: 0, failed: 0, answered: 0 };
    const all = counters.all();
    return {
      ...all,
      refused: all.denied + all.no_snapshot,
      failed: all.upstream_timeout + all.semaphore_rejected + all.shed,
    };
  }
}

/** `bootedAtMs` is the time of day at boot. */
function rowOf(mapping: Mapping, endpointId: number, bootedAtMs: number): CacheRow & { readonly ips: string[] } {
  return {
    'fqdn': mapping.name,
    'ips': [mapping.address],
    'lookup-time': time(bootedAtMs + mapping.lookupMs),
    'ttl': mapping.ttlSeconds,
    'expiration-time': time(bootedAtMs + mapping.expiryMs),
    'endpoint-id': endpointId,
    'source': 'lookup',
  };
}

function metricsOf(member: Member): Metrics {
  const metrics = new Metrics(member.settings.role);
  const none = new Float64Array(Object.keys(COUNTERS).length);
  metrics.registerProcess();
  metrics.registerCounters(COUNTERS, () => member.dataPlane?.counters.words ?? none);
  metrics.registerCounter(
    { name: 'cilium_fqdn_gc_deletions_total', help: 'Mappings removed by collection.' },
    () => member.collected,
  );
  metrics.registerLatency(
    LATENCY_BUCKETS_MS,
    () => member.dataPlane?.counters.latencies() ?? { buckets: LATENCY_BUCKETS_MS.map(() => 0).concat(0), sumMs: 0 },
  );
  metrics.registerGauge({ name: 'tandem_under_way', help: 'Queries under way.' }, () => member.dataPlane?.gauges().underWay ?? 0);
  metrics.registerGauge(
    { name: 'tandem_tcp_connections', help: 'TCP connections from clients.' },
    () => member.dataPlane?.gauges().tcpConnections ?? 0,
  );
  metrics.registerGauge({ name: 'tandem_slots_free', help: 'Slots without a query.' }, () => member.dataPlane?.gauges().freeSlots ?? 0);
  metrics.registerGauge(
    { name: 'tandem_redundant', help: '1 while each member could answer for the other.' },
    () => member.dataPlane?.gauges().redundant ?? 0,
  );
  metrics.registerGauge({ name: 'tandem_adopted', help: 'Members that are being answered for.' }, () => member.dataPlane?.gauges().adopted ?? 0);
  metrics.registerGauge({ name: 'tandem_heartbeat_age_seconds', help: 'Since the last turn of the data plane.' }, () => {
    const gauges = member.dataPlane?.gauges();
    return gauges === undefined ? 0 : Math.max(0, bootTimeMs() - gauges.heartbeatMs) / MS_PER_SECOND;
  });
  metrics.registerGauge({ name: 'tandem_mappings', help: 'Mappings in the FQDN cache.' }, () => member.cache.size);
  metrics.registerGauge({ name: 'tandem_peer_connected', help: '1 while the pair link is up.' }, () => (member.peer.connected ? 1 : 0));
  metrics.registerGauge({ name: 'tandem_peer_lag_mappings', help: 'Mappings not yet acknowledged by the peer.' }, () => member.lag);
  metrics.registerGauge({ name: 'tandem_policy_revision', help: 'Snapshot in force; 0 for none.' }, () => member.enforced?.revision ?? 0);
  metrics.registerGauge(
    { name: 'tandem_state_write_failed', help: '1 while the disk does not take what must survive a restart.' },
    () => (member.isStateBehind ? 1 : 0),
  );
  metrics.registerGauge(
    { name: 'tandem_settings_mismatch', help: 'Settings in which the peer contradicts this member.' },
    () => member.mismatches.length,
  );
  metrics.registerGauge({ name: 'cilium_fqdn_selectors', help: 'toFQDNs selectors.' }, () => member.snapshot?.fqdnSelectors.length ?? 0);
  return metrics;
}

function time(wallMs: number): string {
  return new Date(wallMs).toISOString();
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
