/** Metrics of what only a pair has: how the two are, and what they have in common. */
import { bootTimeMs } from 'node-reuseport';
import type { MetricRow, Sample } from '../control/metrics.js';
import type { Gauges } from '../dataplane/index.js';
import type { HasMember } from './member-metrics.js';

type Row = MetricRow<HasMember>;

const MS_PER_SECOND = 1_000;

function gauge({ member }: HasMember, name: keyof Gauges): number {
  return member.dataPlane?.gauges()[name] ?? 0;
}

/** Seconds since that moment; no sample where there was none. */
function age(source: HasMember, name: 'heartbeatMs' | 'peerHeartbeatMs'): number | readonly Sample[] {
  const atMs = gauge(source, name);
  return atMs === 0 ? [] : Math.max(0, bootTimeMs() - atMs) / MS_PER_SECOND;
}

function known(value: number | null | undefined): number | readonly Sample[] {
  return value ?? [];
}

const DATA_PLANE: readonly Row[] = [
  { name: 'tandem_redundant', type: 'gauge', help: '1 while each member could answer for the other.', read: (source) => gauge(source, 'redundant') },
  { name: 'tandem_adopted', type: 'gauge', help: 'Members that are being answered for.', read: (source) => gauge(source, 'adopted') },
  {
    name: 'tandem_heartbeat_age_seconds', type: 'gauge', help: 'Since the last turn of the data plane, which takes one every 10 ms at least.',
    read: (source) => age(source, 'heartbeatMs'),
  },
  {
    name: 'tandem_peer_heartbeat_age_seconds', type: 'gauge', help: "Since the peer's data plane was seen to turn, looked at every 10 ms; none without a peer.",
    read: (source) => age(source, 'peerHeartbeatMs'),
  },
  { name: 'tandem_slots', type: 'gauge', help: 'Unanswered queries that there is room for (--slots).', read: ({ member }) => member.slots },
  { name: 'tandem_slots_free', type: 'gauge', help: 'Slots without a query.', read: (source) => gauge(source, 'freeSlots') },
  { name: 'tandem_slots_used', type: 'gauge', help: 'Slots with a query, or set out to receive one.', read: ({ member }) => {
    const gauges = member.dataPlane?.gauges();
    return gauges === undefined ? 0 : Math.max(0, member.slots - gauges.freeSlots);
  } },
  {
    name: 'tandem_worker_queries_total', type: 'counter', help: 'Queries received by each worker (--workers): the kernel spreads clients over them by a hash of address and port.',
    labels: { worker: '0 to 15' },
    read: ({ member }) => (member.dataPlane?.queries ?? []).map((value, worker) => ({ labels: { worker: String(worker) }, value })),
  },
  { name: 'tandem_under_way', type: 'gauge', help: 'Queries under way.', read: (source) => gauge(source, 'underWay') },
  { name: 'tandem_tcp_connections', type: 'gauge', help: 'TCP connections from clients.', read: (source) => gauge(source, 'tcpConnections') },
];

const LINK: readonly Row[] = [
  { name: 'tandem_peer_connected', type: 'gauge', help: '1 while the pair link is up.', read: ({ member }) => (member.peer.connected ? 1 : 0) },
  {
    name: 'tandem_peer_link_changes_total', type: 'counter', help: 'Times that a link to a peer came up, and went down.', labels: { state: 'up, down' },
    read: ({ member: { linkChanges } }) => [
      { labels: { state: 'up' }, value: linkChanges.up }, { labels: { state: 'down' }, value: linkChanges.down },
    ],
  },
  { name: 'tandem_peer_lag_mappings', type: 'gauge', help: 'Mappings not yet on the disks of both members; without a peer all.', read: ({ member }) => member.lag },
  {
    name: 'tandem_peer_lag_seconds', type: 'gauge', help: 'For how long the oldest of these was sent and is not acknowledged, or the peer is away.',
    read: ({ member }) => member.lagMs / MS_PER_SECOND,
  },
  {
    name: 'tandem_peer_info', type: 'gauge', help: "1, with the peer's version as of the last link; none before the first.", labels: { version: 'text of up to 64 characters' },
    read: ({ member: { peer } }) => (peer.version === null ? [] : [{ labels: { version: peer.version }, value: 1 }]),
  },
  {
    name: 'tandem_settings_mismatch', type: 'gauge', help: 'Settings in which the peer contradicts this member.', read: ({ member }) => member.mismatches.length,
  },
];

const POLICY: readonly Row[] = [
  { name: 'tandem_policy_revision', type: 'gauge', help: 'Snapshot in force; 0 for none.', read: ({ member }) => member.enforced?.revision ?? 0 },
  {
    name: 'tandem_policy_applied_timestamp_seconds', type: 'gauge', help: 'Since when it is in force here, seconds since 1970; none without one.',
    read: ({ member: { enforced } }) => known(enforced === null ? null : enforced.atMs / MS_PER_SECOND),
  },
  { name: 'tandem_peer_policy_revision', type: 'gauge', help: "The peer's, as of the last link; none before the first.", read: ({ member }) => known(member.peer.revision) },
  {
    name: 'tandem_peer_policy_differs', type: 'gauge', help: '1 while the link is up and the peer enforces another policy. Equal content under two revisions is one policy.',
    read: ({ member: { peer, enforced } }) => (peer.connected && enforced !== null && peer.hash !== enforced.hash ? 1 : 0),
  },
  { name: 'tandem_policy_endpoints', type: 'gauge', help: 'Local pods in the snapshot.', read: ({ member }) => member.snapshot?.endpoints.length ?? 0 },
  { name: 'tandem_policy_problems', type: 'gauge', help: 'Complaints that `tandem status` shows: of the policy source, settings and files.', read: ({ member }) => member.problems.length },
];

const STATE: readonly Row[] = [
  {
    name: 'tandem_state_write_failed', type: 'gauge', help: '1 while the disk does not take what must survive a restart.',
    read: ({ member }) => (member.isStateBehind ? 1 : 0),
  },
  {
    name: 'tandem_state_waiting_changes', type: 'gauge', help: 'Changes of the FQDN cache that are not on this disk yet.',
    read: ({ member }) => member.mappings.store.waiting,
  },
];

export const PAIR_METRICS: readonly Row[] = [...DATA_PLANE, ...LINK, ...POLICY, ...STATE];
