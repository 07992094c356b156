/** Metrics of what the query path counts. Every counter has a name of its own; what Cilium or Hubble count, too, is there under their names as well. */
import { ADDRESSES_MAX, COUNTED_RCODES, COUNTED_TYPES, type CounterName, COUNTERS, LATENCY_BUCKETS_MS, type LatencyName } from '@tandem/core';
import type { HistogramSample, MetricRow, Sample } from '../control/metrics.js';
import type { HasMember } from './member-metrics.js';

type Row = MetricRow<HasMember>;

function count({ member }: HasMember, name: CounterName): number {
  return member.dataPlane?.counters.get(name) ?? 0;
}

const OWN: readonly Row[] = (Object.entries(COUNTERS) as [CounterName, string][]).map(([name, help]): Row => ({
  name: `tandem_${name}_total`, type: 'counter', help, read: (source) => count(source, name),
}));

/** Counts of queries; Cilium counts answers in the same metric, too. */
const L7_RULES = { received: 'queries', forwarded: 'allowed', denied: 'denied', parse_errors: 'malformed' } as const;
const L7_PROXY = 'fqdn';

/** What is timed, in Cilium's words: its `error` and `scope`. */
const SCOPES: Readonly<Record<LatencyName, { readonly error: string; readonly scope: string }>> = {
  answered: { error: 'allow', scope: 'totalTime' },
  upstream: { error: 'allow', scope: 'upstreamTime' },
  held: { error: 'allow', scope: 'dataplaneTime' },
  queued: { error: 'allow', scope: 'semaphoreTime' },
  timedOut: { error: 'timeout', scope: 'totalTime' },
};
const NO_TIMES = { buckets: [...LATENCY_BUCKETS_MS.map(() => 0), 0], sumMs: 0 };

const CILIUMS: readonly Row[] = [
  {
    name: 'policy_l7_total', isCiliums: true, type: 'counter', help: 'DNS queries by what became of them. Answers are not counted here.',
    labels: { rule: Object.keys(L7_RULES).join(', '), proxy_type: L7_PROXY },
    read: (source) => Object.entries(L7_RULES).map(([rule, name]) => ({ labels: { rule, proxy_type: L7_PROXY }, value: count(source, name) })),
  },
  {
    name: 'proxy_upstream_reply_seconds', isCiliums: true, type: 'histogram',
    help: 'allow, totalTime: from a query\'s arrival to its answer; upstreamTime: what the upstream took of it; dataplaneTime and semaphoreTime: waits for the datapath and under the concurrency limit, of those that waited. timeout, totalTime: until SERVFAIL because no upstream answered.',
    labels: { error: 'allow, timeout', protocol_l7: 'dns', scope: 'totalTime, upstreamTime, dataplaneTime, semaphoreTime' },
    read: ({ member }) => (Object.entries(SCOPES) as [LatencyName, { error: string; scope: string }][]).map(([name, { error, scope }]): HistogramSample => ({
      labels: { error, protocol_l7: 'dns', scope },
      value: { boundsMs: LATENCY_BUCKETS_MS, ...(member.dataPlane?.counters.latencies(name) ?? NO_TIMES) },
    })),
  },
  {
    name: 'fqdn_semaphore_rejected_total', isCiliums: true, type: 'counter', help: 'Queries over the concurrency limit.',
    read: (source) => count(source, 'semaphore_rejected'),
  },
  {
    name: 'proxy_datapath_update_timeout_total', isCiliums: true, type: 'counter', help: 'Answers released before the datapath was open.',
    read: (source) => count(source, 'hold_timeout'),
  },
];

const types = COUNTED_TYPES.join(', ');
/** As Hubble has it: a refused question has this code, one that is let pass has none. */
const POLICY_DENIED = 'Policy denied';

const HUBBLES: readonly Row[] = [
  {
    name: 'hubble_dns_queries_total', type: 'counter', help: 'DNS questions by type and verdict.',
    labels: { rcode: `empty: allowed, ${POLICY_DENIED}`, qtypes: types, ips_returned: '0' },
    read: ({ member }) => {
      const dns = member.dataPlane?.counters.dns;
      if (dns === undefined) return [];
      const samples = (which: 'allowed' | 'refused', rcode: string): Sample[] =>
        dns.questions(which).map(({ type, count: value }) => ({ labels: { rcode, qtypes: type, ips_returned: '0' }, value }));
      return [...samples('allowed', ''), ...samples('refused', POLICY_DENIED)];
    },
  },
  {
    name: 'hubble_dns_responses_total', type: 'counter', help: 'Answers by type, response code and addresses in them; a label set is there once it was seen.',
    labels: { rcode: COUNTED_RCODES.join(', '), qtypes: types, ips_returned: `0 to ${ADDRESSES_MAX}, the last for more, too` },
    read: ({ member }) => (member.dataPlane?.counters.dns.answers() ?? []).map(({ type, rcode, addresses, count: value }) => ({
      labels: { rcode, qtypes: type, ips_returned: String(addresses) }, value,
    })),
  },
  {
    name: 'hubble_dns_response_types_total', type: 'counter', help: "Records in answers by their type and the question's; a label set is there once it was seen.",
    labels: { type: types, qtypes: types },
    read: ({ member }) => (member.dataPlane?.counters.dns.records() ?? []).map(({ type, questionType, count: value }) => ({
      labels: { type, qtypes: questionType }, value,
    })),
  },
];

export const QUERY_METRICS: readonly Row[] = [...OWN, ...CILIUMS, ...HUBBLES];
