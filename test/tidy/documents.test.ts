import { existsSync } from 'node:fs';
import { join, posix } from 'node:path';
import t from 'tap';
import { readManifest, readRepositoryFile, repositoryFiles, repositoryRoot } from '../harness/repository.js';
import { anchorsOf, fencedLines, linksOf } from './markdown.js';

function deadLinks(path: string, markdown: string): string[] {
  const dead: string[] = [];
  for (const { target, line } of linksOf(markdown)) {
    if (/^[a-z][a-z0-9+.-]*:/i.test(target)) continue;
    const [file = '', anchor] = target.split('#', 2);
    const resolved = file === '' ? path : posix.join(posix.dirname(path), decodeURIComponent(file));
    const where = `${path}:${String(line)} ${target}`;
    if (resolved.startsWith('..') || !existsSync(join(repositoryRoot, resolved))) dead.push(where);
    else if (anchor !== undefined && resolved.endsWith('.md')) {
      const text = resolved === path ? markdown : readRepositoryFile(resolved);
      if (!anchorsOf(text).has(anchor)) dead.push(where);
    }
  }
  return dead;
}

t.test('no link in a document leads nowhere', (t) => {
  const documents = repositoryFiles().filter((path) => path.endsWith('.md'));
  t.ok(documents.includes('README.md') && documents.includes('ARCHITECTURE.md'), 'the documents are found');
  t.strictSame(documents.flatMap((path) => deadLinks(path, readRepositoryFile(path))), []);
  t.end();
});

t.test('the link rule sees files and headings that are missing', (t) => {
  const text = '# A title: `x` and *more*\n[a](nowhere.md) [b](#a-title-x-and-more) [c](#other) [d](../outside)\n```\n[e](in-code.md)\n```\n[f]: gone.md\n';
  t.strictSame(deadLinks('README.md', text), ['README.md:2 nowhere.md', 'README.md:2 #other', 'README.md:2 ../outside', 'README.md:6 gone.md']);
  t.end();
});

t.test('each dependency has its line of reason in ARCHITECTURE.md', (t) => {
  const rows = readRepositoryFile('ARCHITECTURE.md').split('\n').filter((line) => line.startsWith('| `'));
  const manifests = ['package.json', ...repositoryFiles('packages').filter((path) => /^packages\/[^/]+\/package\.json$/.test(path))];
  const names = new Set<string>();
  for (const path of manifests) {
    const { dependencies, devDependencies, optionalDependencies } = readManifest(path);
    for (const name of Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies })) names.add(name);
  }
  const theirs = [...names].filter((name) => !name.startsWith('@tandem/') && name !== 'node-reuseport');
  t.ok(theirs.length > 10, 'the dependencies are found');
  const missing = theirs.filter((name) => !rows.some((row) => /^\| `[^|]*\|.{10,}\|/.test(row) && row.split('|')[1].includes(`\`${name}\``)));
  t.strictSame(missing.sort(), []);
  const section = readRepositoryFile('ARCHITECTURE.md').split(/^## /m).find((part) => part.startsWith('Dependencies')) ?? '';
  const listed = [...section.matchAll(/^\| `([^`]+)`/gm)].map((match) => match[1]);
  t.strictSame(listed.filter((name) => !theirs.includes(name)), [], 'and no line speaks of one that is gone');
  t.end();
});

t.test('the README gives the two commands that do everything, and .ci/run executes them', (t) => {
  const commands = fencedLines(readRepositoryFile('README.md'), 'sh').map((line) => line.replace(/\s+#.*$/, '').trim());
  t.strictSame(commands.filter((line) => line.startsWith('npm ')), ['npm ci && npm start', 'npm ci && npm test']);
  t.equal(commands.filter((line) => line.startsWith('dig ')).length, 3, 'and three dig lines to try');
  t.match(readRepositoryFile('.ci/run'), 'README.md', '.ci/run reads them from there');
  t.end();
});
