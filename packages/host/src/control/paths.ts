/**
 * Where a member's files and sockets lie when nobody says (DESIGN §2), and how such folders are made: private, and not
 * planted by someone else. The CLI finds the daemons by the same rules.
 */
import { lstatSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const stat = lstatSync(path);
    const uid = process.getuid!();
    if (!stat.isDirectory()) throw new AppError('UNAVAILABLE', `${flag} ${path} is not a folder`);
    if ((stat.uid !== uid && stat.uid !== 0) || (stat.mode & WRITABLE_BY_OTHERS) !== 0) {
      throw new AppError('UNAVAILABLE', `${flag} ${path}: others can write to it; make it yours alone (chmod 700) or choose another`);
    }
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw new AppError('UNAVAILABLE', `${flag} ${path}: ${(error as Error).message}; choose another folder`, { cause: error });
  }
}
