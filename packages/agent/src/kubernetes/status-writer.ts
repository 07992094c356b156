/**
 * Writes the condition `Valid` of policies where it says something else than it should. All nodes would write the same: each waits by
 * chance and looks again, so that mostly one does.
 *
 * Invariant: at most `RATE` writes a second, `BURST` at once, one at a time; for one policy with growing pauses, so that two writers who
 * disagree do no harm. A write that is refused changes nothing here. At most as many are pending as there are policies.
 */
import { createHash } from 'node:crypto';
import type { Log } from '@tandem/core';
import type { ApiClient } from './api-client.js';
import { ApiError } from './api-error.js';
import { isDue, isSameCondition, type PolicyStatus, statusPatch } from './policy-status.js';
import type { SourceCounts } from './source-counts.js';

const RATE = 2;
const BURST = 10;
const WAIT_MS_MIN = 200;
const PAUSE_MS_FIRST = 5_000;
const PAUSE_MS_MAX = 30 * 60_000;
const LOOK_EVERY_MS = 100;
/** The wait of a policy that was there before this process is so many times as long: all nodes may find many such at once. */
const OLD_WAITS = 12;
const WAITS_MAX = 64;

export interface StatusTarget {
  /** Of the collection. */
  readonly path: string;
  readonly status: PolicyStatus;
}

interface Pending {
  /** performance.now() */
  readonly atMs: number;
  /** Another one on each node, so that nodes do not write in the same order. */
  readonly order: string;
}

/** How often was written for one wanted condition, and when next at the earliest. */
interface Written {
  readonly status: PolicyStatus;
  readonly pauseMs: number;
  readonly notBeforeMs: number;
}

export interface StatusWriterOptions {
  readonly client: Pick<ApiClient, 'text'>;
  readonly log: Log;
  readonly counts: SourceCounts;
  readonly random: () => number;
  readonly nodeName: string;
  /** Up to which a node waits before it writes. */
  readonly waitMsMax: number;
}

export class StatusWriter {
  private readonly options: StatusWriterOptions;
  private readonly closing = new AbortController();
  private targets = new Map<string, StatusTarget>();
  /** Collections: a policy that comes into one of them now is a new one. */
  private listed: ReadonlySet<string> = new Set();
  private readonly pending = new Map<string, Pending>();
  private readonly written = new Map<string, Written>();
  /** How many times the usual wait, for policies that others write as well. */
  private readonly waits = new Map<string, number>();
  /** The server asks for patience until then; performance.now(). */
  private quietUntilMs = 0;
  private tokens = BURST;
  private tokensAtMs = performance.now();
  private timer: NodeJS.Timeout | null = null;
  private isBusy = false;
  private isForbidden = false;

  constructor(options: StatusWriterOptions) {
    this.options = options;
  }

  /** All policies with a status of ours, as they are now, of the collections that have been listed. */
  set(targets: readonly StatusTarget[], listed: readonly string[]): void {
    const before = this.targets;
    this.targets = new Map(targets.map((target) => [pathOf(target), target]));
    for (const key of this.written.keys()) if (!this.targets.has(key)) this.written.delete(key);
    for (const key of this.pending.keys()) if (!this.targets.has(key)) this.pending.delete(key);
    for (const key of this.waits.keys()) if (!this.targets.has(key)) this.waits.delete(key);
    for (const [key, { path, status }] of this.targets) {
      if (!before.has(key) && (status.found !== null || !this.listed.has(path))) this.waits.set(key, OLD_WAITS);
      if (isDue(status)) {
        if (!this.pending.has(key)) this.await(key, status);
      } else {
        this.pending.delete(key);
        this.waits.delete(key);
      }
    }
    this.listed = new Set(listed);
    this.schedule();
  }

  close(): void {
    this.closing.abort();
    if (this.timer !== null) clearTimeout(this.timer);
    this.pending.clear();
  }

  private await(key: string, status: PolicyStatus): void {
    const { random, waitMsMax, nodeName } = this.options;
    const waitMs = WAIT_MS_MIN + random() * Math.max(0, waitMsMax * (this.waits.get(key) ?? 1) - WAIT_MS_MIN);
    const order = createHash('sha256').update(`${nodeName} ${key}`).digest('hex');
    this.pending.set(key, { atMs: Math.max(performance.now() + waitMs, this.notBefore(key, status)), order });
  }

  private notBefore(key: string, status: PolicyStatus): number {
    const written = this.written.get(key);
    return written === undefined || !isSameCondition(written.status, status) ? 0 : written.notBeforeMs;
  }

  private schedule(): void {
    if (this.timer !== null || this.pending.size === 0 || this.closing.signal.aborted) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      void this.look().finally(() => { this.schedule(); });
    }, LOOK_EVERY_MS);
    this.timer.unref();
  }

  private async look(): Promise<void> {
    if (this.isBusy) return;
    this.isBusy = true;
    try {
      const now = performance.now();
      for (const [key, { atMs }] of [...this.pending].sort(([, a], [, b]) => (a.order < b.order ? -1 : 1))) {
        if (performance.now() < this.quietUntilMs) return;
        const target = this.targets.get(key);
        if (atMs > now || target === undefined || !isDue(target.status)) continue;
        if (!this.takeToken() || this.closing.signal.aborted) return;
        this.pending.delete(key);
        await this.write(key, target);
      }
    } finally {
      this.isBusy = false;
    }
  }

  private takeToken(): boolean {
    const now = performance.now();
    this.tokens = Math.min(BURST, this.tokens + ((now - this.tokensAtMs) / 1000) * RATE);
    this.tokensAtMs = now;
    if (this.tokens < 1) return false;
    this.tokens--;
    return true;
  }

  private async write(key: string, { status }: StatusTarget): Promise<void> {
    const { client, counts, log } = this.options;
    const before = this.written.get(key);
    const pauseMs = before !== undefined && isSameCondition(before.status, status) ? Math.min(before.pauseMs * 2, PAUSE_MS_MAX) : PAUSE_MS_FIRST;
    this.written.set(key, { status, pauseMs, notBeforeMs: performance.now() + pauseMs });
    try {
      const text = JSON.stringify(statusPatch(status, `${new Date().toISOString().slice(0, 19)}Z`));
      await client.text({ method: 'PATCH', path: `${key}/status`, body: { text, type: 'application/merge-patch+json' }, signal: this.closing.signal });
      counts.statusWritten('written');
      this.isForbidden = false;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      counts.statusWritten(error.status === 409 ? 'conflict' : 'failed');
      if (error.status === 409) this.waits.set(key, Math.min((this.waits.get(key) ?? 1) * 2, WAITS_MAX));
      if (error.retryAfterMs !== null) this.quietUntilMs = performance.now() + error.retryAfterMs;
      if (error.code === 'forbidden' && !this.isForbidden) {
        this.isForbidden = true;
        log.warn('the status of policies cannot be written: the agent has no right to patch it', { reason: error.message });
      }
    } finally {
      // If the server keeps it, an event says so; if not, there is a next time.
      const target = this.targets.get(key);
      if (target !== undefined && isDue(target.status) && !this.closing.signal.aborted) {
        this.await(key, target.status);
      }
    }
  }
}

/** Of the object; names of Kubernetes need no escaping. */
function pathOf({ path, status: { namespace, name } }: StatusTarget): string {
  if (namespace === null) return `${path}/${name}`;
  const slash = path.lastIndexOf('/');
  return `${path.slice(0, slash)}/namespaces/${namespace}${path.slice(slash)}/${name}`;
}
