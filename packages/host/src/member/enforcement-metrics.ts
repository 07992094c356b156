/** What the datapath does, as metrics; none where nothing enforces. */
import type { MetricRow, Sample } from '../control/metrics.js';
import type { EnforcementCounts } from './enforcement.js';
import type { HasMember } from './member-metrics.js';

function read(pick: (counts: EnforcementCounts) => number): (source: HasMember) => number | readonly Sample[] {
  return ({ member: { enforcement } }) => (enforcement === null ? [] : pick(enforcement.counts));
}

export const ENFORCEMENT_METRICS: readonly MetricRow<HasMember>[] = [
  { name: 'tandem_datapath_leader', type: 'gauge', help: '1: this member writes the tables of the datapath; 0: the other does.', read: read(({ isLeader }) => (isLeader ? 1 : 0)) },
  { name: 'tandem_datapath_changes_total', type: 'counter', help: 'Transactions by which this member wrote the tables.', read: read(({ changes }) => changes) },
  {
    name: 'tandem_datapath_failures_total', type: 'counter', help: 'Writes of tables or addresses that the kernel refused; tables are tried again until they are written.',
    read: ({ member: { enforcement, dataPlane } }) => (enforcement === null ? [] : enforcement.counts.failures + (dataPlane?.gauges().openFailures ?? 0)),
  },
  { name: 'tandem_datapath_repairs_total', type: 'counter', help: "Times that this member wrote the tables anew because somebody else had changed them.", read: read(({ repairs }) => repairs) },
  { name: 'tandem_datapath_open_addresses', type: 'gauge', help: 'Addresses that names have opened, one per set, as this member knows them.', read: read(({ open }) => open) },
  { name: 'tandem_datapath_connections_cut_total', type: 'counter', help: 'Connections that this member ended because policy allows them no more.', read: read(({ cut }) => cut) },
  {
    name: 'proxy_redirects', isCiliums: true, type: 'gauge', help: 'Pods whose DNS goes to the proxy.', labels: { protocol: 'dns' },
    read: ({ member: { enforcement } }) => (enforcement === null ? [] : [{ labels: { protocol: 'dns' }, value: enforcement.counts.redirects }]),
  },
];
