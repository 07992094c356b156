/**
 * Time as a member sees it. CLOCK_BOOTTIME is the kernel's: the same for both, never stepped. The wall clock is each
 * member's own and may be set, forwards and backwards.
 */
import { type Clock, monoMs, type MonoMs, wallMs, type WallMs } from '@tandem/core';
import type { EventQueue } from '../base/event-queue.js';

/** The machine was up for a while when the run began: nothing may take a small number for "never". */
const BOOT_MS = 1_000_000;
const EPOCH_MS = 1_800_000_000_000;

export class SimClock implements Clock {
  private readonly queue: EventQueue;
  private stepMs = 0;

  constructor(queue: EventQueue) {
    this.queue = queue;
  }

  nowMs(): MonoMs {
    return monoMs(BOOT_MS + this.queue.nowMs);
  }

  wallMs(): WallMs {
    return wallMs(EPOCH_MS + this.queue.nowMs + this.stepMs);
  }

  step(byMs: number): void {
    this.stepMs += byMs;
  }
}
