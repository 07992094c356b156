/**
 * The files that a member keeps its FQDN cache in: their names, their first line, and how one is read.
 *
 * `ROLE-cache.G.checkpoint` is the whole cache, `ROLE-cache.G.log` the changes since; G is a generation, never used twice.
 * The first line of each says in words what it is. A checkpoint's says besides which generations it stands for: those
 * need not be read, and are there only in case that it cannot be.
 *
 * Invariant: what is returned was written by this program, for this role, under this name. All else is set aside.
 */
import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Log, Role } from '@tandem/core';
import { type FramesRead, readFrames } from './cache-frames.js';

export type CacheFileKind = 'checkpoint' | 'log';

export interface CacheFileName {
  readonly kind: CacheFileKind;
  readonly generation: number;
}

/** The first line of a file, in words. */
export interface CacheFileHeader extends CacheFileName {
  readonly role: Role;
  /** Of the kernel that counted the times in it. */
  readonly bootId: string;
  /** Generations that a checkpoint stands for, besides its own; none for a log. */
  readonly replaces: readonly number[];
}

export interface CacheFile {
  readonly header: CacheFileHeader;
  readonly frames: FramesRead;
  readonly bytes: number;
}

const FORMAT = 1;
const PROGRAM = 'tandem-fqdn-cache';
const HEADER_BYTES_MAX = 4096;
const GENERATION_DIGITS_MAX = 15;
const NEWLINE = 0x0a;
/** A pipe in the way must not hold up the start. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

/** Larger files are not read. A checkpoint has 60 to 100 bytes a mapping. */
export const CACHE_FILE_BYTES_MAX = 64 * 1024 * 1024;

export class CacheFolder {
  readonly dir: string;
  private readonly role: Role;
  private readonly log: Log;
  /** The generation that was set aside, of each kind; checkpoints are read newest first. */
  private readonly aside = { checkpoint: 0, log: 0 };

  constructor(dir: string, role: Role, log: Log) {
    this.dir = dir;
    this.role = role;
    this.log = log;
  }

  path({ kind, generation }: CacheFileName): string {
    return join(this.dir, `${this.role}-cache.${generation}.${kind}`);
  }

  headerLine(header: Omit<CacheFileHeader, 'role'>): Buffer {
    const { kind, generation, bootId, replaces } = header;
    const fields = `format=${FORMAT} role=${this.role} kind=${kind} generation=${generation} boot=${bootId} replaces=${replaces.join(',')}`;
    return Buffer.from(sealed(`${PROGRAM} ${fields}`), 'latin1');
  }

  /** What is there, lowest generation first. A folder that is absent holds nothing. */
  list(): CacheFileName[] {
    const found: CacheFileName[] = [];
    for (const entry of this.entries()) {
      const name = this.nameOf(entry);
      if (name !== null) found.push(name);
    }
    return found.sort((a, b) => a.generation - b.generation);
  }

  /** Checkpoints that were begun and never published. */
  unfinished(): string[] {
    return this.entries().filter((entry) => entry.endsWith('.new') && this.nameOf(entry.slice(0, -'.new'.length)) !== null).map((entry) => join(this.dir, entry));
  }

  /** Null for a file that is gone, or cannot be used and was set aside. */
  read(name: CacheFileName): CacheFile | null {
    const path = this.path(name);
    let bytes: Buffer;
    try {
      bytes = readWhole(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.setAside(name, String(error));
      return null;
    }
    if (name.kind === 'log' && isBegun(bytes)) {
      this.sayTorn(path, 0, bytes.length);
      return null;
    }
    const header = this.header(bytes, name);
    if (typeof header === 'string') {
      this.setAside(name, header);
      return null;
    }
    const frames = readFrames(bytes, bytes.indexOf(NEWLINE) + 1);
    if (name.kind === 'checkpoint' && !frames.isComplete) {
      this.setAside(name, frames.damage ?? 'its end is missing');
      return null;
    }
    if (frames.isCorrupt) this.setAside(name, `${frames.damage} at byte ${frames.wholeBytes}; what stands before is used`);
    else if (frames.damage !== null) this.sayTorn(path, frames.wholeBytes, bytes.length);
    return { header, frames, bytes: bytes.length };
  }

  /** One that stays does no harm: it is read again, and what it says is known. */
  remove(name: CacheFileName): void {
    try {
      rmSync(this.path(name), { force: true });
    } catch (error) {
      this.log.warn('a file of the FQDN cache could not be removed', { path: this.path(name), error: String(error) });
    }
  }

  /** As it stands in a checkpoint's or log's own first line; else what is wrong with it. */
  private header(bytes: Buffer, name: CacheFileName): CacheFileHeader | string {
    const end = bytes.subarray(0, HEADER_BYTES_MAX).indexOf(NEWLINE);
    const line = bytes.toString('latin1', 0, end + 1);
    const [program, ...words] = line.trimEnd().split(' ');
    if (program !== PROGRAM) return 'it is no file of this program';
    const fields = new Map(words.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]));
    const expected = { format: String(FORMAT), role: this.role, kind: name.kind, generation: String(name.generation) };
    for (const [field, value] of Object.entries(expected)) {
      if (fields.get(field) !== value) return `its ${field} is ${fields.get(field) ?? 'absent'}, not ${value}`;
    }
    if (sealed(line.slice(0, line.lastIndexOf(' '))) !== line) return 'the checksum of its first line is wrong';
    const replaces = (fields.get('replaces') ?? '').split(',').filter((word) => word !== '').map(Number);
    return { ...name, role: this.role, bootId: fields.get('boot') ?? '', replaces };
  }

  /** The end of a log as a crash leaves it, or as its owner is writing it just now. */
  private sayTorn(path: string, wholeBytes: number, bytes: number): void {
    this.log.warn('the last write of learned mappings was not finished and is left out', { path, bytes: bytes - wholeBytes });
  }

  /** One of each kind is kept, the newest. */
  private setAside(name: CacheFileName, reason: string): void {
    const path = this.path(name);
    const aside = join(this.dir, `${this.role}-cache.${name.kind}.corrupt`);
    const isNewest = name.generation >= this.aside[name.kind];
    this.log.error(`state cannot be used and was ${isNewest ? 'set aside' : 'removed: a newer one is set aside'}`, { path, aside, error: reason });
    try {
      rmSync(isNewest ? aside : path, { recursive: true, force: true });
      if (isNewest) renameSync(path, aside);
      this.aside[name.kind] = Math.max(name.generation, this.aside[name.kind]);
    } catch (error) {
      this.log.error('state could not be set aside', { path, error: String(error) });
    }
  }

  private nameOf(entry: string): CacheFileName | null {
    const prefix = `${this.role}-cache.`;
    if (!entry.startsWith(prefix)) return null;
    const [generation, kind, ...more] = entry.slice(prefix.length).split('.');
    if (more.length > 0 || (kind !== 'checkpoint' && kind !== 'log')) return null;
    if (!/^[1-9]\d*$/.test(generation) || generation.length > GENERATION_DIGITS_MAX) return null;
    return { kind, generation: Number(generation) };
  }

  private entries(): string[] {
    try {
      return readdirSync(this.dir);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Whoever writes there next will say why it cannot be.
      if (code !== 'ENOENT' && code !== 'ENOTDIR') this.log.error('the state folder cannot be read', { path: this.dir, error: String(error) });
      return [];
    }
  }
}

/** The line with its checksum. */
function sealed(line: string): string {
  return `${line} crc=${crc32(line).toString(16).padStart(8, '0')}\n`;
}

/** A crash came before the first line was written: nothing can have been kept there. */
function isBegun(bytes: Buffer): boolean {
  const text = bytes.toString('latin1', 0, HEADER_BYTES_MAX);
  return bytes.length < HEADER_BYTES_MAX && /^[ -~]*$/.test(text) && `${PROGRAM} `.startsWith(text.slice(0, PROGRAM.length + 1));
}

function readWhole(path: string): Buffer {
  const fd = openSync(path, OPEN_FLAGS);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new Error('it is no file');
    if (stat.size > CACHE_FILE_BYTES_MAX) throw new Error(`larger than ${CACHE_FILE_BYTES_MAX} bytes`);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}
