/**
 * When the policy source was last heard: what `--stale-source-limit` counts from. On disk, so that a restart does not begin the count anew.
 *
 * Invariant: a process that is killed makes the limit shorter by a `KEPT_PART` of it (or by `KEPT_EVERY_MS_MIN`, and by a look) at most, and never
 * longer, but where the time of day after a reboot is before the file's. When the source was heard last may not be known, for lack of a
 * good file: then it is overdue as soon as it is known to be away. Without a limit there is no file: a limit that is set later would count from what it says.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { AppError, type Log, type Settings, type Snapshot, withoutRemotePods } from '@tandem/core';
import { bootClock } from './boot-clock.js';
import type { ClockPair } from './cache-frames.js';
import { type BootClock, isOfBoot, shiftOf } from './cache-load.js';
import { KeptState } from './kept-state.js';
import { sha256 } from './sha256.js';
import { StateFile } from './state-file.js';

/** While the source is heard, the file is written anew after this part of the limit, */
const KEPT_PART = 1 / 10;
/** but not more often than this. */
const KEPT_EVERY_MS_MIN = 1000;
const LOOK_EVERY_MS = 1000;
const FILE_BYTES_MAX = 4096;

/** The same moment on both clocks. */
interface HeardAt extends ClockPair {
  readonly bootId: string;
}

export interface SourceHeardOptions {
  readonly settings: Pick<Settings, 'role' | 'stateDir' | 'staleSourceLimitSeconds' | 'ciliumAgent'>;
  readonly log: Log;
  /** This kernel's, unless a test has its own. */
  readonly clock?: BootClock | undefined;
}

export class SourceHeard {
  /** Null: without a limit. */
  readonly store: KeptState<HeardAt> | null;
  /** Called when the source is heard again, or no more, or was heard later than was known. */
  onChange: () => void = () => undefined;
  private readonly limitMs: number;
  private readonly log: Log;
  private readonly clock: BootClock;
  private isNow = false;
  /** CLOCK_BOOTTIME, negative before this boot; -Infinity: it is away, and nobody knows since when; null: nothing is known yet. */
  private lastMs: number | null = null;
  private writtenMs = -Infinity;
  private changeCount = 0;
  private timer: NodeJS.Timeout | null = null;
  /** Has no pod of another node. */
  private lapsed: Snapshot | null = null;
  private isLapseLogged = false;

  constructor({ settings, log, clock = bootClock() }: SourceHeardOptions) {
    const { role, stateDir, staleSourceLimitSeconds, ciliumAgent } = settings;
    this.limitMs = ciliumAgent === null ? staleSourceLimitSeconds * 1000 : 0;
    this.log = log;
    this.clock = clock;
    const path = join(stateDir, `${role}-source-heard.json`);
    this.store = this.limitMs === 0 ? null : new KeptState(new StateFile(path, { bytesMax: FILE_BYTES_MAX, parse, log }), { isSame: () => false });
    if (this.store === null) forget(path);
    else this.lastMs = this.read(this.store);
  }

  /** The source says what holds. */
  get isHeard(): boolean {
    return this.isNow;
  }

  /** CLOCK_BOOTTIME, negative before this boot; null: not known. */
  get atMs(): number | null {
    if (this.isNow) return this.clock.now().monoMs;
    return this.lastMs === -Infinity ? null : this.lastMs;
  }

  /** How often `onChange` was called: equal numbers, equal state. */
  get changes(): number {
    return this.changeCount;
  }

  /** It is heard, from now on until `away`. */
  heard(): void {
    const isNews = !this.isNow;
    this.isNow = true;
    this.lastMs = this.clock.now().monoMs;
    this.isLapseLogged = false;
    if (isNews || this.lastMs - this.writtenMs >= Math.max(KEPT_EVERY_MS_MIN, this.limitMs * KEPT_PART)) this.write();
    if (isNews) this.changed();
  }

  /** It is not heard. `atMs`: when it last was, where another knows that. */
  away(atMs: number | null = null): void {
    const nowMs = this.clock.now().monoMs;
    if (!this.isNow) {
      this.wasHeard(atMs ?? -Infinity);
      return;
    }
    this.isNow = false;
    this.lastMs = Math.min(atMs ?? nowMs, nowMs);
    this.write();
    this.changed();
  }

  /** Another has heard it then. */
  wasHeard(atMs: number): void {
    const lastMs = Math.min(atMs, this.clock.now().monoMs);
    if (this.isNow || (this.lastMs !== null && lastMs <= this.lastMs)) return;
    this.lastMs = lastMs;
    this.write();
    this.changed();
  }

  /** What may be enforced of it now: without the pods of other nodes once the limit has passed. The same object where nothing is to be taken away. */
  asOfNow(snapshot: Snapshot): Snapshot {
    if (!this.isOverdue || snapshot === this.lapsed) return snapshot;
    const lapsed = withoutRemotePods(snapshot, sha256);
    this.lapsed = lapsed;
    if (lapsed !== snapshot && !this.isLapseLogged) {
      this.isLapseLogged = true;
      const { atMs } = this;
      this.log.warn('the policy source has been away for too long: pods of other nodes lose what their labels allowed', {
        limitSeconds: this.limitMs / 1000, heardSecondsAgo: atMs === null ? 'not known' : Math.round((this.clock.now().monoMs - atMs) / 1000),
      });
    }
    return lapsed;
  }

  /** Looks from now on: keeps the file fresh, and calls back again and again while the limit has passed. */
  watch(onOverdue: () => void): void {
    if (this.limitMs === 0) return;
    this.timer = setInterval(() => {
      if (this.isNow) this.heard();
      else if (this.isOverdue) onOverdue();
    }, LOOK_EVERY_MS).unref();
  }

  /** The next process counts from here. */
  close(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
    if (this.isNow) this.away();
  }

  private get isOverdue(): boolean {
    return this.limitMs > 0 && !this.isNow && this.lastMs !== null && this.clock.now().monoMs - this.lastMs >= this.limitMs;
  }

  private changed(): void {
    this.changeCount++;
    this.onChange();
  }

  private write(): void {
    const { lastMs, store } = this;
    if (store === null || lastMs === null || lastMs === -Infinity) return;
    const now = this.clock.now();
    this.writtenMs = now.monoMs;
    store.keep({ bootId: this.clock.bootId, monoMs: lastMs, wallMs: now.wallMs - (now.monoMs - lastMs) });
  }

  private read(store: KeptState<HeardAt>): number | null {
    const heardAt = store.read();
    if (heardAt === null) return null;
    const now = this.clock.now();
    return Math.min(now.monoMs, heardAt.monoMs + shiftOf(heardAt, now, isOfBoot(heardAt.bootId, this.clock)));
  }
}

function parse(content: unknown): HeardAt {
  const { bootId, monoMs, wallMs } = content as Partial<HeardAt>;
  if (typeof bootId !== 'string' || !Number.isFinite(monoMs) || !Number.isFinite(wallMs)) throw new AppError('CONFIGURATION', 'not a time');
  return { bootId, monoMs: monoMs!, wallMs: wallMs! };
}

/** What cannot be removed is on a disk that takes nothing, and is said elsewhere. */
function forget(path: string): void {
  for (const one of [path, `${path}.previous`]) {
    try {
      rmSync(one, { force: true });
    } catch {
      // As above.
    }
  }
}
