/**
 * Where the tests stand: the repository's root and its files. Knows nothing of git, so that an unpacked archive is
 * tested like a clone.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';

/** This file runs as test/dist/harness/repository.js. */
export const repositoryRoot = resolve(import.meta.dirname, '../../..');

const builtOrForeign = new Set(['node_modules', 'dist', 'bundle', 'build', '.git', '.tap', 'coverage', 'bench-results']);

/** Paths relative to the root, sorted, without what is built or installed. */
export function repositoryFiles(under = '.'): string[] {
  const found: string[] = [];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isSymbolicLink() || builtOrForeign.has(entry.name)) continue;
      const path = join(folder, entry.name);
      if (entry.isDirectory()) walk(path);
      else if (entry.isFile() && !entry.name.endsWith('.tsbuildinfo')) found.push(relative(repositoryRoot, path));
    }
  };
  walk(resolve(repositoryRoot, under));
  return found.sort();
}

export function readRepositoryFile(path: string): string {
  return readFileSync(join(repositoryRoot, path), 'utf8');
}

/** The parts of a package.json that the rules look at. */
export interface Manifest {
  readonly name: string;
  readonly version?: string;
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

export function readManifest(path: string): Manifest {
  return JSON.parse(readRepositoryFile(path)) as Manifest;
}
