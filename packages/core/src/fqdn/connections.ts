/**
 * What the FQDN cache must know of connections, and who tells: the seam between the cache's zombies and the node's
 * connection table. Does not know how a table is read.
 */
import type { MonoMs } from '../base/seams.js';

/** An endpoint has begun at least one connection with the address, which is not yet forgotten. */
export interface LiveConnection {
  readonly endpointUid: string;
  /** Canonical presentation form. */
  readonly address: string;
}

/** One pass over the whole connection table that came to its end. A pass that did not is never told: nothing dies by it. */
export interface ConnectionRun {
  /** When the pass began: what was opened later may have been missed. */
  readonly startedMs: MonoMs;
  /** Each pair once or more, in any order. */
  readonly live: Iterable<LiveConnection>;
}

export interface ConnectionSource {
  /**
   * Begins a pass over the table. `onFinished` is called once, later, never inside this call; or not at all where the
   * table could not be read to its end (the source says so itself). It is not begun again before `isRunning` is false.
   */
  run(onFinished: (live: Iterable<LiveConnection>) => void): void;
  readonly isRunning: boolean;
}
