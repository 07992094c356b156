/**
 * `npm run bench:page -- FILE`: makes docs/performance.md from a run's JSON and keeps the JSON as test/bench/results/latest.json. Without FILE: from
 * the one that is kept, after the notes have changed.
 */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { readRepositoryFile, repositoryRoot } from '../harness/repository.js';
import { markdownOf } from './report/markdown.js';
import { LATEST, NOTES, PAGE, readResults } from './report/results.js';

const latest = join(repositoryRoot, LATEST);
try {
  const [given, ...more] = process.argv.slice(2);
  if (more.length > 0 || given?.startsWith('-') === true) throw new Error('one FILE at most: a JSON file of bench-results/');
  const path = given === undefined ? latest : resolve(given);
  const page = markdownOf(readResults(path), readRepositoryFile(NOTES));
  mkdirSync(dirname(latest), { recursive: true });
  if (path !== latest) copyFileSync(path, latest);
  writeFileSync(join(repositoryRoot, PAGE), page);
  process.stdout.write(`${PAGE}\n`);
} catch (error) {
  process.stderr.write(`bench:page: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 64;
}
