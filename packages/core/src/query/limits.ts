/**
 * The limits that policies put on a pod's questions (annotations under `tandem.dev/`), by endpoint row.
 *
 * The query rate is a token bucket per endpoint ID: it refills at the rate and holds one second of it, though no less than
 * BURST_MIN. Each member counts for itself. The kernel spreads a pod's queries by source address and port over both, so a pod
 * that asks from many ports has up to twice its rate, and one that asks from one port, or while a member is away, has it once.
 *
 * Invariant: state is bounded by the endpoints of the snapshot, and a bucket outlives the snapshots that its endpoint is in.
 * Does not know: policy's verdict. What policy refuses comes to no limit and takes nothing from the rate.
 */
import type { QueryView } from '@tandem/dns';
import type { MonoMs } from '../base/seams.js';
import type { PolicyIndex } from '../policy/decide.js';
import { NameTable } from '../policy/name-table.js';
import { patternsOf } from '../policy/pattern.js';
import type { FqdnSelector, QueryLimits } from '../policy/snapshot.js';
import { COUNTER, type Counters } from './counters.js';
import { OUTCOME, type Outcome } from './flow-sink.js';
import { hasLabelAbove } from './label-entropy.js';

/** Queries at once that any rate lets pass: what a page or a start-up script asks in one go. */
export const BURST_MIN = 10;

const MS_PER_SECOND = 1000;

/** What an Extended DNS Error says beside its code. */
export const EDE_TEXT = {
  queryRate: asciiOf('query rate limit'),
  labelEntropy: asciiOf('label entropy limit'),
  privateAddress: asciiOf('private address'),
} as const;

/** One endpoint's limits in the form that queries are held to. */
export interface EndpointLimits {
  /** Queries per second; Infinity: no limit. */
  readonly queryRate: number;
  /** Of one label, see `label-entropy.ts`; Infinity: no limit. */
  readonly labelEntropyBits: number;
  /** Whether each of the two is only counted. */
  readonly auditRate: boolean;
  readonly auditEntropy: boolean;
  /** Matches the names that may have private addresses; null: every name may. */
  readonly privateNames: NameTable | null;
}

export class QueryLimiter {
  /** What the query that `overrun` was asked about last would have been refused for, but was only counted; `answered`: nothing. */
  audited: Outcome = OUTCOME.answered;
  private readonly counters: Counters;
  private readonly auditMode: boolean;
  private limits: readonly (EndpointLimits | null)[] = [];
  /** By endpoint row; empty while nobody has a rate. */
  private tokens = new Float64Array(0);
  private filledMs = new Float64Array(0);
  private rowOfId: ReadonlyMap<number, number> = new Map();
  private readonly tables = new Map<string, NameTable>();

  /** `auditMode`: nothing is refused, as if every limit were only counted. */
  constructor(counters: Counters, auditMode: boolean) {
    this.counters = counters;
    this.auditMode = auditMode;
  }

  /** From here on these limits hold. */
  setIndex(index: PolicyIndex): void {
    const { endpoints, ruleSets } = index.snapshot;
    const compiled = new Map<QueryLimits, EndpointLimits | null>();
    const tablesInUse = new Set<string>();
    this.limits = endpoints.map(({ ruleSet }) => {
      const limits = ruleSet === null ? undefined : ruleSets[ruleSet].limits;
      if (limits === undefined) return null;
      let known = compiled.get(limits);
      if (known === undefined) {
        known = this.compile(limits, tablesInUse);
        compiled.set(limits, known);
      }
      return known;
    });
    for (const key of this.tables.keys()) if (!tablesInUse.has(key)) this.tables.delete(key);
    this.keepBuckets(endpoints.map(({ id }) => id));
  }

  /** The limits of the endpoint in this row; null without any. */
  of(endpointRow: number): EndpointLimits | null {
    return this.limits[endpointRow];
  }

  /**
   * Counts a query of an endpoint with limits; returns what it is refused for, as an EDE's text, or null if it may pass.
   * `nowMs`: null where another member may have let it pass already; then it is not held to the rate.
   */
  overrun(endpointRow: number, bytes: Uint8Array, view: QueryView, nowMs: MonoMs | null): Uint8Array | null {
    this.audited = OUTCOME.answered;
    const limits = this.limits[endpointRow];
    if (limits === null) return null;
    if (hasLabelAbove(bytes, view, limits.labelEntropyBits)) {
      const isCountedOnly = limits.auditEntropy || this.auditMode;
      this.counters.add(isCountedOnly ? COUNTER.label_entropy_audited : COUNTER.label_entropy_refused);
      if (!isCountedOnly) return EDE_TEXT.labelEntropy;
      this.audited = OUTCOME.labelEntropy;
    }
    if (nowMs !== null && limits.queryRate !== Infinity && !this.take(endpointRow, limits.queryRate, nowMs)) {
      const isCountedOnly = limits.auditRate || this.auditMode;
      this.counters.add(isCountedOnly ? COUNTER.query_rate_audited : COUNTER.query_rate_refused);
      if (!isCountedOnly) return EDE_TEXT.queryRate;
      this.audited = OUTCOME.queryRate;
    }
    return null;
  }

  /** Takes a query's token from the endpoint's bucket; false if there is none. */
  private take(endpointRow: number, queryRate: number, nowMs: MonoMs): boolean {
    const gained = ((nowMs - this.filledMs[endpointRow]) * queryRate) / MS_PER_SECOND;
    const tokens = Math.min(Math.max(queryRate, BURST_MIN), this.tokens[endpointRow] + gained);
    this.filledMs[endpointRow] = nowMs;
    this.tokens[endpointRow] = tokens < 1 ? tokens : tokens - 1;
    return tokens >= 1;
  }

  /** null where nothing of it is the query path's. */
  private compile(limits: QueryLimits, tablesInUse: Set<string>): EndpointLimits | null {
    if (limits.queryRate === undefined && limits.labelEntropyBits === undefined && limits.privateNames === undefined) return null;
    return {
      queryRate: limits.queryRate ?? Infinity,
      labelEntropyBits: limits.labelEntropyBits ?? Infinity,
      auditRate: limits.auditRate === true,
      auditEntropy: limits.auditEntropy === true,
      privateNames: limits.privateNames === undefined ? null : this.tableOf(limits.privateNames, tablesInUse),
    };
  }

  /** Lists are mostly the same in the next snapshot: they are compiled once. */
  private tableOf(names: readonly FqdnSelector[], inUse: Set<string>): NameTable {
    const key = names.map(({ matchName, matchPattern }) => `${matchName ?? ''}/${matchPattern ?? ''}`).join();
    inUse.add(key);
    let table = this.tables.get(key);
    if (table === undefined) {
      table = NameTable.compile(names.flatMap((name) => patternsOf(name, 'dns')).map((pattern) => ({ pattern, value: 0 })));
      this.tables.set(key, table);
    }
    return table;
  }

  private keepBuckets(ids: readonly number[]): void {
    const { tokens, filledMs, rowOfId } = this;
    const isNeeded = this.limits.some((limits) => limits !== null && limits.queryRate !== Infinity);
    const size = isNeeded ? ids.length : 0;
    // A new bucket is full, whatever its size.
    this.tokens = new Float64Array(size).fill(Infinity);
    this.filledMs = new Float64Array(size);
    this.rowOfId = new Map(isNeeded ? ids.map((id, row) => [id, row]) : []);
    for (const [id, row] of this.rowOfId) {
      const before = rowOfId.get(id);
      if (before === undefined) continue;
      this.tokens[row] = tokens[before];
      this.filledMs[row] = filledMs[before];
    }
  }
}

function asciiOf(text: string): Uint8Array {
  return Uint8Array.from(text, (one) => one.charCodeAt(0));
}
