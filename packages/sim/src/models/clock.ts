/** Time as members see it: CLOCK_BOOTTIME, the same for both and never stepped. Nothing here reads a wall clock. */
import { monoMs, type MonoMs } from '@tandem/core';
import type { EventQueue } from '../base/event-queue.js';

/** The machine was up for a while when the run began: nothing may take a small number for "never". */
const BOOT_MS = 1_000_000;

export class SimClock {
  private readonly queue: EventQueue;

  constructor(queue: EventQueue) {
    this.queue = queue;
  }

  nowMs(): MonoMs {
    return monoMs(BOOT_MS + this.queue.nowMs);
  }
}
