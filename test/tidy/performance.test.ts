import { join } from 'node:path';
import t from 'tap';
import { GOALS } from '../bench/cases.js';
import { markdownOf } from '../bench/report/markdown.js';
import { LATEST, NOTES, PAGE, readResults } from '../bench/report/results.js';
import { readRepositoryFile, repositoryRoot } from '../harness/repository.js';

const results = readResults(join(repositoryRoot, LATEST));

t.test('docs/performance.md is what the kept run and the notes make', (t) => {
  t.equal(readRepositoryFile(PAGE), markdownOf(results, readRepositoryFile(NOTES)), 'else: npm run bench:page');
  t.end();
});

t.test('the kept run answers every goal, with samples of every round', (t) => {
  const caseIds = new Set(results.cases.map(({ id }) => id));
  t.strictSame(GOALS.filter(({ caseId }) => !caseIds.has(caseId)), []);
  t.strictSame(results.cases.flatMap(({ rows }) => rows).filter(({ samples }) => samples.length !== results.rounds), []);
  t.end();
});
