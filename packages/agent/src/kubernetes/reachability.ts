/**
 * Looks whether something listens where the API server was, while it cannot be reached, and tells the watches when it does: they wait
 * for long by themselves, and a node that is cut off should be back within a second or two: by chance, so that nodes do not come all at
 * once. One small connection at a time, no TLS.
 */
import type { ApiClient } from './api-client.js';

const LOOK_EVERY_MS = 500;
const CONNECT_MS_MAX = 1_000;
/** After so long the server is down rather than cut off, and may be helped by quiet. */
const LONG_MS = 5 * 60_000;
const LOOK_EVERY_LATER_MS = 3_000;
/** Between what is seen and what is told lies chance, up to so much. */
const SPREAD_MS = 1_000;
/** It listens, and yet nobody can be reached: between two tellings lies so much, doubled each time. */
const AGAIN_MS = 1_000;
const AGAIN_MS_MAX = 60_000;

export interface ReachabilityTimes {
  readonly againMs: number;
  readonly spreadMs: number;
}

export class Reachability {
  private readonly client: Pick<ApiClient, 'isListening'>;
  private readonly onReachable: () => void;
  private timer: NodeJS.Timeout | null = null;
  private isClosed = false;
  private sinceMs: number | null = null;
  private toldAtMs = -Infinity;
  private readonly times: ReachabilityTimes;
  private againMs: number;
  /** Since it was told. */
  private hasOpened = true;

  constructor(client: Pick<ApiClient, 'isListening'>, onReachable: () => void, times: ReachabilityTimes = { againMs: AGAIN_MS, spreadMs: SPREAD_MS }) {
    this.client = client;
    this.onReachable = onReachable;
    this.times = times;
    this.againMs = times.againMs;
  }

  /** A watch has begun. */
  opened(): void {
    this.hasOpened = true;
  }

  /** A watch could not reach the server. */
  lost(): void {
    if (this.timer !== null || this.isClosed) return;
    const now = performance.now();
    const isAgain = !this.hasOpened || now - this.toldAtMs < this.againMs * 2;
    this.againMs = isAgain ? Math.min(this.againMs * 2, AGAIN_MS_MAX) : this.times.againMs;
    this.sinceMs = now;
    this.later(isAgain ? this.againMs : 0);
  }

  close(): void {
    this.isClosed = true;
    if (this.timer !== null) clearTimeout(this.timer);
  }

  private later(ms: number): void {
    this.timer = setTimeout(() => { void this.look(); }, ms * (0.75 + Math.random() / 2));
    this.timer.unref();
  }

  private async look(): Promise<void> {
    const isListening = await this.client.isListening(CONNECT_MS_MAX);
    if (this.isClosed) return;
    if (!isListening) {
      this.later(performance.now() - (this.sinceMs ?? 0) > LONG_MS ? LOOK_EVERY_LATER_MS : LOOK_EVERY_MS);
      return;
    }
    this.timer = setTimeout(() => { this.tell(); }, Math.random() * this.times.spreadMs);
    this.timer.unref();
  }

  private tell(): void {
    this.timer = null;
    this.toldAtMs = performance.now();
    this.hasOpened = false;
    this.onReachable();
  }
}
