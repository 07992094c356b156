import t from 'tap';
import { readRepositoryFile, repositoryFiles } from '../harness/repository.js';
import { isTestFile } from './import-rules.js';
import { impurities } from './purity-rules.js';
import { parse } from './source-file.js';

t.test('core names no source of time, chance, locale or scheduling', (t) => {
  const sources = repositoryFiles('packages/core/src').filter((path) => path.endsWith('.ts') && !isTestFile(path));
  t.ok(sources.length > 0, 'the sources are found');
  t.strictSame(sources.flatMap((path) => impurities(path, parse(path, readRepositoryFile(path)))), []);
  t.end();
});

t.test('the rule sees each banned use and nothing else', (t) => {
  const count = (text: string): number => impurities('x.ts', parse('x.ts', text)).length;
  const refused = [
    'const now = Date.now();', 'const now = new Date();', 'Math.random();', 'Math.exp(1);', 'Math.log(2);', 'Math.pow(2, 3);',
    "Math['random']();", "'a'.localeCompare('b');", 'new Intl.Collator();', 'new WeakRef(x);', 'new FinalizationRegistry(f);',
    'async function f() {}', 'setTimeout(f, 1);', 'queueMicrotask(f);', 'const p = Promise.resolve();', 'let p: Promise<void>;',
  ];
  for (const text of refused) t.ok(count(text) > 0, `refused: ${text}`);
  const allowed = ['Math.min(1, 2);', 'Math.floor(x / 2);', 'const row = { process: 1 };', 'interface X { console: string }', 'x.process.y();'];
  for (const text of allowed) t.equal(count(text), 0, `allowed: ${text}`);
  t.end();
});
