/** A member as its HTTP API and CLI show it. */
import {
  AppError, type ConnectionRequest, type ConnectionTrace, nameMatcher, formatSocketAddress, LATENCY_BUCKETS_MS, type PolicyIndex, type Role, type Snapshot, trace, traceConnection, type TraceRequest,
  type TraceResult, underSettings,
} from '@tandem/core';
import { bootTimeMs } from 'node-reuseport';
import { entriesOf, mappingsOf } from '../control/cache-entries.js';
import type {
  CacheCleaned, CacheEntry, CacheFilter, CacheImported, CacheRow, DaemonView, DataPlaneStatus, DatapathStatus, EndpointView, LatencyStatus, PolicyView, QueryCounters, Readiness, StatusView,
} from '../control/daemon-view.js';
import { CacheRows } from './cache-rows.js';
import { type SettingValue, settingsView } from '../control/settings-view.js';
import type { Member } from './member.js';
import { memberMetrics } from './member-metrics.js';
import { bring } from './pre-cache.js';
import { wallTimes } from '../state/wall-times.js';

const MS_PER_SECOND = 1000;
/** By the data plane's gauge. */
const DRAINING = ['no', 'asking', 'leaving'] as const;
const NO_LATENCIES = { buckets: LATENCY_BUCKETS_MS.map(() => 0).concat(0), sumMs: 0 };

export class MemberView implements DaemonView {
  readonly role: Role;
  private readonly member: Member;
  private readonly metrics: ReturnType<typeof memberMetrics>;

  constructor(member: Member) {
    this.role = member.settings.role;
    this.member = member;
    this.metrics = memberMetrics(member);
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
    const nowMs = bootTimeMs();
    let valid = 0;
    for (const mapping of member.cache.mappings()) {
      names.add(mapping.name);
      if (mapping.expiryMs > nowMs) valid++;
    }
    return {
      role: this.role,
      version: member.version,
      pid: process.pid,
      incarnation: member.incarnation,
      nodeName: settings.nodeName,
      startedAt: time(member.startedAtMs),
      uptimeSeconds: Math.floor((nowMs - member.startedMs) / MS_PER_SECOND),
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
      cache: { names: names.size, mappings: member.cache.size, valid, zombies: member.cache.zombieCount },
      dataPlane: this.dataPlaneStatus(),
      latency: this.latency(),
      state: { dir: settings.stateDir, written: !member.isStateBehind },
      datapath: datapathStatus(member),
    };
  }

  cacheList(filter: CacheFilter): readonly CacheRow[] {
    const matches = filter.matchPattern === null ? () => true : nameMatcher(filter.matchPattern);
    const idOf = new Map(this.member.snapshot?.endpoints.map(({ uid, id }) => [uid, id]));
    const rowsOf = new CacheRows(({ endpointUid, name }) => {
      const id = idOf.get(endpointUid) ?? 0;
      return matches(name) && (filter.endpointId === null || filter.endpointId === id) ? id : null;
    });
    if (filter.source !== 'connection') for (const mapping of this.member.cache.mappings()) rowsOf.lookup(mapping);
    const nextPassMs = this.member.collection.nextPassAtMs;
    if (filter.source !== 'lookup') for (const zombie of this.member.cache.zombies()) rowsOf.connection(zombie, nextPassMs);
    return rowsOf.sorted();
  }

  cacheExport(): readonly CacheEntry[] {
    return entriesOf(this.member.cache.mappings(), wallTimes().bootedAtMs);
  }

  async cacheImport(entries: unknown): Promise<CacheImported> {
    return bring(this.member, mappingsOf(entries, wallTimes()));
  }

  cacheClean(matchPattern: string | null): CacheCleaned {
    return { removed: this.member.mappings.clean(matchPattern) };
  }

  settings(): Readonly<Record<string, SettingValue>> {
    return settingsView(this.member.settings, this.role);
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
      enforced: isClosed(snapshot, endpoint.ruleSet),
      ingressClosed: isClosed(snapshot, endpoint.ingressRuleSet ?? null),
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
      ingress: {
        rules: specs.reduce((sum, { ingress }) => sum + (ingress?.rules ?? 0), 0),
        defaultDeny: specs.some(({ ingress }) => ingress?.defaultDeny === true),
      },
      endpoints: [...new Set(specs.flatMap(({ endpoints }) => endpoints.map((id) => podOf.get(id)!)))].sort(),
    }));
  }

  trace(request: TraceRequest): TraceResult {
    return underSettings(trace(this.index, request), this.member.settings);
  }

  traceConnection(request: ConnectionRequest): ConnectionTrace {
    return traceConnection(this.index, request, (address) => this.member.enforcement?.isOwn(address) ?? false);
  }

  private get index(): PolicyIndex {
    const { index } = this.member;
    if (index === null) throw new AppError('UNAVAILABLE', 'no policy snapshot is enforced yet');
    return index;
  }

  metricsText(): Promise<string> {
    return this.metrics.text();
  }

  private dataPlaneStatus(): DataPlaneStatus {
    const gauges = this.member.dataPlane?.gauges();
    return {
      redundant: gauges?.redundant === 1,
      adopted: gauges?.adopted ?? 0,
      held: gauges?.held === 1,
      draining: DRAINING[gauges?.draining ?? 0],
      heartbeatAgeSeconds: gauges === undefined ? null : Math.max(0, bootTimeMs() - gauges.heartbeatMs) / MS_PER_SECOND,
      underWay: gauges?.underWay ?? 0,
      slots: this.member.slots,
      slotsFree: gauges?.freeSlots ?? 0,
      tcpConnections: gauges?.tcpConnections ?? 0,
    };
  }

  private latency(): LatencyStatus {
    return { boundsMs: LATENCY_BUCKETS_MS, ...(this.member.dataPlane?.counters.latencies('answered') ?? NO_LATENCIES) };
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

function time(wallMs: number): string {
  return new Date(wallMs).toISOString();
}

/** Denied is what no rule allows. */
function isClosed({ ruleSets }: Snapshot, ruleSet: number | null): boolean {
  return ruleSet !== null && ruleSets[ruleSet].openByDefault !== true;
}

function datapathStatus({ enforcement }: Member): DatapathStatus {
  if (enforcement === null) return { kind: 'none', reason: 'explicit mode' };
  const { isLeader, open } = enforcement.counts;
  const who = isLeader ? 'written here' : 'written by the other member';
  return { kind: 'nftables', reason: `${who}, ${open} addresses open; pods on the host network are not redirected`, leads: isLeader, open };
}
