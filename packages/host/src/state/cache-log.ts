/**
 * Files as the cache store writes them: a log that grows by durable frames, and a checkpoint that is published whole.
 *
 * Invariant: when `append` resolves, the frame survives a power cut, and so does the log's name. A checkpoint has its
 * final name only when all of it is durable.
 */
import { mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { CacheFolder } from './cache-files.js';

const PRIVATE_FILE = 0o600;
const PRIVATE_FOLDER = 0o700;
const GENERATION_TRIES = 100;

/** Between which two steps of writing the process is; tests end it there. */
export type DiskPoint =
  | 'log created' | 'log begun' | 'log named' | 'frame written' | 'frame durable'
  | 'checkpoint created' | 'checkpoint written' | 'checkpoint durable' | 'checkpoint renamed' | 'checkpoint published' | 'old removed';

export type OnDiskPoint = (point: DiskPoint, path: string) => void;

export class CacheLog {
  readonly generation: number;
  readonly path: string;
  private readonly handle: FileHandle;
  private readonly onPoint: OnDiskPoint;
  private size: number;
  private frames = 0;

  private constructor(options: { generation: number; path: string; handle: FileHandle; size: number; onPoint: OnDiskPoint }) {
    this.generation = options.generation;
    this.path = options.path;
    this.handle = options.handle;
    this.size = options.size;
    this.onPoint = options.onPoint;
  }

  /** An empty log under a generation above `generation` that nobody has used. */
  static async create(folder: CacheFolder, after: { readonly generation: number; readonly bootId: string }, onPoint: OnDiskPoint): Promise<CacheLog> {
    await mkdir(folder.dir, { recursive: true, mode: PRIVATE_FOLDER });
    let generation = Math.max(after.generation, folder.list().at(-1)?.generation ?? 0);
    for (let tries = 0; ; tries++) {
      generation++;
      const path = folder.path({ kind: 'log', generation });
      let handle: FileHandle;
      try {
        // Never one that is there: another member of this role may be ending just now, and still write to its own.
        handle = await open(path, 'wx', PRIVATE_FILE);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EEXIST' && tries < GENERATION_TRIES) continue;
        throw error;
      }
      onPoint('log created', path);
      try {
        const header = folder.headerLine({ kind: 'log', generation, bootId: after.bootId, replaces: [] });
        await writeAll(handle, header);
        onPoint('log begun', path);
        await handle.datasync();
        await syncFolder(folder.dir);
        onPoint('log named', path);
        return new CacheLog({ generation, path, handle, size: header.length, onPoint });
      } catch (error) {
        await handle.close().catch(() => undefined);
        await rm(path, { force: true }).catch(() => undefined);
        throw error;
      }
    }
  }

  get bytes(): number {
    return this.size;
  }

  /** The number of the frame to come. */
  get nextFrame(): number {
    return this.frames;
  }

  /** After an error nothing is known of the log's end: it takes no more. */
  async append(frame: Buffer): Promise<void> {
    await writeAll(this.handle, frame);
    this.onPoint('frame written', this.path);
    await this.handle.datasync();
    this.onPoint('frame durable', this.path);
    this.size += frame.length;
    this.frames++;
  }

  /** What was durable stays so. */
  close(): Promise<void> {
    return this.handle.close().catch(() => undefined);
  }
}

/** Writes a whole file aside and publishes it under `path`. @throws what the disk says; then there is nothing at `path`. */
export async function writeCheckpoint(path: string, parts: AsyncIterable<Buffer>, onPoint: OnDiskPoint): Promise<number> {
  const aside = `${path}.new`;
  let bytes = 0;
  try {
    const handle = await open(aside, 'w', PRIVATE_FILE);
    try {
      onPoint('checkpoint created', aside);
      for await (const part of parts) {
        await writeAll(handle, part);
        bytes += part.length;
      }
      onPoint('checkpoint written', aside);
      await handle.datasync();
      onPoint('checkpoint durable', aside);
    } finally {
      await handle.close();
    }
    await rename(aside, path);
    onPoint('checkpoint renamed', path);
    await syncFolder(dirname(path));
    onPoint('checkpoint published', path);
    return bytes;
  } catch (error) {
    await rm(aside, { force: true }).catch(() => undefined);
    throw error;
  }
}

async function writeAll(handle: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length;) at += (await handle.write(bytes, at, bytes.length - at)).bytesWritten;
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
