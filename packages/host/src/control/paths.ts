/**
 * Where a member's files and sockets lie when nobody says (DESIGN §2), and how such folders are made: private, and not
 * planted by someone else. The CLI finds the daemons by the same rules.
 */
import { lstatSync, mkdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { AppError, type Role } from '@tandem/core';

export type Environment = Readonly<Record<string, string | undefined>>;

const WRITABLE_BY_OTHERS = 0o022;

/** `/run/tandem` (root), else `$XDG_RUNTIME_DIR/tandem`, else a folder per user under the temporary directory. */
export function defaultRunDir(env: Environment, uid = process.getuid!()): string {
  if (uid === 0) return '/run/tandem';
  return env.XDG_RUNTIME_DIR ? join(env.XDG_RUNTIME_DIR, 'tandem') : join(tmpdir(), `tandem-${uid}`);
}

/** `/var/lib/tandem/ROLE` (root), else under `$XDG_STATE_HOME` or `~/.local/state`. */
export function defaultStateDir(role: Role, env: Environment, uid = process.getuid!()): string {
  if (uid === 0) return `/var/lib/tandem/${role}`;
  if (env.XDG_STATE_HOME) return join(env.XDG_STATE_HOME, 'tandem', role);
  return env.HOME ? join(env.HOME, '.local/state/tandem', role) : join(tmpdir(), `tandem-${uid}`, 'state', role);
}

/** The socket on which a member serves its API to the CLI. */
export function apiSocketPath(runDir: string, role: Role): string {
  return join(runDir, `${role}.sock`);
}

/**
 * Creates the folder, mode 0700, where it is absent.
 * @throws AppError UNAVAILABLE if that fails, or if others could put or replace files in it.
 */
export function ensurePrivateDir(path: string, flag: string): void {
  const refuse = (why: string, cause?: unknown): AppError =>
    new AppError('UNAVAILABLE', `${flag} ${path}: ${why}`, cause === undefined ? {} : { cause });
  let made = path;
  try {
    for (const folder of withParents(resolve(path))) {
      made = folder;
      createDir(folder);
    }
  } catch (error) {
    if (error instanceof AppError) throw refuse(error.message);
    throw refuse(`${made} cannot be created (${(error as NodeJS.ErrnoException).code}); choose another folder`, error);
  }
  const stat = lstatSync(path);
  const uid = process.getuid!();
  if (stat.isSymbolicLink()) throw refuse('is a symbolic link; name the folder itself');
  if ((stat.uid !== uid && stat.uid !== 0) || (stat.mode & WRITABLE_BY_OTHERS) !== 0) {
    throw refuse('others can write to it; make it yours alone (chmod 700) or choose another');
  }
}

/** `/a/b` → `/`, `/a`, `/a/b`. */
function withParents(path: string): readonly string[] {
  const parent = dirname(path);
  return parent === path ? [path] : [...withParents(parent), path];
}

/** One level only: mkdir's own `recursive` never ends below /proc. @throws AppError if something else is there. */
function createDir(path: string): void {
  if (isDir(path)) return;
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // The other member starts at the same time.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !isDir(path)) throw error;
  }
}

/** @throws AppError if something else is there. */
function isDir(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined || stat.isDirectory()) return stat !== undefined;
  throw new AppError('UNAVAILABLE', `${path} is ${stat.isFile() ? 'a file' : 'something else'}, not a folder`);
}
