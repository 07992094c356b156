/**
 * Judges one source file's imports by the import table. Test files may also use Node, the development dependencies and
 * the codec of dns as an oracle; the table binds them like any other file.
 */
import { posix } from 'node:path';
import type { Import } from './source-file.js';
import { codecDoor, codecFolder, originOf, oursAllowed, packageOf, pureNpmAllowed } from './import-table.js';

export interface PackageFacts {
  /** Folder, such as `packages/core`. */
  readonly folder: string;
  readonly name: string;
  readonly dependencies: readonly string[];
  /** Subpaths that each of our packages exports, such as `.` and `./codec`. */
  readonly doors: Readonly<Record<string, readonly string[]>>;
  readonly developmentDependencies: readonly string[];
}

export function isTestFile(path: string): boolean {
  return /\.(test|bench)\.ts$/.test(path) || /(^|\/)(fixtures|testing)\//.test(path);
}

/** One sentence per break; empty when all is well. */
export function importBreaks(path: string, imports: readonly Import[], facts: PackageFacts): string[] {
  const breaks: string[] = [];
  for (const one of imports) {
    const why = breakOf(path, one.specifier, facts);
    if (why !== null) breaks.push(`${path}:${String(one.line)} imports ${one.specifier}: ${why}`);
  }
  return breaks;
}

function breakOf(path: string, specifier: string, facts: PackageFacts): string | null {
  switch (originOf(specifier)) {
    case 'relative':
      return relativeBreak(path, specifier, facts);
    case 'node':
      return facts.folder in pureNpmAllowed && !isTestFile(path) && !path.startsWith(codecFolder) ? 'a pure package knows no Node module' : null;
    case 'ours':
      return oursBreak(path, specifier, facts);
    case 'npm':
      return npmBreak(path, packageOf(specifier), facts);
  }
}

function relativeBreak(path: string, specifier: string, facts: PackageFacts): string | null {
  const target = posix.join(posix.dirname(path), specifier);
  if (!target.startsWith(`${facts.folder}/`)) return 'a relative import must stay in its package';
  const crossesIntoCodec = target.startsWith(codecFolder) && !path.startsWith(codecFolder);
  return crossesIntoCodec && !isTestFile(path) ? 'the codec is reached by its own door only' : null;
}

function oursBreak(path: string, specifier: string, facts: PackageFacts): string | null {
  const target = packageOf(specifier);
  const test = isTestFile(path);
  if (target === facts.name) return test ? null : 'a package does not import itself';
  const door = specifier === target ? '.' : `.${specifier.slice(target.length)}`;
  if (!(facts.doors[target] ?? []).includes(door)) return 'this is no door of that package';
  if (specifier === codecDoor && facts.folder === 'packages/core') return test ? null : 'core does not use the codec';
  if (!(oursAllowed[facts.folder] ?? []).includes(target)) return 'the import table does not allow it';
  return facts.dependencies.includes(target) ? null : 'package.json does not declare it';
}

function npmBreak(path: string, target: string, facts: PackageFacts): string | null {
  if (isTestFile(path) && facts.developmentDependencies.includes(target)) return null;
  if (!facts.dependencies.includes(target)) return 'package.json does not declare it';
  const pure = pureNpmAllowed[facts.folder];
  if (pure === undefined || pure.includes(target) || isTestFile(path) || path.startsWith(codecFolder)) return null;
  return 'a pure package may not use it';
}
