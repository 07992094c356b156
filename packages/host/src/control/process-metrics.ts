/** What the process says of itself, under the names that Prometheus clients and Node.js exporters use. */
import { readdirSync, readFileSync } from 'node:fs';
import { constants, monitorEventLoopDelay, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import type { MetricRow, Sample } from './metrics.js';

const MS_PER_SECOND = 1_000;
const NS_PER_SECOND = 1e9;
const MICROSECONDS_PER_SECOND = 1e6;
/**
 * How often the event loop is asked to be on time. What is measured is the time from one answer to the next, so a stall shorter than
 * this may pass unseen; each is a wake-up, and at 20 ms they were a fifth of what an idle member costs.
 */
const RESOLUTION_MS = 100;

const GC_KINDS: ReadonlyMap<number, string> = new Map([
  [constants.NODE_PERFORMANCE_GC_MINOR, 'minor'],
  [constants.NODE_PERFORMANCE_GC_MAJOR, 'major'],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, 'incremental'],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, 'weakcb'],
]);

/** Measures from its making on; of the thread that made it. */
export class ProcessReadings {
  /** By kind: how often, and for how many milliseconds in all. */
  readonly collections = new Map([...GC_KINDS.values()].map((kind) => [kind, { count: 0, ms: 0 }]));
  private readonly startedAtSeconds = Date.now() / MS_PER_SECOND - process.uptime();
  private readonly delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  private readonly observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const kind = GC_KINDS.get((entry as PerformanceEntry & { readonly detail: { readonly kind: number } }).detail.kind);
      const of = kind === undefined ? undefined : this.collections.get(kind);
      if (of === undefined) continue;
      of.count++;
      of.ms += entry.duration;
    }
  });

  constructor() {
    this.delay.enable();
    this.observer.observe({ entryTypes: ['gc'] });
  }

  get startedAt(): number {
    return this.startedAtSeconds;
  }

  /** Delays measured since they were asked for last. */
  get delaysMeasured(): number {
    return this.delay.count;
  }

  /** The longest since it was asked for last, in seconds. */
  takeEventLoopDelay(): number {
    const maxSeconds = this.delaysMeasured === 0 ? 0 : this.delay.max / NS_PER_SECOND - RESOLUTION_MS / MS_PER_SECOND;
    this.delay.reset();
    return Math.max(0, maxSeconds);
  }

  close(): void {
    this.delay.disable();
    this.observer.disconnect();
  }
}

/** Of whoever has these readings. */
export interface HasProcess {
  readonly process: ProcessReadings;
}

function collectionSamples({ process: readings }: HasProcess, of: (one: { readonly count: number; readonly ms: number }) => number): Sample[] {
  return [...readings.collections].map(([kind, one]) => ({ labels: { kind }, value: of(one) }));
}

const gcLabels = { kind: [...GC_KINDS.values()].join(', ') };

export const PROCESS_METRICS: readonly MetricRow<HasProcess>[] = [
  {
    name: 'process_start_time_seconds', type: 'gauge', help: 'Start of the process, seconds since 1970.', read: ({ process: { startedAt } }) => startedAt,
  },
  {
    name: 'process_cpu_seconds_total', type: 'counter', help: 'User and system processor time of all threads.',
    read: () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / MICROSECONDS_PER_SECOND;
    },
  },
  { name: 'process_resident_memory_bytes', type: 'gauge', help: 'Resident memory.', read: () => process.memoryUsage.rss() },
  { name: 'process_open_fds', type: 'gauge', help: 'Open file descriptors.', read: openFds },
  { name: 'process_max_fds', type: 'gauge', help: 'File descriptors that the process may have open; none where there is no limit.', read: maxFds },
  { name: 'nodejs_heap_size_total_bytes', type: 'gauge', help: "V8's heap, of the control thread.", read: () => getHeapStatistics().total_heap_size },
  { name: 'nodejs_heap_size_used_bytes', type: 'gauge', help: 'What is used of it.', read: () => getHeapStatistics().used_heap_size },
  {
    name: 'nodejs_external_memory_bytes', type: 'gauge', help: 'Memory outside of the heap that objects in it hold, of the control thread.',
    read: () => getHeapStatistics().external_memory,
  },
  {
    name: 'nodejs_eventloop_lag_max_seconds', type: 'gauge',
    help: 'How late the event loop of the control thread was since the last scrape, at most. The data plane has a thread of its own: its delay is tandem_heartbeat_age_seconds.',
    read: ({ process: readings }) => readings.takeEventLoopDelay(),
  },
  {
    name: 'nodejs_gc_pauses_total', type: 'counter', help: 'Garbage collections of the control thread.', labels: gcLabels,
    read: (source) => collectionSamples(source, ({ count }) => count),
  },
  {
    name: 'nodejs_gc_pause_seconds_total', type: 'counter', help: 'Time that they took.', labels: gcLabels,
    read: (source) => collectionSamples(source, ({ ms }) => ms / MS_PER_SECOND),
  },
];

function openFds(): number {
  // The folder that is read is one of them.
  return readdirSync('/proc/self/fd').length - 1;
}

function maxFds(): number | readonly Sample[] {
  const soft = /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  return soft === undefined || soft === 'unlimited' ? [] : Number(soft);
}
