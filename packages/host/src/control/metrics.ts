/**
 * Metrics in Prometheus text form. Nothing is counted here: each scrape reads what others count, such as the data
 * plane's words in shared memory, so the query path pays nothing. Every counter has its own name, `tandem_…_total`; what
 * Cilium exports too is there under Cilium's name as well, so that existing dashboards work.
 */
import type { Role } from '@tandem/core';
import { Counter, Gauge, Registry, type Metric } from 'prom-client';

export type Labels = Readonly<Record<string, string>>;

/** One value per label set. */
export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

export interface LatencyReading {
  /** Counts per bucket, not cumulative; one more than there are bounds: the rest. */
  readonly buckets: readonly number[];
  readonly sumMs: number;
}

/** Counters of the query path that Cilium exports too, by our name. */
const CILIUM_NAMES: Readonly<Record<string, { readonly name: string; readonly help: string; readonly labels: Labels }>> = {
  queries: l7('received'),
  allowed: l7('forwarded'),
  denied: l7('denied'),
  malformed: l7('parse_errors'),
  semaphore_rejected: {
    name: 'cilium_fqdn_semaphore_rejected_total', help: 'Queries over the concurrency limit.', labels: {},
  },
  hold_timeout: {
    name: 'cilium_proxy_datapath_update_timeout_total', help: 'Answers released before the datapath was open.', labels: {},
  },
};

const LATENCY_NAME = 'cilium_proxy_upstream_reply_seconds';
const LATENCY_LABELS: Labels = { error: 'allow', protocol_l7: 'dns', scope: 'totalTime' };
const MS_PER_SECOND = 1_000;
const MICROSECONDS_PER_SECOND = 1e6;

export class Metrics {
  readonly #registry = new Registry();
  readonly #counters = new Map<string, { readonly label: Labels; readonly read: () => number }[]>();

  constructor(role: Role) {
    this.#registry.setDefaultLabels({ role });
  }

  /** `help` names the words of the array that `read` returns, in order. */
  registerCounters(help: Readonly<Record<string, string>>, read: () => Float64Array): void {
    Object.entries(help).forEach(([name, text], index) => {
      this.#counter({ name: `tandem_${name}_total`, help: text, labels: {} }, () => read()[index]);
      if (Object.hasOwn(CILIUM_NAMES, name)) this.#counter(CILIUM_NAMES[name], () => read()[index]);
    });
  }

  /** One counter whose value is kept elsewhere. `name` is whole, `…_total`. */
  registerCounter(metric: { readonly name: string; readonly help: string; readonly labels?: Labels }, read: () => number): void {
    this.#counter({ labels: {}, ...metric }, read);
  }

  /** A number, or a sample per label set (all with the same label names, given in `labelNames`). */
  registerGauge(
    metric: { readonly name: string; readonly help: string; readonly labelNames?: readonly string[] },
    read: () => number | readonly Sample[],
  ): void {
    new Gauge({
      name: metric.name, help: metric.help, labelNames: [...(metric.labelNames ?? [])], registers: [this.#registry],
      collect() {
        const reading = read();
        this.reset();
        if (typeof reading === 'number') this.set(reading);
        else for (const { labels, value } of reading) this.set(labels, value);
      },
    });
  }

  /** Time from a query's arrival to its answer; upper bounds in milliseconds, ascending. */
  registerLatency(boundsMs: readonly number[], read: () => LatencyReading): void {
    // prom-client's own histogram can only observe; this one shows buckets that were filled elsewhere.
    const histogram = {
      name: LATENCY_NAME, help: 'Seconds from the arrival of a query to its answer.', type: 'histogram', aggregator: 'sum',
      get: () => Promise.resolve({
        name: LATENCY_NAME, help: histogram.help, type: 'histogram', aggregator: 'sum', values: histogramValues(boundsMs, read()),
      }),
    };
    this.#registry.registerMetric(histogram as unknown as Metric);
  }

  /** Memory and processor time of this process, under the names that every Prometheus client uses. */
  registerProcess(): void {
    const startedAtSeconds = Date.now() / MS_PER_SECOND - process.uptime();
    this.registerGauge({ name: 'process_resident_memory_bytes', help: 'Resident memory.' }, () => process.memoryUsage.rss());
    this.registerGauge({ name: 'process_start_time_seconds', help: 'Start of the process since 1970.' }, () => startedAtSeconds);
    this.registerCounter({ name: 'process_cpu_seconds_total', help: 'User and system processor time.' }, () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / MICROSECONDS_PER_SECOND;
    });
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #counter(metric: { readonly name: string; readonly help: string; readonly labels: Labels }, read: () => number): void {
    const parts = this.#counters.get(metric.name);
    if (parts !== undefined) {
      parts.push({ label: metric.labels, read });
      return;
    }
    const all = [{ label: metric.labels, read }];
    this.#counters.set(metric.name, all);
    new Counter({
      name: metric.name, help: metric.help, labelNames: Object.keys(metric.labels), registers: [this.#registry],
      collect() {
        this.reset();
        for (const part of all) this.inc(part.label, part.read());
      },
    });
  }
}

function l7(rule: string): { name: string; help: string; labels: Labels } {
  return {
    name: 'cilium_policy_l7_total', help: 'DNS queries by what policy made of them.', labels: { rule, proxy_type: 'fqdn' },
  };
}

function histogramValues(boundsMs: readonly number[], reading: LatencyReading): unknown[] {
  let cumulative = 0;
  const values = reading.buckets.map((count, index) => {
    cumulative += count;
    const le = index < boundsMs.length ? String(boundsMs[index] / MS_PER_SECOND) : '+Inf';
    return { metricName: `${LATENCY_NAME}_bucket`, labels: { ...LATENCY_LABELS, le }, value: cumulative };
  });
  return [
    ...values,
    { metricName: `${LATENCY_NAME}_sum`, labels: LATENCY_LABELS, value: reading.sumMs / MS_PER_SECOND },
    { metricName: `${LATENCY_NAME}_count`, labels: LATENCY_LABELS, value: cumulative },
  ];
}
