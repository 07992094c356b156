/**
 * A file that survives a crash at any moment: written aside, made durable, then renamed; the one before is kept.
 *
 * What cannot be read back is set aside under another name with a loud message, never trusted and never fatal.
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { canonicalJson, type Log } from '@tandem/core';
import { sha256 } from './sha256.js';

const PRIVATE_FILE = 0o600;
const PRIVATE_FOLDER = 0o700;
const FORMAT = 1;

interface Envelope {
  readonly format: number;
  readonly checksum: string;
  readonly content: unknown;
}

export class StateFile<T> {
  readonly path: string;
  private readonly bytesMax: number;
  private readonly parse: (content: unknown) => T;
  private readonly log: Log;

  /** `parse` throws for content that has not the shape. */
  constructor(path: string, options: { readonly bytesMax: number; readonly parse: (content: unknown) => T; readonly log: Log }) {
    this.path = path;
    this.bytesMax = options.bytesMax;
    this.parse = options.parse;
    this.log = options.log;
  }

  /** The last good content: of the file, else of the one before; null when there is none. */
  read(): T | null {
    return this.readOne(this.path) ?? this.readOne(this.previousPath);
  }

  /** True when the content is on disk. A full or read-only disk is told to the log; the former file stays. */
  write(content: T): boolean {
    const inside = canonicalJson(content);
    const text = `{"checksum":${JSON.stringify(sha256([inside]))},"content":${inside},"format":${JSON.stringify(FORMAT)}}`;
    const temporary = `${this.path}.new`;
    try {
      if (Buffer.byteLength(text) > this.bytesMax) throw new Error(`larger than ${this.bytesMax} bytes`);
      mkdirSync(dirname(this.path), { recursive: true, mode: PRIVATE_FOLDER });
      writeDurably(temporary, text);
      if (existsSync(this.path)) renameSync(this.path, this.previousPath);
      renameSync(temporary, this.path);
      syncFolder(dirname(this.path));
      return true;
    } catch (error) {
      this.log.error('state could not be written; the former one stays', { path: this.path, error: String(error) });
      return false;
    }
  }

  private get previousPath(): string {
    return `${this.path}.previous`;
  }

  private readOne(path: string): T | null {
    if (!existsSync(path)) return null;
    try {
      if (statSync(path).size > this.bytesMax) throw new Error(`larger than ${this.bytesMax} bytes`);
      const { format, checksum, content } = JSON.parse(readFileSync(path, 'utf8')) as Partial<Envelope>;
      if (format !== FORMAT) throw new Error(`format ${String(format)} is not ${FORMAT}`);
      if (sha256([canonicalJson(content)]) !== checksum) throw new Error('the checksum is wrong');
      return this.parse(content);
    } catch (error) {
      this.setAside(path, error);
      return null;
    }
  }

  private setAside(path: string, error: unknown): void {
    const aside = join(dirname(path), `${basename(path)}.corrupt`);
    this.log.error('state cannot be used and was set aside', { path, aside, error: String(error) });
    try {
      renameSync(path, aside);
    } catch (renameError) {
      this.log.error('state could not be set aside', { path, error: String(renameError) });
    }
  }
}

function writeDurably(path: string, text: string): void {
  const fd = openSync(path, 'w', PRIVATE_FILE);
  try {
    const bytes = Buffer.from(text);
    for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function syncFolder(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
