/**
 * The version before this one, built from the repository's own history into a cache: the last tag, or while there is none the
 * commit that `chaos/previous-version` names. Built once per commit; simultaneous builds wait for each other.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, lstatSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '#harness/repository.js';

const NAMED = 'chaos/previous-version';
const MODULES = 'node_modules';
const BUILD_DEADLINE_MS = 300_000;

export interface Previous {
  readonly commit: string;
  /** Root of a checkout that is built. */
  readonly root: string;
}

/** @throws Error saying what git or the build said. */
export function previousVersion(): Previous {
  return builtVersion(lastTag() ?? named(NAMED));
}

/** The commit that a file of the repository names. */
export function named(file: string): string {
  return readFileSync(join(repositoryRoot, file), 'utf8').trim();
}

/** Of a tag or commit. @throws as previousVersion does. */
export function builtVersion(name: string): Previous {
  const commit = commitOf(name);
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'tandem-drills');
  const root = join(cache, commit);
  if (!existsSync(root)) {
    mkdirSync(cache, { recursive: true });
    const unfinished = `${root}.${String(process.pid)}`;
    try {
      build(commit, unfinished);
      if (!existsSync(root)) renameSync(unfinished, root);
    } finally {
      rmSync(unfinished, { recursive: true, force: true });
    }
  }
  return { commit, root };
}

function git(...args: string[]): string {
  return execFileSync('git', ['-C', repositoryRoot, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1 << 20 }).trim();
}

/** Of those before this commit: a release is not measured against itself. */
function lastTag(): string | null {
  try {
    return git('describe', '--tags', '--abbrev=0', 'HEAD^');
  } catch {
    return null; // there is no tag yet
  }
}

function commitOf(name: string): string {
  try {
    return git('rev-parse', '--verify', `${name}^{commit}`);
  } catch (error) {
    throw new Error(`the previous version, ${name}, is not in this clone's history: git fetch --unshallow --tags`, { cause: error });
  }
}

function build(commit: string, root: string): void {
  mkdirSync(root, { recursive: true });
  execFileSync('sh', ['-c', 'git -C "$1" archive "$2" | tar -x -C "$3"', 'sh', repositoryRoot, commit, root], { stdio: 'pipe' });
  linkModules(root);
  try {
    execFileSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: 'pipe', timeout: BUILD_DEADLINE_MS });
  } catch (error) {
    const said = error as { readonly stdout?: Buffer; readonly stderr?: Buffer };
    throw new Error(`building ${commit} failed:\n${String(said.stdout ?? '')}${String(said.stderr ?? '')}`, { cause: error });
  }
}

/** What is installed here serves there, too; but the workspaces are its own. */
function linkModules(root: string): void {
  const installed = join(repositoryRoot, MODULES);
  const link = (name: string): void => {
    const source = join(installed, name);
    const isWorkspace = lstatSync(source).isSymbolicLink() && readlinkSync(source).includes('packages/');
    symlinkSync(isWorkspace ? readlinkSync(source) : source, join(root, MODULES, name));
  };
  mkdirSync(join(root, MODULES, '@tandem'), { recursive: true });
  for (const name of readdirSync(installed)) {
    if (name !== '@tandem') link(name);
  }
  for (const name of readdirSync(join(installed, '@tandem'))) link(join('@tandem', name));
}
