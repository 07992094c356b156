/** When the cache is to be written anew although its log has not grown. */
import type { FqdnCache } from '@tandem/core';

/** A predecessor of the same role, if there is one, has ended by then. */
const FIRST_MS = 60_000;
/** What was let go of, after its expiry and without a connection, goes from the disk within this: a restart would open it once more. */
const SWEEP_EVERY_MS = 600_000;

export interface CheckpointTimesOptions {
  readonly cache: FqdnCache;
  readonly firstMs: number | undefined;
  readonly sweepEveryMs: number | undefined;
  /** A checkpoint is due. */
  readonly onDue: () => void;
}

export class CheckpointTimes {
  private readonly options: CheckpointTimesOptions;
  private readonly sweeping: NodeJS.Timeout;
  private first: NodeJS.Timeout | null = null;
  /** The cache's, as the last checkpoint that was begun had them. */
  private burials = 0;

  constructor(options: CheckpointTimesOptions) {
    this.options = options;
    this.sweeping = setInterval(() => {
      if (this.hasBuried) options.onDue();
    }, options.sweepEveryMs ?? SWEEP_EVERY_MS).unref();
  }

  /** The files have what was let go of since the last checkpoint. */
  get hasBuried(): boolean {
    return this.options.cache.burialsCount !== this.burials;
  }

  /** Files were found that a checkpoint of this process is to stand for. */
  found(isUrgent: boolean): void {
    const { firstMs = FIRST_MS, onDue } = this.options;
    this.first = setTimeout(onDue, isUrgent ? 0 : firstMs).unref();
  }

  /** A checkpoint begins. */
  begun(): void {
    this.burials = this.options.cache.burialsCount;
  }

  close(): void {
    clearInterval(this.sweeping);
    if (this.first !== null) clearTimeout(this.first);
  }
}
