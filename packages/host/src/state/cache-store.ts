/**
 * The FQDN cache on disk: a checkpoint, and a log of what changed since.
 *
 * Each change is collected in memory and made durable with the others of a short while, by one write and one sync. When the
 * log has grown, the whole cache is written as a new checkpoint, in slices, while changes go to a new log. Merging is a join,
 * so it does no harm that a checkpoint holds changes which stand in the log as well, or that a change is read twice.
 *
 * Invariant: while `isBehind` is false, all that was put before a `durable()` that has resolved is read by `restore()` of
 * the next process. While it is true, the cache in memory is ahead of the disk, and what the disk lacks comes with the
 * checkpoint that is owed. It does not know where mappings come from.
 */
import { join } from 'node:path';
import type { Clean, FqdnCache, Log, Mapping, Role } from '@tandem/core';
import { bootClock } from './boot-clock.js';
import { type Batch, newBatch } from './cache-batch.js';
import { checkpointParts, fitting, TooLarge } from './cache-checkpoint.js';
import { CacheFolder } from './cache-files.js';
import { FrameWriter } from './cache-frames.js';
import { Generations } from './cache-generations.js';
import { type BootClock, type Loaded, loadCache } from './cache-load.js';
import { CacheLog, type OnDiskPoint, writeCheckpoint } from './cache-log.js';
import { CheckpointTimes } from './checkpoint-times.js';

/** Changes of so long become durable together. */
const COMMIT_EVERY_MS = 50;
/** Changes of so many bytes do not wait for that. */
const COMMIT_BYTES = 256 * 1024;
/** What waits for a slow disk at most. At the bound it is let go of, and a checkpoint is owed. */
const PENDING_BYTES_MAX = 4 * 1024 * 1024;
/** Who waits for the disk waits no longer than this; then it counts as behind. */
const DURABLE_WITHIN_MS = 1000;
const RETRY_EVERY_MS = 10_000;
/** A log this large, or as large as the checkpoint where that is larger, makes room for a new checkpoint. */
const LOG_BYTES_MAX = 8 * 1024 * 1024;
/** Logs that wait for a checkpoint which the disk does not take; at the bound no more is appended. */
const LOGS_MAX = 4;
/** With more generations than these the first checkpoint does not wait: a member that fails again and again leaves one each time. */
const FOUND_MAX = 8;
/** A disk that hangs does not hold up the end of the process for longer. */
const CLOSE_MS = 2000;

export interface CacheStoreOptions {
  readonly cache: FqdnCache;
  readonly stateDir: string;
  readonly role: Role;
  readonly log: Log;
  readonly clock?: BootClock;
  /** For tests, as the rest. */
  readonly onPoint?: OnDiskPoint;
  readonly retryEveryMs?: number;
  readonly logBytesMax?: number;
  readonly firstCheckpointMs?: number;
  readonly sweepEveryMs?: number;
}

export class CacheStore {
  private readonly options: CacheStoreOptions;
  private readonly folder: CacheFolder;
  private readonly clock: BootClock;
  private readonly onPoint: OnDiskPoint;
  /** What is collected for the next frame. */
  private readonly writer = new FrameWriter();
  private pending: Batch | null = null;
  private underWay: Batch | null = null;
  private log: CacheLog | null = null;
  private readonly generations: Generations;
  private checkpointBytes = 0;
  /** Changes are not collected: the log cannot take them. */
  private isLost = false;
  /** The files lack something that the cache has. */
  private isOwed = false;
  /** How often changes were let go of: a checkpoint that was begun before the last time does not have them. */
  private losses = 0;
  private isLate = false;
  /** The last changes that were acknowledged before they were durable, and are on their way to the log; and what is said when they are. */
  private catchUp: { readonly last: Batch; readonly note: string } | null = null;
  private isCheckpointDue = false;
  private checkpointAtMs = 0;
  private isTooLarge = false;
  private leftOut = 0;
  private committedAtMs = -Infinity;
  private timer: NodeJS.Timeout | null = null;
  private timerAtMs = Infinity;
  private readonly times: CheckpointTimes;
  private step: Promise<void> | null = null;
  private checkpointing: Promise<void> | null = null;
  private isClosing = false;

  constructor(options: CacheStoreOptions) {
    this.options = options;
    this.folder = new CacheFolder(options.stateDir, options.role, options.log);
    this.generations = new Generations(this.folder);
    this.clock = options.clock ?? bootClock();
    this.onPoint = options.onPoint ?? (() => undefined);
    this.times = new CheckpointTimes({ cache: options.cache, firstMs: options.firstCheckpointMs, sweepEveryMs: options.sweepEveryMs, onDue: () => {
      this.isCheckpointDue = true;
      this.schedule(0);
    } });
  }

  /** True while a restart would not bring back all that is in the cache. */
  get isBehind(): boolean {
    return this.isOverdue || this.catchUp !== null || this.leftOut > 0;
  }

  /** What an operator reads in front of the complaint. */
  get path(): string {
    return join(this.options.stateDir, `${this.options.role}-cache`);
  }

  /** Changes that are not durable yet. */
  get waiting(): number {
    return this.pending === null && this.underWay === null ? 0 : Math.max(1, this.writer.count);
  }

  /** Reads what the former process left, into the cache. Takes about a microsecond a mapping. */
  restore(): void {
    const startMs = performance.now();
    const loaded = loadCache(this.folder, this.options.cache, this.clock);
    this.generations.loaded(loaded);
    if (loaded.found.length === 0 && !loaded.isToBeWritten) return;
    this.sayLoaded(loaded, performance.now() - startMs);
    const generations = new Set(loaded.found.map(({ generation }) => generation));
    this.times.found(loaded.isToBeWritten || generations.size > FOUND_MAX);
  }

  /** A mapping that the cache took as new. */
  put(mapping: Mapping): void {
    if (this.isLost) return;
    this.writer.mapping(mapping);
    this.collected();
  }

  putClean(clean: Clean): void {
    if (this.isLost) return;
    this.writer.clean(clean);
    this.collected();
  }

  /**
   * Resolves when all that was put before is durable; at once, or within a second, while the disk does not take it:
   * `isBehind` is true then.
   */
  durable(): Promise<void> {
    if (this.isOverdue) return Promise.resolve();
    return (this.pending ?? this.underWay)?.promise ?? Promise.resolve();
  }

  /** Resolves when so little waits that there is room for as much again; at once while the disk does not take it. */
  async room(): Promise<void> {
    if (this.writer.length < PENDING_BYTES_MAX / 2 || this.isLost || this.isLate || this.isClosing) return;
    await this.pending?.promise;
  }

  /** Makes durable what waits, with one last try where that has failed. */
  async close(): Promise<void> {
    this.isClosing = true;
    if (this.timer !== null) clearTimeout(this.timer);
    this.times.close();
    let timer: NodeJS.Timeout | null = null;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), CLOSE_MS);
    });
    const end = await Promise.race([this.finish(), late]);
    if (timer !== null) clearTimeout(timer);
    if (end === 'late') this.options.log.error('the disk did not take the last learned mappings in time', { path: this.options.stateDir, withinMs: CLOSE_MS });
  }

  private get isOverdue(): boolean {
    return this.isLost || this.isOwed || this.isLate;
  }

  private async finish(): Promise<void> {
    await this.step;
    await this.checkpointing;
    if (this.pending !== null || this.isOverdue) await this.advance();
    await this.checkpointing;
    this.settle();
    await this.log?.close();
    this.log = null;
  }

  private collected(): void {
    this.pending ??= newBatch();
    if (this.writer.length > PENDING_BYTES_MAX) this.lose(new Error('the disk is too slow for what is learned'));
    else this.scheduleCommit();
  }

  private scheduleCommit(): void {
    const isMuch = this.writer.length >= COMMIT_BYTES;
    this.schedule(isMuch ? 0 : Math.max(0, this.committedAtMs + COMMIT_EVERY_MS - performance.now()));
  }

  private schedule(delayMs: number): void {
    if (this.step !== null || this.isClosing) return;
    const atMs = performance.now() + delayMs;
    if (this.timer !== null && this.timerAtMs > atMs) {
      clearTimeout(this.timer);
      this.timer = null;
    }
    if (this.timer === null) {
      this.timerAtMs = atMs;
      this.timer = setTimeout(() => this.turn(), delayMs);
    }
    // What waits is worth staying for; a further try is not.
    if (this.pending === null) this.timer.unref();
    else this.timer.ref();
  }

  private turn(): void {
    this.timer = null;
    this.step = this.advance().then(() => {
      this.step = null;
      this.scheduleNext();
    });
  }

  private scheduleNext(): void {
    if (this.isLost) this.schedule(this.retryEveryMs);
    else if (this.pending !== null) this.scheduleCommit();
    else if (this.isCheckpointDue && this.checkpointing === null) this.schedule(Math.max(0, this.checkpointAtMs - performance.now()));
  }

  /** One turn: what waits becomes durable, and a checkpoint is begun if one is due. Never rejects. */
  private async advance(): Promise<void> {
    const timer = setTimeout(() => this.late(), DURABLE_WITHIN_MS).unref();
    try {
      if (this.isLost || (this.log === null && this.pending !== null)) await this.nextLog();
      if (this.isLost) {
        // From here on changes are collected again; the checkpoint brings what was let go of.
        this.isLost = false;
        this.isOwed = true;
        this.isCheckpointDue = true;
        this.checkpointAtMs = 0;
      }
      await this.commit();
      await this.beginCheckpoint();
      if (this.isLate) {
        this.isLate = false;
        this.catchesUp('the disk keeps up again');
      }
    } catch (error) {
      this.lose(error);
    } finally {
      clearTimeout(timer);
    }
  }

  private async commit(): Promise<void> {
    const { log } = this;
    if (this.pending === null || log === null) return;
    this.committedAtMs = performance.now();
    const batch = this.pending;
    this.underWay = batch;
    this.pending = null;
    await log.append(this.writer.take(log.nextFrame, this.clock.now()));
    this.underWay?.settle();
    this.underWay = null;
    if (log.bytes > this.logBytesMax) this.isCheckpointDue = true;
    if (this.catchUp?.last === batch) this.caughtUp(this.catchUp.note);
  }

  /** Acknowledgements wait for the disk again; some that did not are still to become true. */
  private catchesUp(note: string): void {
    const last = this.pending ?? this.underWay;
    if (last === null) this.caughtUp(note);
    else this.catchUp = { last, note };
  }

  private caughtUp(note: string): void {
    this.catchUp = null;
    this.options.log.info(note, { path: this.options.stateDir });
  }

  /** The log to which changes go from here on. */
  private async nextLog(): Promise<void> {
    await this.log?.close();
    this.log = null;
    const log = await CacheLog.create(this.folder, { generation: this.generations.last, bootId: this.clock.bootId }, this.onPoint);
    this.log = log;
    this.generations.begun(log.generation);
  }

  private async beginCheckpoint(): Promise<void> {
    if (!this.isCheckpointDue || this.checkpointing !== null || performance.now() < this.checkpointAtMs) return;
    if (this.isClosing && !this.isOwed) return;
    const { log } = this;
    const hasRoom = this.generations.logsWaiting < LOGS_MAX;
    if (log === null || log.generation === this.generations.checkpoint || log.bytes > this.logBytesMax) {
      if (!hasRoom) throw new Error('the log may not grow further without a checkpoint');
      await this.nextLog();
    } else if (this.times.hasBuried && hasRoom && !this.isOwed) {
      // Beside the checkpoint stands a log of its generation, which may not have what was let go of. One that is owed has a new log already.
      await this.nextLog();
    }
    this.isCheckpointDue = false;
    const { losses } = this;
    this.checkpointing = this.writeCheckpoint(this.log!.generation).then(
      () => this.checkpointDone(losses),
      (error: unknown) => this.checkpointFailed(error, losses),
    ).finally(() => {
      this.checkpointing = null;
      if (this.step === null) this.scheduleNext();
    });
  }

  /** The cache as it is now, under this generation, whose log holds what changes from now on. */
  private async writeCheckpoint(generation: number): Promise<void> {
    const { options, clock } = this;
    this.times.begun();
    const living = this.generations.rereadGrown(options.cache, clock);
    const cleans = options.cache.pastCleans();
    // Read in slices: what changes meanwhile is in the log. Only what is too large must be looked at as a whole.
    const everything = options.cache.everything();
    const { mappings, leftOut } = this.isTooLarge ? fitting([...everything]) : { mappings: everything, leftOut: 0 };
    const replaces = this.generations.replacedBy(generation, living);
    const header = this.folder.headerLine({ kind: 'checkpoint', generation, bootId: clock.bootId, replaces });
    const parts = checkpointParts({ header, cleans, mappings, clock, isBrokenOff: () => this.isClosing && !this.isOwed });
    this.checkpointBytes = await writeCheckpoint(this.folder.path({ kind: 'checkpoint', generation }), parts, this.onPoint);
    this.sayLeftOut(leftOut);
    this.isTooLarge = leftOut > 0;
    await this.generations.published(generation, living);
    this.onPoint('old removed', this.folder.dir);
  }

  private checkpointDone(losses: number): void {
    if (losses !== this.losses) return;
    const wasOwed = this.isOwed;
    this.isOwed = false;
    if (wasOwed) this.catchesUp('learned mappings are on disk again');
  }

  private checkpointFailed(error: unknown, losses: number): void {
    if (this.isClosing && !this.isOwed) return;
    if (error instanceof TooLarge) this.isTooLarge = true;
    if (this.isOwed && losses === this.losses) {
      this.lose(error);
      return;
    }
    // The log goes on, so nothing is behind yet.
    this.options.log.error('the FQDN cache cannot be written anew; its log goes on', { path: this.options.stateDir, error: String(error), retryInMs: this.retryEveryMs });
    this.isCheckpointDue = true;
    this.checkpointAtMs = performance.now() + this.retryEveryMs;
  }

  private sayLoaded(loaded: Loaded, ms: number): void {
    const { cleans, refused, found } = loaded;
    // One that was written again and again is one.
    this.options.log.info('learned mappings are back from the disk', { mappings: this.options.cache.size, cleans, files: found.length, ms: Math.round(ms) });
    if (refused === 0) return;
    this.options.log.error('forced cleans on disk have patterns that are not admitted and were left out', { path: this.path, cleans: refused });
  }

  private sayLeftOut(leftOut: number): void {
    if (leftOut > 0 && this.leftOut === 0) {
      this.options.log.error('the FQDN cache is larger than what is kept on disk; the mappings that expire first are left out', { path: this.options.stateDir, leftOut });
    }
    this.leftOut = leftOut;
  }

  /** The disk did not take something: from here on changes are let go of, until a whole checkpoint is tried. */
  private lose(error: unknown): void {
    const { log, options } = this;
    options.log.error('learned mappings cannot be written; a restart would start from older ones', { path: options.stateDir, error: String(error), retryInMs: this.retryEveryMs });
    // One that was begun while a checkpoint was owed is of no use without it.
    if (log !== null && this.isOwed) this.generations.dropLog(log.generation);
    this.isLost = true;
    this.isOwed = false;
    this.catchUp = null;
    this.losses++;
    this.writer.clear();
    this.settle();
    this.schedule(this.retryEveryMs);
  }

  private late(): void {
    this.isLate = true;
    this.options.log.error('the disk is slow: mappings are acknowledged before they are on it', { path: this.options.stateDir, afterMs: DURABLE_WITHIN_MS });
    this.settle();
  }

  private settle(): void {
    this.underWay?.settle();
    this.pending?.settle();
    this.underWay = null;
    // What still waits is for the next frame; who asks about it later waits for that.
    this.pending = this.isLost || this.isClosing || this.pending === null ? null : newBatch();
  }

  private get logBytesMax(): number {
    return Math.max(this.options.logBytesMax ?? LOG_BYTES_MAX, this.checkpointBytes);
  }

  private get retryEveryMs(): number {
    return this.options.retryEveryMs ?? RETRY_EVERY_MS;
  }
}
