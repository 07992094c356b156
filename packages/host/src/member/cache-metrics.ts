/** Metrics of the FQDN cache. Series per endpoint are bounded by the pods of the node: what is cached for a pod that is gone is in the sums alone. */
import type { EndpointCounts } from '@tandem/core';
import type { MetricRow, Sample } from '../control/metrics.js';
import type { HasMember } from './member-metrics.js';

type Row = MetricRow<HasMember>;

function perEndpoint({ member }: HasMember, count: (of: EndpointCounts) => number): Sample[] {
  const idOf = new Map(member.snapshot?.endpoints.map(({ uid, id }) => [uid, id]));
  return [...member.cache.endpointCounts()].flatMap((of) => {
    const id = idOf.get(of.endpointUid);
    return id === undefined ? [] : [{ labels: { endpoint: String(id) }, value: count(of) }];
  });
}

const labels = { endpoint: 'endpoint ID, one per local pod in the snapshot' };

export const CACHE_METRICS: readonly Row[] = [
  { name: 'tandem_mappings', type: 'gauge', help: 'Mappings in the FQDN cache.', read: ({ member }) => member.cache.size },
  { name: 'tandem_zombies', type: 'gauge', help: 'Zombies in it, of all endpoints, those that are gone among them.', read: ({ member }) => member.cache.zombieCount },
  {
    name: 'tandem_zombies_evicted_total', type: 'counter', help: 'Names of zombies that a limit took while connections could use them.',
    read: ({ member }) => member.cache.zombiesEvictedCount,
  },
  {
    name: 'tandem_mappings_evicted_total', type: 'counter', help: 'Mappings that the bound on all of one endpoint took.',
    read: ({ member }) => member.cache.evictedCount,
  },
  {
    name: 'fqdn_gc_deletions_total', isCiliums: true, type: 'counter', help: 'Mappings that collection ended: expired, or of a pod that is gone.',
    read: ({ member }) => member.mappings.collected,
  },
  {
    name: 'fqdn_active_names', isCiliums: true, type: 'gauge', help: 'Names with a mapping.', labels,
    read: (source) => perEndpoint(source, ({ names }) => names),
  },
  {
    name: 'fqdn_active_ips', isCiliums: true, type: 'gauge', help: 'Addresses with a mapping.', labels,
    read: (source) => perEndpoint(source, ({ addresses }) => addresses),
  },
  {
    name: 'fqdn_alive_zombie_connections', isCiliums: true, type: 'gauge', help: 'Addresses without a valid look-up that connections may use.', labels,
    read: (source) => perEndpoint(source, ({ zombies }) => zombies),
  },
  { name: 'fqdn_selectors', isCiliums: true, type: 'gauge', help: 'toFQDNs selectors.', read: ({ member }) => member.snapshot?.fqdnSelectors.length ?? 0 },
];
