import { posix } from 'node:path';
import t from 'tap';
import { readManifest, readRepositoryFile, repositoryFiles } from '../harness/repository.js';
import { importBreaks, isTestFile } from './import-rules.js';
import { originOf } from './import-table.js';
import type { PackageFacts } from './import-rules.js';
import { importsOf, parse } from './source-file.js';

const root = readManifest('package.json');
const manifests = repositoryFiles('packages')
  .filter((path) => /^packages\/[^/]+\/package\.json$/.test(path))
  .map((path) => ({ folder: path.slice(0, -'/package.json'.length), manifest: readManifest(path) }));
const doors = Object.fromEntries(manifests.map(({ manifest }) => [manifest.name, Object.keys(manifest.exports ?? {})]));

function factsOf(folder: string): PackageFacts {
  const manifest = manifests.find((one) => one.folder === folder)?.manifest;
  if (manifest === undefined) throw new Error(`no package.json in ${folder}`);
  return {
    folder,
    name: manifest.name,
    dependencies: Object.keys(manifest.dependencies ?? {}),
    doors,
    developmentDependencies: Object.keys({ ...root.devDependencies, ...manifest.devDependencies }),
  };
}

t.test('every source imports only what the import table allows', (t) => {
  t.ok(manifests.length >= 9, 'the packages are found');
  for (const { folder } of manifests) {
    const facts = factsOf(folder);
    const breaks = repositoryFiles(folder)
      .filter((path) => path.endsWith('.ts'))
      .flatMap((path) => importBreaks(path, importsOf(parse(path, readRepositoryFile(path))), facts));
    t.strictSame(breaks, [], folder);
  }
  t.end();
});

function isOfPackages(path: string, specifier: string): boolean {
  const origin = originOf(specifier);
  return origin === 'ours' || (origin === 'relative' && posix.join(posix.dirname(path), specifier).startsWith('packages/'));
}

t.test('drills, and tests of running pairs, know nothing of what is inside', (t) => {
  const folders = ['chaos', 'test/harness', 'test/pair', 'test/lab', 'test/page', 'test/kubernetes'];
  const sources = folders.flatMap((folder) => repositoryFiles(folder)).filter((path) => path.endsWith('.ts'));
  t.ok(sources.length > 50, 'the sources are found');
  const breaks = sources.flatMap((path) => importsOf(parse(path, readRepositoryFile(path)))
    .filter(({ specifier }) => isOfPackages(path, specifier))
    .map(({ specifier, line }) => `${path}:${String(line)} ${specifier}`));
  t.strictSame(breaks, []);
  for (const specifier of ['@tandem/core', 'node-reuseport', '../../packages/core/dist/index.js']) t.ok(isOfPackages('chaos/lib/run.ts', specifier), `refused: ${specifier}`);
  for (const specifier of ['node:fs', './load.js', '#harness/pair.js']) t.notOk(isOfPackages('chaos/lib/run.ts', specifier), `allowed: ${specifier}`);
  t.end();
});

/** Left out of bundles, or no part of a program that is bundled. */
const UNBUNDLED = ['packages/node-reuseport', 'packages/status-page', 'packages/sim'];

/**
 * Which modules of a bundle name files by their own URL: it is right as compiled and in the bundle. Of a program the package's folder and the
 * checkout, from the top of its sources, since `dist` and `bundle` are equally deep; of a library only what the bundle has as an entry.
 */
const NAMES_FILES = [
  'packages/agent/src/main.ts', 'packages/cli/src/root.ts', 'packages/cli/src/version.ts', 'packages/datapath/src/opener-url.ts', 'packages/dns-proxy/src/main.ts',
  'packages/host/src/thread.ts',
];

function namesFiles(text: string): boolean {
  return /import\.meta\.(url|dirname|filename)|import\.meta\.resolve\('\./.test(text);
}

t.test('files are named by a module that is bundled only where that is right in the bundle', (t) => {
  const sources = repositoryFiles('packages').filter((path) => path.endsWith('.ts') && !isTestFile(path) && !UNBUNDLED.some((folder) => path.startsWith(`${folder}/`)));
  t.ok(sources.length > 300, 'the sources are found');
  t.strictSame(sources.filter((path) => namesFiles(readRepositoryFile(path))), NAMES_FILES);
  for (const text of ["new URL('./x.js', import.meta.url)", 'import.meta.dirname', "import.meta.resolve('../opener/index.js')"]) t.ok(namesFiles(text), text);
  t.notOk(namesFiles("import.meta.resolve('@tandem/proto')"), 'by name it is right anywhere');
  t.end();
});

t.test('every declared dependency is used', (t) => {
  for (const { folder, manifest } of manifests) {
    const rest = repositoryFiles(folder)
      .filter((path) => path !== `${folder}/package.json` && !path.endsWith('.md'))
      .map(readRepositoryFile)
      .join('\n');
    const unused = Object.keys(manifest.dependencies ?? {}).filter((name) => !rest.includes(name));
    t.strictSame(unused, [], folder);
  }
  t.end();
});

t.test('the rule sees each kind of break', (t) => {
  const facts: PackageFacts = {
    folder: 'packages/core',
    name: '@tandem/core',
    dependencies: ['@tandem/dns', 'lru-cache', 'yaml'],
    doors: { '@tandem/dns': ['.', './codec'], '@tandem/host': ['.'], '@tandem/core': ['.'] },
    developmentDependencies: ['tap'],
  };
  const path = 'packages/core/src/query/path.ts';
  const judge = (line: string, at = path): number => importBreaks(at, importsOf(parse(at, line)), facts).length;
  const refused = [
    "import { readFileSync } from 'node:fs';",
    "import { x } from '@tandem/host';",
    "import { x } from '@tandem/dns/codec';",
    "import { x } from '@tandem/dns/src/name.js';",
    "import { x } from '@tandem/core';",
    "import { x } from '../../../dns/src/name.js';",
    "import { parse } from 'yaml';",
    "import type { Test } from 'tap';",
    "export * from '@tandem/host';",
    "const late = await import('node:os');",
    "type Late = import('@tandem/host').Host;",
  ];
  for (const line of refused) t.equal(judge(line), 1, `refused: ${line}`);
  const allowed = ["import { x } from '@tandem/dns';", "import { LRUCache } from 'lru-cache';", "import { x } from '../base/assert.js';"];
  for (const line of allowed) t.equal(judge(line), 0, `allowed: ${line}`);
  t.equal(judge("import t from 'tap';", 'packages/core/src/query/path.test.ts'), 0, 'tests may use tap');
  t.end();
});
