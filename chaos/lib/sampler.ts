/**
 * Asks both members again and again what they have answered, so that a report can show who answered when. A member that
 * does not reply has no value for that moment.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { ROLES } from '#harness/pair.js';
import type { Pair, Role } from '#harness/pair.js';

const EVERY_MS = 100;

export interface Sample {
  /** Monotonic clock, nanoseconds. */
  readonly atNs: bigint;
  readonly role: Role;
  /** Answers given since the member's start; null when it did not say. */
  readonly answered: number | null;
}

/** What `crossed` is of, one process each, by its pid. */
type Crossed = Map<number, number>;

export class Sampler {
  readonly samples: Sample[] = [];
  private readonly pair: Pair;
  private readonly crossedByPid: Crossed = new Map();
  private isRunning = true;
  private readonly done: Promise<void>;

  constructor(pair: Pair) {
    this.pair = pair;
    this.done = Promise.all(ROLES.map((role) => this.follow(role))).then(() => undefined);
  }

  /** Answers that crossed (`Figures`) up to now, by all processes that told; a process that ended may have told less than it had counted. */
  async crossed(): Promise<number> {
    await Promise.all(ROLES.map((role) => this.ask(role)));
    return [...this.crossedByPid.values()].reduce((sum, count) => sum + count, 0);
  }

  async stop(): Promise<readonly Sample[]> {
    this.isRunning = false;
    await this.done;
    return this.samples;
  }

  /** Each member on its own: one that hangs does not keep the other from being asked. */
  private async follow(role: Role): Promise<void> {
    while (this.isRunning) {
      const answered = await Promise.race([this.ask(role), pause(EVERY_MS, null)]);
      this.samples.push({ atNs: process.hrtime.bigint(), role, answered });
      await pause(EVERY_MS);
    }
  }

  private async ask(role: Role): Promise<number | null> {
    try {
      const { pid, counters } = await this.pair.status(role);
      this.crossedByPid.set(pid, counters.crossed);
      return counters.answered;
    } catch {
      return null; // gone, hung or starting: that is what is looked for
    }
  }
}
