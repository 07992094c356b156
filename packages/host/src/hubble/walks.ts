/**
 * Who gets the control thread's time for going through flows, and how much: every walk that has something to do gets a slice in turn,
 * and after a few milliseconds as long a rest follows, in which everything else that waits for the thread is let through. Walks that have come to the end of the
 * flows are looked at again by one timer, which exists only while there are some.
 *
 * Invariant: a turn takes at most `TURN_MS` plus one step of one walk. Knows no flows.
 */

/** more: has more to do at once. idle: came to the end. blocked: says itself, by `resume`, when it can go on. done: over. */
export type WalkState = 'more' | 'idle' | 'blocked' | 'done';

export interface Walk {
  /** Does a part of its work, until about then (`performance.now()`). */
  step(untilMs: number): WalkState;
}

export const POLL_MS = 25;
const TURN_MS = 4;
/** Between two turns: whoever watches takes no more than half of this thread, and of a core that answers may need. */
const REST_MS = 4;
const SLICE_MS = 1;

export class Walks {
  private readonly ready = new Set<Walk>();
  private readonly idle = new Set<Walk>();
  private turn: NodeJS.Timeout | null = null;
  private timer: NodeJS.Timeout | null = null;
  private readonly fail: (error: Error) => void;

  constructor(fail: (error: Error) => void) {
    this.fail = fail;
  }

  /** Begins with the next turn. */
  add(walk: Walk): void {
    this.resume(walk);
  }

  /** A blocked walk can go on. */
  resume(walk: Walk): void {
    this.ready.add(walk);
    this.schedule();
  }

  remove(walk: Walk): void {
    this.ready.delete(walk);
    this.idle.delete(walk);
    this.schedule();
  }

  close(): void {
    this.ready.clear();
    this.idle.clear();
    this.schedule();
  }

  private schedule(): void {
    if (this.ready.size > 0) this.turn ??= setTimeout(() => this.run(), REST_MS);
    if (this.idle.size > 0) this.timer ??= setInterval(() => this.poll(), POLL_MS);
    else if (this.timer !== null) {
      clearInterval(this.timer);
      this.timer = null;
    }
  }

  private poll(): void {
    for (const walk of this.idle) this.ready.add(walk);
    this.idle.clear();
    if (this.ready.size > 0) this.turn ??= setTimeout(() => this.run(), REST_MS);
  }

  private run(): void {
    this.turn = null;
    const endMs = performance.now() + TURN_MS;
    try {
      // The set's order is the order of turns: whoever has more to do goes to its end.
      for (const walk of this.ready) {
        this.ready.delete(walk);
        const nowMs = performance.now();
        const state = walk.step(Math.min(nowMs + SLICE_MS, endMs));
        if (state === 'more') this.ready.add(walk);
        else if (state === 'idle') this.idle.add(walk);
        if (performance.now() >= endMs) break;
      }
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)));
    }
    this.schedule();
  }
}
