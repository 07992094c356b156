/** What some drills need of the machine, and what to do when it is not there. */
import { execFileSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '#harness/repository.js';
import { Cgroup } from './cgroup.js';
import type { Drill, Need } from './drill.js';

const CHECKS: Readonly<Record<Need, () => string | null>> = {
  root: () => (process.geteuid?.() === 0 ? null : 'needs root; run it as root'),
  'cgroup-cpu': () => Cgroup.missing('cpu'),
  'cgroup-memory': () => Cgroup.missing('memory'),
  faketime: () => (faketimeLibrary() === null ? 'needs libfaketime: apt-get install faketime' : null),
  git: () => (existsSync(join(repositoryRoot, '.git')) && works('git', '--version') ? null : 'needs a git clone of the repository with its history, to build the previous version from'),
};

/** The first need that is not met, with its remedy; null when all are. */
export function missingNeed(drill: Drill): string | null {
  for (const need of drill.needs ?? []) {
    const missing = CHECKS[need]();
    if (missing !== null) return missing;
  }
  return null;
}

/** Debian's, for programs with threads; null when it is not installed. */
export function faketimeLibrary(): string | null {
  return globSync('/usr/lib/*/faketime/libfaketimeMT.so.1')[0] ?? null;
}

function works(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
