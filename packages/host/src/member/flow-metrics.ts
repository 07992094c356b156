/** Metrics of the flow rings: what this member writes, and what its readers missed. Walks no ring. */
import type { MetricRow } from '../control/metrics.js';
import type { HasMember } from './member-metrics.js';

export const FLOW_METRICS: readonly MetricRow<HasMember>[] = [
  {
    name: 'tandem_flows_total', type: 'counter', help: 'Flows that this member wrote; they wrap at 2^32.',
    read: ({ member: { flows, settings } }) => flows.rings.reduce((sum, { role, isEnded, seen }) => sum + (role === settings.role && !isEnded ? seen : 0), 0),
  },
  {
    name: 'tandem_flows_lost_total', type: 'counter',
    help: "Flows of either member that were overwritten before a reader here (the Observer API, the status page) had come to them; each reader's counted.",
    read: ({ member: { flows } }) => flows.lostCount,
  },
  {
    name: 'tandem_peer_flows_shared', type: 'gauge', help: '1 while the flow ring of a peer that lives is read here, too.',
    read: ({ member: { flows, settings } }) => (flows.rings.some(({ role, isEnded }) => role !== settings.role && !isEnded) ? 1 : 0),
  },
  {
    name: 'tandem_datapath_packets_total', type: 'counter',
    help: 'Packets that the datapath logged, and this member read while it led: first ones of allowed connections, and those that were turned away, as far as the log\'s rate allows.',
    labels: { direction: 'egress or ingress', verdict: 'allowed, denied, stranger (IDENTITY_STALE), audited or audited-stranger' },
    read: ({ member: { packets } }) => packets.counts().map(({ direction, verdict, count }) => ({ labels: { direction, verdict }, value: count })),
  },
  {
    name: 'tandem_datapath_packets_lost_total', type: 'counter', help: 'Packets that the datapath logged faster than this member read them.',
    read: ({ member: { packets } }) => packets.lostCount,
  },
];
