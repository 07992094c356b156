/** Metrics of a DNS proxy that takes its policy from a Cilium agent; all others have no samples of them. */
import type { MetricRow, Sample } from '../control/metrics.js';
import type { HasMember } from '../member/member-metrics.js';
import type { CiliumState } from './link.js';

type Read = (state: CiliumState) => number | readonly Sample[];

function whereThereIsOne(read: Read): (source: HasMember) => number | readonly Sample[] {
  return ({ member }) => (member.cilium === null ? [] : read(member.cilium()));
}

function byResult(counts: Readonly<Record<string, number>>): Sample[] {
  return Object.entries(counts).map(([result, value]) => ({ labels: { result }, value }));
}

export const CILIUM_METRICS: readonly MetricRow<HasMember>[] = [
  {
    name: 'tandem_cilium_connected', type: 'gauge', help: '1 while the Cilium agent (--cilium-agent) says what policy is; none without one.',
    read: whereThereIsOne(({ connected }) => (connected ? 1 : 0)),
  },
  {
    name: 'tandem_cilium_policy_states_total', type: 'counter', help: 'Policy states that the Cilium agent has said.', labels: { result: 'taken, refused' },
    read: whereThereIsOne(({ states }) => byResult({ ...states })),
  },
  {
    name: 'tandem_cilium_mappings_waiting', type: 'gauge', help: 'Mappings that the Cilium agent has not acknowledged; all of the cache while it is away.',
    read: whereThereIsOne(({ mappings }) => mappings.waiting),
  },
  {
    name: 'tandem_cilium_mappings_total', type: 'counter',
    help: 'Mappings that were told to the Cilium agent, each time anew, and what became of them; and those that were dropped: over before it came back, of a pod that is gone, refused thrice.',
    labels: { result: 'told, acknowledged, expired, unknown_endpoint, refused' },
    read: whereThereIsOne(({ mappings: { told, acknowledged, expired, unknownEndpoint, refused } }) => (
      byResult({ told, acknowledged, expired, unknown_endpoint: unknownEndpoint, refused })
    )),
  },
];
