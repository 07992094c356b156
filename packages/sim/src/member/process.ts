/**
 * One process: it runs, is stopped, or is dead. Whatever is to happen in it passes here, so that nothing happens in a
 * dead one and a stopped one does it when it goes on.
 *
 * Invariant: after `kill` no code of the process runs but what unwinds its stack.
 */
import type { Role } from '@tandem/core';
import type { EventQueue } from '../base/event-queue.js';
import { Killed } from '../base/failure.js';
import type { RandomStream } from '../base/random-stream.js';

export class SimProcess {
  readonly role: Role;
  readonly number: number;
  readonly random: RandomStream;
  /** The scheduler gives it little. */
  isStarved = false;
  private readonly queue: EventQueue;
  private readonly onDeath: () => void;
  private readonly backlog: (() => void)[] = [];
  private alive = true;
  private stopped = false;

  constructor(options: {
    readonly role: Role;
    readonly number: number;
    readonly random: RandomStream;
    readonly queue: EventQueue;
    readonly onDeath: () => void;
  }) {
    this.role = options.role;
    this.number = options.number;
    this.random = options.random;
    this.queue = options.queue;
    this.onDeath = options.onDeath;
  }

  get isAlive(): boolean {
    return this.alive;
  }

  get isStopped(): boolean {
    return this.stopped;
  }

  /** Now, when it goes on, or never. */
  run(fn: () => void): void {
    if (!this.alive) return;
    if (this.stopped) {
      this.backlog.push(fn);
      return;
    }
    try {
      fn();
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
    }
  }

  after(delayMs: number, fn: () => void): void {
    this.queue.after(delayMs, () => this.run(fn));
  }

  /** From being woken to running. */
  wakeLatencyMs(): number {
    return this.isStarved ? this.random.between(5, 80) : this.random.between(0.01, 0.15);
  }

  kill(): void {
    if (!this.alive) return;
    this.alive = false;
    this.backlog.length = 0;
    this.onDeath();
  }

  /** Ends itself, from within a turn. */
  die(): never {
    this.kill();
    throw new Killed();
  }

  stop(): void {
    this.stopped = true;
  }

  goOn(): void {
    if (!this.stopped) return;
    this.stopped = false;
    for (const fn of this.backlog.splice(0)) this.queue.after(0, () => this.run(fn));
  }

  /** Stops in the middle of a turn: all others go on meanwhile. */
  stopHere(forMs: number): void {
    this.stop();
    this.queue.runUntil(this.queue.nowMs + forMs);
    if (!this.alive) throw new Killed();
    this.goOn();
  }
}
