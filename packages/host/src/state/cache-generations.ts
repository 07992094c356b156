/**
 * Which files of the cache there are, which of them a new checkpoint stands for, and which may go.
 *
 * Invariant: what goes is never needed to stand in for the newest checkpoint, nor does a process that lives write to it.
 */
import { statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { FqdnCache } from '@tandem/core';
import type { CacheFileName, CacheFolder } from './cache-files.js';
import { apply, type BootClock, type FoundFile, type Loaded } from './cache-load.js';

export class Generations {
  private readonly folder: CacheFolder;
  /** Of processes before this one. */
  private found: FoundFile[] = [];
  private own: CacheFileName[] = [];
  private newest = 0;
  /** Of the newest whole one; 0: none. */
  private checkpointed = 0;

  constructor(folder: CacheFolder) {
    this.folder = folder;
  }

  /** The highest that was used. */
  get last(): number {
    return this.newest;
  }

  get checkpoint(): number {
    return this.checkpointed;
  }

  /** Own logs that no checkpoint stands for. */
  get logsWaiting(): number {
    return this.own.filter(({ kind, generation }) => kind === 'log' && generation > this.checkpointed).length;
  }

  loaded({ found, checkpoint }: Loaded): void {
    this.found = [...found];
    this.checkpointed = checkpoint;
    this.newest = found.reduce((max, { generation }) => Math.max(max, generation), this.newest);
  }

  begun(generation: number): void {
    this.newest = generation;
    this.own.push({ kind: 'log', generation });
  }

  /** A log that is of no use. */
  dropLog(generation: number): void {
    this.own = this.own.filter((name) => name.kind !== 'log' || name.generation !== generation);
    this.folder.remove({ kind: 'log', generation });
  }

  /** Generations below this one that its checkpoint stands for, but for those of processes that live. */
  replacedBy(generation: number, living: ReadonlySet<number>): number[] {
    const others = [...this.found, ...this.own].map((name) => name.generation);
    return [...new Set(others)].filter((other) => other < generation && !living.has(other));
  }

  /** The checkpoint of this generation has its name. The one before is kept, with all since; what is older goes. */
  async published(generation: number, living: ReadonlySet<number>): Promise<void> {
    const before = this.checkpointed;
    this.own.push({ kind: 'checkpoint', generation });
    this.checkpointed = generation;
    const isKept = (name: CacheFileName): boolean => name.generation >= before || living.has(name.generation);
    for (const name of [...this.found, ...this.own]) if (!isKept(name)) await rm(this.folder.path(name), { force: true });
    for (const path of this.folder.unfinished()) await rm(path, { force: true });
    this.found = this.found.filter(isKept);
    this.own = this.own.filter(isKept);
  }

  /**
   * Logs of this role that grew since they were read: their owner, a predecessor that is ending, lives. Takes over what is new
   * in them; returns their generations.
   */
  rereadGrown(cache: FqdnCache, clock: BootClock): Set<number> {
    const grown = new Set<number>();
    this.found = this.found.map((file) => {
      if (file.kind !== 'log' || file.bytes === 0 || sizeOf(this.folder.path(file)) === file.bytes) return file;
      const read = this.folder.read(file);
      if (read === null) return file;
      apply([read], { cache, clock, taken: { mappings: 0, cleans: 0, refused: 0 } });
      grown.add(file.generation);
      return { ...file, bytes: read.bytes };
    });
    return grown;
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
