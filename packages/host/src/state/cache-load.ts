/**
 * What the files of a state folder hold, into an FQDN cache, with times as they are now.
 *
 * Invariant: no mapping is looked up later than now, none lives longer than it did when it was written, and the order of
 * look-ups and cleans stays. So whatever the time of day is after a reboot, nothing becomes eternal.
 */
import { type FqdnCache, type MonoMs, monoMs } from '@tandem/core';
import type { CacheItem, ClockPair } from './cache-frames.js';
import type { CacheFile, CacheFileName, CacheFolder } from './cache-files.js';

/** Now, and which kernel counts. */
export interface BootClock {
  readonly bootId: string;
  now(): ClockPair;
}

export interface FoundFile extends CacheFileName {
  /** As it was read; 0 when it was not. */
  readonly bytes: number;
}

export interface Loaded {
  /** Mappings that the cache did not have, of those that were read. */
  readonly mappings: number;
  readonly cleans: number;
  /** Files that are there. */
  readonly found: readonly FoundFile[];
  /** Of the newest whole checkpoint; 0 when there is none. */
  readonly checkpoint: number;
  /** Some of it stands in no good file any more, or in times of another boot. */
  readonly isToBeWritten: boolean;
}

/** Collection has taken what expired so long before the last write. */
const COLLECTED_AFTER_MS = 65_000;

/** Reads what is there, oldest first. What a good checkpoint stands for is not read. */
export function loadCache(folder: CacheFolder, cache: FqdnCache, clock: BootClock): Loaded {
  const names = folder.list();
  const replaced = new Set<number>();
  const files: CacheFile[] = [];
  const found = new Map<string, FoundFile>(names.map((name) => [folder.path(name), { ...name, bytes: 0 }]));
  let isToBeWritten = false;
  let checkpoint = 0;
  const read = (name: CacheFileName): void => {
    if (replaced.has(name.generation)) return;
    const file = folder.read(name);
    if (file === null || file.frames.isCorrupt) isToBeWritten = true;
    if (file === null) return;
    files.push(file);
    for (const generation of file.header.replaces) replaced.add(generation);
    if (!isOfBoot(file.header.bootId, clock)) isToBeWritten = true;
    if (name.kind === 'checkpoint') checkpoint = Math.max(checkpoint, name.generation);
    found.set(folder.path(name), { ...name, bytes: file.bytes });
  };
  for (const name of names.toReversed()) if (name.kind === 'checkpoint') read(name);
  for (const name of names) if (name.kind === 'log') read(name);
  files.sort((a, b) => a.header.generation - b.header.generation || (a.header.kind === 'checkpoint' ? -1 : 1));
  let mappings = 0;
  let cleans = 0;
  for (const file of files) {
    const taken = apply(file, cache, clock);
    mappings += taken.mappings;
    cleans += taken.cleans;
  }
  return { mappings, cleans, found: [...found.values()], checkpoint, isToBeWritten };
}

/** Takes a file's items over. */
export function apply({ header, frames }: CacheFile, cache: FqdnCache, clock: BootClock): { mappings: number; cleans: number } {
  const taken = { mappings: 0, cleans: 0 };
  if (frames.clock === null) return taken;
  const now = clock.now();
  const isSameBoot = isOfBoot(header.bootId, clock);
  const shiftMs = shiftOf(frames.clock, now, isSameBoot);
  const writtenMs = frames.clock.monoMs + shiftMs;
  // Of this boot, what had expired but was not collected may still be needed: connections can have outlived both members.
  const collectedMs = (isSameBoot ? writtenMs : now.monoMs) - COLLECTED_AFTER_MS;
  for (const item of frames.items) {
    const shifted = shift(item, shiftMs);
    if (shifted.clean !== undefined) {
      cache.clean(shifted.clean);
      taken.cleans++;
    } else if (shifted.mapping.expiryMs > collectedMs && cache.merge(shifted.mapping)) {
      taken.mappings++;
    }
  }
  return taken;
}

function isOfBoot(bootId: string, clock: BootClock): boolean {
  return bootId !== '' && bootId === clock.bootId;
}

/** What to add to a time of the file to have it on this kernel's clock. */
export function shiftOf(written: ClockPair, now: ClockPair, isSameBoot: boolean): number {
  if (isSameBoot && written.monoMs <= now.monoMs) return 0;
  // A time of day before the file's is wrong: then the file counts as written just now.
  const agoMs = Math.max(0, now.wallMs - written.wallMs);
  return now.monoMs - agoMs - written.monoMs;
}

function shift(item: CacheItem, shiftMs: number): CacheItem {
  if (shiftMs === 0) return item;
  if (item.clean !== undefined) return { clean: { ...item.clean, atMs: sinceBoot(item.clean.atMs + shiftMs) } };
  const { mapping } = item;
  return {
    mapping: { ...mapping, lookupMs: sinceBoot(mapping.lookupMs + shiftMs), expiryMs: sinceBoot(mapping.expiryMs + shiftMs) },
  };
}

/** Before this boot there is no CLOCK_BOOTTIME: those times become parts of its first millisecond, in the same order. */
export function sinceBoot(ms: number): MonoMs {
  return monoMs(ms >= 1 ? ms : 1 / (2 - ms));
}
