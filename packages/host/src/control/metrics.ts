/**
 * Metrics in Prometheus text form, from rows that say what each is called, means, and is read from. Nothing is counted here: a scrape
 * reads what others count, such as the data plane's words in shared memory, so the query path pays nothing for it.
 *
 * Invariant: every name is in one row, and a sample has exactly the labels that its row names, besides `node` and `role`, which all
 * have. It does not know what a member is. The library that writes the text is loaded for the first scrape: a start does not wait for it.
 */
import type { Role } from '@tandem/core';
import type { Metric, Registry } from 'prom-client';

export type Labels = Readonly<Record<string, string>>;

/** Counts of a histogram that is filled elsewhere. */
export interface HistogramReading {
  /** Upper bounds in milliseconds, ascending. */
  readonly boundsMs: readonly number[];
  /** Counts per bucket, not cumulative; one more than there are bounds: the rest. */
  readonly buckets: readonly number[];
  readonly sumMs: number;
}

/** One value per label set. */
export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

export interface HistogramSample {
  readonly labels: Labels;
  readonly value: HistogramReading;
}

interface RowBase {
  /** Whole, but for the prefix where `isCiliums`. Seconds and bytes, as Prometheus has it. */
  readonly name: string;
  readonly help: string;
  /** By name: what values the label has, and how many at most. Absent: the metric has none. */
  readonly labels?: Labels;
  /** Cilium has it: a setting gives the prefix of its name. */
  readonly isCiliums?: boolean;
}

/** `read`: a number, or a sample per label set; no sample for what is not known now. */
export type MetricRow<S> =
  | (RowBase & { readonly type: 'counter' | 'gauge'; readonly read: (source: S) => number | readonly Sample[] })
  | (RowBase & { readonly type: 'histogram'; readonly read: (source: S) => readonly HistogramSample[] });

export interface MetricsOptions<S> {
  readonly rows: readonly MetricRow<S>[];
  readonly source: S;
  readonly role: Role;
  readonly nodeName: string;
  readonly ciliumPrefix: string;
}

/** A line of the text form, as prom-client takes it. */
interface Value {
  readonly metricName?: string;
  readonly labels: Labels;
  readonly value: number;
}

const MS_PER_SECOND = 1_000;

export class Metrics<S> {
  private readonly options: MetricsOptions<S>;
  private registry: Promise<Registry> | null = null;

  constructor(options: MetricsOptions<S>) {
    this.options = options;
  }

  async text(): Promise<string> {
    // One that could not be loaded, as while packages are replaced, is tried again.
    this.registry ??= registryOf(this.options).catch((error: unknown) => {
      this.registry = null;
      throw error;
    });
    return (await this.registry).metrics();
  }
}

async function registryOf<S>({ rows, source, role, nodeName, ciliumPrefix }: MetricsOptions<S>): Promise<Registry> {
  const { Registry } = await import('prom-client');
  const registry = new Registry();
  registry.setDefaultLabels({ node: nodeName, role });
  for (const row of rows) {
    const { help, type } = row;
    const name = metricName(row, ciliumPrefix);
    // prom-client's own metrics keep values; here they are read when they are asked for.
    const metric = {
      name, help, type, aggregator: 'sum', get: () => Promise.resolve({ name, help, type, aggregator: 'sum', values: valuesOf(row, name, source) }),
    };
    registry.registerMetric(metric as unknown as Metric);
  }
  return registry;
}

export function metricName(row: { readonly name: string; readonly isCiliums?: boolean }, ciliumPrefix: string): string {
  return row.isCiliums === true ? `${ciliumPrefix}${row.name}` : row.name;
}

function valuesOf<S>(row: MetricRow<S>, name: string, source: S): Value[] {
  if (row.type === 'histogram') return row.read(source).flatMap((sample) => histogramValues(name, sample));
  const reading = row.read(source);
  return typeof reading === 'number' ? [{ labels: {}, value: reading }] : [...reading];
}

function histogramValues(name: string, { labels, value: { boundsMs, buckets, sumMs } }: HistogramSample): Value[] {
  let cumulative = 0;
  const values = buckets.map((count, index): Value => {
    cumulative += count;
    const le = index < boundsMs.length ? String(boundsMs[index] / MS_PER_SECOND) : '+Inf';
    return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: cumulative };
  });
  return [
    ...values,
    { metricName: `${name}_sum`, labels, value: sumMs / MS_PER_SECOND },
    { metricName: `${name}_count`, labels, value: cumulative },
  ];
}
