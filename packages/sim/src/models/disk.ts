/**
 * A member's state folder: files that are written whole, become durable after a while, and are what a successor finds.
 *
 * A process that dies loses what it was still writing; the file is then what it was before. A full disk takes nothing;
 * a lost one is empty.
 */
import type { EventQueue } from '../base/event-queue.js';

const FAST_MS = 2;
const SLOW_MS = 1500;

export class Disk {
  isSlow = false;
  isFull = false;
  private readonly queue: EventQueue;
  private readonly files = new Map<string, Uint8Array>();

  constructor(queue: EventQueue) {
    this.queue = queue;
  }

  read(name: string): Uint8Array | null {
    return this.files.get(name) ?? null;
  }

  /** `done` says whether it was written; `isAlive` false by then: the writer died. */
  write(name: string, bytes: Uint8Array, isAlive: () => boolean, done: (ok: boolean) => void): void {
    this.queue.after(this.isSlow ? SLOW_MS : FAST_MS, () => {
      if (!isAlive()) return;
      if (!this.isFull) this.files.set(name, bytes);
      done(!this.isFull);
    });
  }

  /** The folder is gone, or all in it is damaged: to the reader the same. */
  lose(): void {
    this.files.clear();
  }
}
