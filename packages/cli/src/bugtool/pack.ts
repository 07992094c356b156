/** A folder as one .tar.gz, made by the host's tar: written aside, and published by one rename. */
import { spawn } from 'node:child_process';
import { chmodSync, closeSync, openSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { AppError } from '@tandem/core';

const PRIVATE_FILE = 0o600;
const MESSAGE_CHARACTERS_MAX = 2_000;

/** @throws AppError UNAVAILABLE if there is no tar, or it fails. */
export async function pack(folder: string, file: string): Promise<void> {
  const aside = `${file}.${process.pid}.part`;
  try {
    closeSync(openSync(aside, 'wx', PRIVATE_FILE));
    await tar(['--create', '--gzip', '--file', aside, '--directory', dirname(folder), '--', basename(folder)]);
    chmodSync(aside, PRIVATE_FILE);
    renameSync(aside, file);
  } catch (error) {
    rmSync(aside, { force: true });
    if (error instanceof AppError) throw error;
    throw new AppError('UNAVAILABLE', `${file}: cannot be written: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

function tar(args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('tar', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => { said = (said + text).slice(0, MESSAGE_CHARACTERS_MAX); });
    child.once('error', (error: NodeJS.ErrnoException) => {
      reject(new AppError('UNAVAILABLE', error.code === 'ENOENT' ? 'there is no tar here; --dir writes a folder instead' : `tar cannot be run: ${error.message}`, { cause: error }));
    });
    child.once('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(new AppError('UNAVAILABLE', `tar ended with ${signal ?? String(code)}: ${said.trim()}`));
    });
  });
}
