/**
 * A log for what happens again at every try: the first time is said at once, the same thing again at growing distance,
 * with how often it happened.
 *
 * Invariant: one thing is said at most once in `SPACE_FIRST_MS`; things that differ do not hide each other, up to
 * `THINGS_MAX` of them.
 */
import type { Log } from '@tandem/core';
import { bootTimeMs } from 'node-reuseport';

const SPACE_FIRST_MS = 5_000;
const SPACE_MAX_MS = 600_000;
/** Of more things the one that happened first is forgotten, and would be said anew. */
const THINGS_MAX = 16;

interface Thing {
  /** Times that were not said. */
  unsaid: number;
  spaceMs: number;
  nextMs: number;
}

export class SpacedLog {
  private readonly log: Log;
  private readonly nowMs: () => number;
  private readonly things = new Map<string, Thing>();

  constructor(log: Log, nowMs: () => number = bootTimeMs) {
    this.log = log;
    this.nowMs = nowMs;
  }

  say(level: 'warn' | 'error', message: string, reason: string): void {
    const key = `${message}: ${reason}`;
    const nowMs = this.nowMs();
    let thing = this.things.get(key);
    // Quiet for as long as its space again: it is news.
    if (thing === undefined || nowMs >= thing.nextMs + thing.spaceMs) thing = { unsaid: 0, spaceMs: SPACE_FIRST_MS / 2, nextMs: nowMs };
    thing.unsaid++;
    this.things.set(key, thing);
    if (nowMs < thing.nextMs) return;
    this.log[level](message, { reason, times: thing.unsaid });
    thing.unsaid = 0;
    thing.spaceMs = Math.min(2 * thing.spaceMs, SPACE_MAX_MS);
    thing.nextMs = nowMs + thing.spaceMs;
    for (const oldest of this.things.keys()) {
      if (this.things.size <= THINGS_MAX) break;
      this.things.delete(oldest);
    }
  }

  /** It is over: the next time is news. */
  over(message: string): void {
    for (const key of this.things.keys()) if (key.startsWith(`${message}: `)) this.things.delete(key);
  }
}
