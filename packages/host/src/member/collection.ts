/**
 * When the FQDN cache is collected, and when the connection table is searched for it.
 *
 * Invariant: one pass over the table at a time; a pass that does not come to its end is not told to the cache, so nothing dies
 * by it. Does not know how a table is read, nor what collecting does.
 */
import { type ConnectionRun, type ConnectionSource, type MonoMs, monoMs } from '@tandem/core';
import { bootTimeMs } from 'node-reuseport';

export interface CollectionSeams {
  readonly source: ConnectionSource;
  readonly collect: (nowMs: MonoMs) => void;
  readonly connectionsSeen: (run: ConnectionRun) => void;
}

export interface CollectionIntervals {
  readonly gcIntervalMs: number;
  readonly connectionGcIntervalMs: number;
}

/** For a node whose connections nobody watches: every pass ends at once and has seen nothing. */
export const noConnections: ConnectionSource = {
  isRunning: false,
  run: (onFinished) => { setImmediate(() => { onFinished([]); }); },
};

export class Collection {
  private readonly seams: CollectionSeams;
  private readonly intervals: CollectionIntervals;
  private readonly timers: readonly NodeJS.Timeout[];
  private nextPassMs: number;

  constructor(intervals: CollectionIntervals, seams: CollectionSeams) {
    this.seams = seams;
    this.intervals = intervals;
    this.nextPassMs = bootTimeMs() + intervals.connectionGcIntervalMs;
    this.timers = [
      setInterval(() => { seams.collect(monoMs(bootTimeMs())); }, intervals.gcIntervalMs),
      setInterval(() => { this.pass(); }, intervals.connectionGcIntervalMs),
    ];
    for (const timer of this.timers) timer.unref();
  }

  /** When the next pass over the connection table is due. */
  get nextPassAtMs(): MonoMs {
    return monoMs(this.nextPassMs);
  }

  stop(): void {
    for (const timer of this.timers) clearInterval(timer);
  }

  private pass(): void {
    const startedMs = monoMs(bootTimeMs());
    this.nextPassMs = startedMs + this.intervals.connectionGcIntervalMs;
    if (this.seams.source.isRunning) return;
    this.seams.source.run((live) => { this.seams.connectionsSeen({ startedMs, live }); });
  }
}
