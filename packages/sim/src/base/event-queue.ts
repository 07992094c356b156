/**
 * What happens when: events ordered by (timeMs, sequence).
 *
 * Invariant: the sequence breaks ties, so equal times never depend on the heap's shape; time never goes back. An event may
 * run the queue itself (a process that is stopped in the middle of a turn lets the others go on): time is then where
 * that inner run left it.
 */
import { assert } from '@tandem/core';

export interface Event {
  readonly timeMs: number;
  readonly sequence: number;
  /** Null once it ran or was cancelled. */
  run: (() => void) | null;
}

export class EventQueue {
  private readonly heap: Event[] = [];
  private sequence = 0;
  private time = 0;
  private ran = 0;

  get nowMs(): number {
    return this.time;
  }

  /** Events that ran so far. */
  get count(): number {
    return this.ran;
  }

  after(delayMs: number, run: () => void): Event {
    return this.at(this.time + delayMs, run);
  }

  at(timeMs: number, run: () => void): Event {
    assert(timeMs >= this.time, 'events lie in the future');
    const event: Event = { timeMs, sequence: this.sequence++, run };
    this.push(event);
    return event;
  }

  cancel(event: Event): void {
    event.run = null;
  }

  /** Runs all events up to this time, which is then the present. */
  runUntil(timeMs: number): void {
    for (let next = this.heap[0]; next !== undefined && next.timeMs <= timeMs; next = this.heap[0]) {
      this.pop();
      const { run } = next;
      if (run === null) continue;
      next.run = null;
      this.time = Math.max(this.time, next.timeMs);
      this.ran++;
      run();
    }
    this.time = Math.max(this.time, timeMs);
  }

  private push(event: Event): void {
    const { heap } = this;
    let i = heap.length;
    heap.push(event);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (isBefore(heap[parent], event)) break;
      heap[i] = heap[parent];
      i = parent;
    }
    heap[i] = event;
  }

  private pop(): void {
    const { heap } = this;
    const last = heap.pop()!;
    const size = heap.length;
    if (size === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= size) break;
      if (child + 1 < size && isBefore(heap[child + 1], heap[child])) child++;
      if (isBefore(last, heap[child])) break;
      heap[i] = heap[child];
      i = child;
    }
    heap[i] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.timeMs < b.timeMs || (a.timeMs === b.timeMs && a.sequence < b.sequence);
}
