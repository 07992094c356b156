/**
 * What the page remembers of each member: rates and percentiles of the last five minutes, made from the differences between
 * answers. Bounded; a start of the process or an answer that did not come leaves a gap, never a wrong number.
 */
import type { Latency, MemberAnswer, PairAnswer, Role } from './api.js';
import { quantile } from './quantile.js';

export const HISTORY_MS = 300_000;
/** One a second, and room for answers that come sooner. */
const SAMPLES_MAX = 400;
/** Percentiles are of the answers of so long: of one second they would jump. */
const LATENCY_WINDOW_MS = 10_000;
/** Answers closer together than this make no rate: the server gave the same one again. */
const SPACING_MIN_MS = 50;

export interface Rates {
  /** All a second. */
  readonly queries: number;
  readonly answered: number;
  readonly refused: number;
  readonly failed: number;
}

export interface Percentiles {
  readonly p50: number | null;
  readonly p90: number | null;
  readonly p99: number | null;
  /** p99 is at least so much. */
  readonly isOpen: boolean;
}

export interface Sample {
  /** Wall clock of the member that serves the page. */
  readonly timeMs: number;
  readonly rates: Readonly<Record<Role, Rates | null>>;
  readonly latency: Readonly<Record<Role, Percentiles | null>>;
  /** Of both. */
  readonly pairLatency: Percentiles | null;
}

interface Reading {
  readonly timeMs: number;
  readonly incarnation: string;
  readonly counters: Readonly<Record<string, number>>;
  readonly latency: Latency | null;
}

const NONE: Readonly<Record<Role, null>> = { 'agent': null, 'dns-proxy': null };

export class History {
  readonly samples: Sample[] = [];
  private readonly readings: Record<Role, Reading[]> = { 'agent': [], 'dns-proxy': [] };

  /** True if it brought a sample. */
  add(pair: PairAnswer): boolean {
    const timeMs = Math.max(...pair.members.map(({ askedAt }) => Date.parse(askedAt)));
    const last = this.samples.at(-1);
    if (last !== undefined && timeMs - last.timeMs < SPACING_MIN_MS) return false;
    const rates: Record<Role, Rates | null> = { ...NONE };
    const latency: Record<Role, Percentiles | null> = { ...NONE };
    const deltas: Latency[] = [];
    for (const member of pair.members) {
      const reading = readingOf(member);
      const readings = this.readings[member.role];
      if (reading === null || readings.at(-1)?.incarnation !== reading.incarnation) readings.length = 0;
      if (reading === null) continue;
      const before = readings.at(-1);
      readings.push(reading);
      while (readings[0].timeMs < reading.timeMs - LATENCY_WINDOW_MS && readings.length > 2) readings.shift();
      if (before !== undefined) rates[member.role] = ratesOf(before, reading);
      const delta = deltaOf(readings[0], reading);
      if (delta === null) continue;
      deltas.push(delta);
      latency[member.role] = percentilesOf(delta);
    }
    this.keep({ timeMs, rates, latency, pairLatency: deltas.length === 0 ? null : percentilesOf(sumOf(deltas)) });
    return true;
  }

  /** Nobody answered: a gap. */
  miss(timeMs: number): void {
    for (const readings of Object.values(this.readings)) readings.length = 0;
    this.keep({ timeMs, rates: NONE, latency: NONE, pairLatency: null });
  }

  private keep(sample: Sample): void {
    // A clock that was set back would draw lines backwards.
    while (this.samples.length > 0 && this.samples.at(-1)!.timeMs >= sample.timeMs) this.samples.pop();
    this.samples.push(sample);
    while (this.samples.length > SAMPLES_MAX || this.samples[0].timeMs < sample.timeMs - HISTORY_MS) this.samples.shift();
  }
}

function readingOf(member: MemberAnswer): Reading | null {
  const { status } = member;
  if (status === null) return null;
  return { timeMs: Date.parse(member.askedAt), incarnation: status.incarnation, counters: status.counters, latency: status.latency ?? null };
}

function ratesOf(before: Reading, now: Reading): Rates | null {
  const seconds = (now.timeMs - before.timeMs) / 1000;
  if (seconds <= 0) return null;
  const rate = (name: string): number => Math.max(0, ((now.counters[name] ?? 0) - (before.counters[name] ?? 0)) / seconds);
  return { queries: rate('queries'), answered: rate('answered'), refused: rate('refused'), failed: rate('failed') };
}

function deltaOf(before: Reading, now: Reading): Latency | null {
  if (before.latency === null || now.latency === null || before === now) return null;
  const { buckets } = before.latency;
  return { boundsMs: now.latency.boundsMs, buckets: now.latency.buckets.map((count, index) => Math.max(0, count - (buckets[index] ?? 0))) };
}

/** All with the same bounds as the first; others (of another release) are left out. */
function sumOf(all: readonly Latency[]): Latency {
  const { boundsMs } = all[0];
  const alike = all.filter((one) => one.boundsMs.join() === boundsMs.join());
  return { boundsMs, buckets: all[0].buckets.map((_, index) => alike.reduce((sum, { buckets }) => sum + buckets[index], 0)) };
}

function percentilesOf({ boundsMs, buckets }: Latency): Percentiles {
  const at = (share: number): number | null => quantile(share, boundsMs, buckets)?.ms ?? null;
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), isOpen: quantile(0.99, boundsMs, buckets)?.isAtLeast === true };
}
