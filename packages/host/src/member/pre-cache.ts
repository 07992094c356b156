/** `--tofqdns-pre-cache`: mappings that a member begins with. A file that cannot be used stops nobody: names are looked up as ever. */
import { open } from 'node:fs/promises';
import { AppError, type Mapping } from '@tandem/core';
import { ENTRIES_BYTES_MAX, mappingsOfText, type WallTimes } from '../control/cache-entries.js';

/** All of the file's mappings. @throws AppError CONFIGURATION, UNAVAILABLE or LIMIT; its message begins with the path. */
export async function readPreCache(path: string, times: WallTimes): Promise<Mapping[]> {
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
