/**
 * Looks whether something listens where the API server was, while it cannot be reached, and tells the watches when it does: they wait
 * for long by themselves, and a node that is cut off should be back within about a second. One small connection at a time, no TLS.
 */
import type { ApiClient } from './api-client.js';

const LOOK_EVERY_MS = 500;
const CONNECT_MS_MAX = 1_000;
/** After so long the server is down rather than cut off, and may be helped by quiet. */
const LONG_MS = 5 * 60_000;
const LOOK_EVERY_LATER_MS = 3_000;
/** It listens, and yet nobody can be reached: between two tellings lies so much, doubled each time. */
const AGAIN_MS = 1_000;
const AGAIN_MS_MAX = 60_000;

export class Reachability {
  readonly #client: ApiClient;
  readonly #onReachable: () => void;
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;
  #sinceMs: number | null = null;
  #toldAtMs = -Infinity;
  #againMs = AGAIN_MS;

  constructor(client: ApiClient, onReachable: () => void) {
    this.#client = client;
    this.#onReachable = onReachable;
  }

  /** A watch could not reach the server. */
  lost(): void {
    if (this.#timer !== null || this.#isClosed) return;
    const now = performance.now();
    const isAgain = now - this.#toldAtMs < this.#againMs * 2;
    this.#againMs = isAgain ? Math.min(this.#againMs * 2, AGAIN_MS_MAX) : AGAIN_MS;
    this.#sinceMs = now;
    this.#later(isAgain ? this.#againMs : 0);
  }

  close(): void {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #later(ms: number): void {
    this.#timer = setTimeout(() => { void this.#look(); }, ms * (0.75 + Math.random() / 2));
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    const isListening = await this.#client.isListening(CONNECT_MS_MAX);
    if (this.#isClosed) return;
    if (!isListening) {
      this.#later(performance.now() - (this.#sinceMs ?? 0) > LONG_MS ? LOOK_EVERY_LATER_MS : LOOK_EVERY_MS);
      return;
    }
    this.#timer = null;
    this.#toldAtMs = performance.now();
    this.#onReachable();
  }
}
