/**
 * What the files of a state folder hold, into an FQDN cache, with times as they are now.
 *
 * Invariant: no mapping is looked up later than now, none lives longer than it did when it was written, and the order of
 * look-ups and cleans stays. So whatever the time of day is after a reboot, nothing becomes eternal, and nothing cleaned comes back.
 */
import { AppError, type Clean, EXTENSION_MAX_MS, type FqdnCache, type MonoMs, monoMs } from '@tandem/core';
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
  /** Mappings, and renewals of them, that were news to the cache, of those that were read. */
  readonly mappings: number;
  readonly cleans: number;
  /** Cleans with a pattern that this version does not admit. */
  readonly refused: number;
  /** Files that are there. */
  readonly found: readonly FoundFile[];
  /** Of the newest whole checkpoint; 0 when there is none. */
  readonly checkpoint: number;
  /** Some of it stands in no good file any more, or in times of another boot. */
  readonly isToBeWritten: boolean;
}

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
  const taken: Taken = { mappings: 0, cleans: 0, refused: 0 };
  apply(files, { cache, clock, taken });
  return { ...taken, found: [...found.values()], checkpoint, isToBeWritten };
}

export interface Taken {
  mappings: number;
  cleans: number;
  refused: number;
}

export interface Taker {
  readonly cache: FqdnCache;
  readonly clock: BootClock;
  readonly taken: Taken;
}

/** Takes over what files hold, the oldest first, and counts it. */
export function apply(files: readonly CacheFile[], to: Taker): void {
  const shifts = shiftsOf(files, to.clock);
  for (const file of files) applyShifted(file, shifts.get(file) ?? 0, to);
}

/**
 * What to add to the times of each file. Files of one boot have one clock, so all are moved as the newest of its times is: else a clean
 * could fall behind what it removed. Of no boot anything is later than the start of the next.
 */
function shiftsOf(files: readonly CacheFile[], clock: BootClock): ReadonlyMap<CacheFile, number> {
  const now = clock.now();
  const shifts = new Map<CacheFile, number>();
  let nextBootMs = 0;
  // Where the kernel has no ID of the boot, each file is by itself.
  const boots = Map.groupBy(files, (file) => (file.header.bootId === '' ? file : file.header.bootId));
  for (const [boot, ofBoot] of [...boots].reverse()) {
    const written = ofBoot.flatMap(({ frames }) => frames.clock ?? []).reduce<ClockPair | null>((a, b) => (a === null || b.monoMs > a.monoMs ? b : a), null);
    if (written === null) continue;
    const shiftMs = shiftOf(written, now, boot === clock.bootId);
    const boundMs = boot === clock.bootId || typeof boot !== 'string' ? Infinity : nextBootMs - written.monoMs;
    for (const file of ofBoot) shifts.set(file, Math.min(shiftMs, boundMs));
    if (typeof boot === 'string') nextBootMs = Math.min(nextBootMs, shiftMs, boundMs);
  }
  return shifts;
}

function applyShifted({ header, frames }: CacheFile, shiftMs: number, { cache, clock, taken }: Taker): void {
  const now = clock.now();
  const isSameBoot = isOfBoot(header.bootId, clock);
  // In one boot, connections can have outlived both members: what has expired is for collection to judge. No connection
  // outlives the kernel.
  const expiredMs = isSameBoot ? -Infinity : now.monoMs - EXTENSION_MAX_MS;
  for (const item of frames.items) {
    if (item.mapping !== undefined && item.mapping.expiryMs + shiftMs <= expiredMs) continue;
    const { mapping, clean } = shift(item, shiftMs);
    if (mapping !== undefined) {
      if (cache.merge(mapping)) taken.mappings++;
    } else if (isApplied(clean, cache)) {
      taken.cleans++;
    } else {
      taken.refused++;
    }
  }
}

function isApplied(clean: Clean, cache: FqdnCache): boolean {
  try {
    cache.clean(clean);
    return true;
  } catch (error) {
    if (error instanceof AppError) return false;
    throw error;
  }
}

export function isOfBoot(bootId: string, clock: BootClock): boolean {
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
