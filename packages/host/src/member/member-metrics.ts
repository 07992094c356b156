/** All metrics of a member, in the order of the page and of the text form. */
import { CILIUM_METRICS } from '../cilium/cilium-metrics.js';
import { type MetricRow, Metrics } from '../control/metrics.js';
import { type HasProcess, PROCESS_METRICS, ProcessReadings } from '../control/process-metrics.js';
import { CACHE_METRICS } from './cache-metrics.js';
import { ENFORCEMENT_METRICS } from './enforcement-metrics.js';
import { FLOW_METRICS } from './flow-metrics.js';
import type { Member } from './member.js';
import { PAIR_METRICS } from './pair-metrics.js';
import { QUERY_METRICS } from './query-metrics.js';
import { SOURCE_METRICS } from './source-metrics.js';

/** What metrics are read from. */
export interface HasMember {
  readonly member: Member;
}

const BUILD_METRICS: readonly MetricRow<HasMember>[] = [
  {
    name: 'tandem_build_info', type: 'gauge', help: '1, with what runs.', labels: { version: 'of Tandem', node_version: 'of Node.js' },
    read: ({ member: { version } }) => [{ labels: { version, node_version: process.version }, value: 1 }],
  },
];

export const MEMBER_METRICS: readonly MetricRow<HasMember & HasProcess>[] = [
  ...PAIR_METRICS, ...QUERY_METRICS, ...CACHE_METRICS, ...FLOW_METRICS, ...ENFORCEMENT_METRICS, ...SOURCE_METRICS, ...CILIUM_METRICS, ...BUILD_METRICS,
  ...PROCESS_METRICS,
];

export function memberMetrics(member: Member): Metrics<HasMember & HasProcess> {
  const { role, nodeName, metricsCiliumPrefix } = member.settings;
  return new Metrics({
    rows: MEMBER_METRICS, source: { member, process: new ProcessReadings() }, role, nodeName, ciliumPrefix: metricsCiliumPrefix,
  });
}
