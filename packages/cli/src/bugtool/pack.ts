/**
 * A folder as one .tar.gz: the host's tar, compressed here, since tar starts its compressor through a shell, which an image need not have. Written
 * aside, and published by one rename.
 */
import { spawn } from 'node:child_process';
import { chmodSync, createWriteStream, renameSync, rmSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { AppError } from '@tandem/core';

const PRIVATE_FILE = 0o600;
const MESSAGE_CHARACTERS_MAX = 2_000;

/** @throws AppError UNAVAILABLE if there is no tar, or it fails. */
export async function pack(folder: string, file: string): Promise<void> {
  const aside = `${file}.${process.pid}.part`;
  try {
    await tar(['--create', '--file', '-', '--directory', dirname(folder), '--', basename(folder)], aside);
    chmodSync(aside, PRIVATE_FILE);
    renameSync(aside, file);
  } catch (error) {
    rmSync(aside, { force: true });
    if (error instanceof AppError) throw error;
    throw new AppError('UNAVAILABLE', `${file}: cannot be written: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

async function tar(args: readonly string[], file: string): Promise<void> {
  const child = spawn('tar', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => { said = (said + text).slice(0, MESSAGE_CHARACTERS_MAX); });
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      reject(new AppError('UNAVAILABLE', error.code === 'ENOENT' ? 'there is no tar here; --dir writes a folder instead' : `tar cannot be run: ${error.message}`, { cause: error }));
    });
    child.once('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(new AppError('UNAVAILABLE', `tar ended with ${signal ?? String(code)}: ${said.trim()}`));
    });
  });
  const written = pipeline(child.stdout, createGzip(), createWriteStream(file, { flags: 'wx', mode: PRIVATE_FILE }));
  const [writing, tarring] = await Promise.allSettled([written, ended]);
  // Where the file cannot be written, tar ends by its closed pipe, too: the first is what is wrong.
  if (writing.status === 'rejected' && ((writing.reason as NodeJS.ErrnoException).syscall !== undefined || tarring.status === 'fulfilled')) throw writing.reason;
  if (tarring.status === 'rejected') throw tarring.reason;
}
