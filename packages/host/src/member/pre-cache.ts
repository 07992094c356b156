/**
 * Mappings that a member is given in a file: by an import, or to begin with (`--tofqdns-pre-cache`). A pre-cache that cannot be used
 * stops nobody: names are looked up as ever.
 */
import { open } from 'node:fs/promises';
import { AppError, type Mapping, NODE_UID } from '@tandem/core';
import { bootTimeMs } from 'node-reuseport';
import { ENTRIES_BYTES_MAX, mappingsOfText, type WallTimes } from '../control/cache-entries.js';
import type { CacheImported } from '../control/daemon-view.js';
import type { Member } from './member.js';
import { wallTimes } from '../state/wall-times.js';

/** Those that have expired, or belong to no pod of this node, are passed over. */
export async function bring(member: Member, mappings: readonly Mapping[]): Promise<CacheImported> {
  const nowMs = bootTimeMs();
  const { snapshot, cache } = member;
  const present = snapshot === null ? null : new Set(snapshot.endpoints.map(({ uid }) => uid));
  const isStranger = ({ endpointUid }: Mapping): boolean => present !== null && endpointUid !== NODE_UID && !present.has(endpointUid);
  const good = mappings.filter(({ expiryMs }) => expiryMs > nowMs);
  const ours = good.filter((mapping) => !isStranger(mapping));
  const taken = ours.filter((mapping) => !cache.isCleaned(mapping));
  const news = await member.mappings.teachFile(taken);
  const learned = count(news, (mapping) => cache.knows(mapping));
  const evicted = count(taken, (mapping) => !cache.knows(mapping));
  return {
    read: mappings.length, learned, known: taken.length - learned - evicted, expired: mappings.length - good.length,
    strangers: good.length - ours.length, cleaned: ours.length - taken.length, evicted,
  };
}

function count(mappings: readonly Mapping[], isCounted: (mapping: Mapping) => boolean): number {
  return mappings.reduce((sum, mapping) => sum + (isCounted(mapping) ? 1 : 0), 0);
}

/** Has the member begin with its pre-cache, if there is one. Resolves to the complaint about one that cannot be used, else null. */
export async function takePreCache(member: Member): Promise<string | null> {
  const path = member.settings.preCachePath ?? '';
  if (path === '') return null;
  try {
    const result = await bring(member, await readPreCache(path, wallTimes()));
    member.log.info('mappings of the pre-cache are taken', { path, ...result });
    return null;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    member.log.error('the pre-cache is left out', { reason: error.message });
    return `--tofqdns-pre-cache: error: ${error.message}; it is left out`;
  }
}

/** All of the file's mappings. @throws AppError CONFIGURATION, UNAVAILABLE or LIMIT; its message begins with the path. */
async function readPreCache(path: string, times: WallTimes): Promise<Mapping[]> {
  try {
    return mappingsOfText(await readText(path), times);
  } catch (error) {
    if (error instanceof AppError) throw new AppError(error.code, `${path}: ${error.message}`, { cause: error });
    throw new AppError('UNAVAILABLE', `${path}: cannot be read: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

async function readText(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const found = await file.stat();
    // A pipe or a device could keep the start waiting for ever.
    if (!found.isFile()) throw new AppError('CONFIGURATION', 'is not a regular file');
    if (found.size > ENTRIES_BYTES_MAX) throw new AppError('LIMIT', `has ${found.size} bytes; allowed: at most ${ENTRIES_BYTES_MAX}`);
    const bytes = await file.readFile();
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch {
      throw new AppError('CONFIGURATION', 'is not UTF-8 text');
    }
  } finally {
    await file.close();
  }
}
