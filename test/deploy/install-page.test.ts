/** docs/install.md, without a server: what can be said of its commands. test/kubernetes/deploy.test.ts executes them. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readManifest, readRepositoryFile, repositoryRoot } from '../harness/repository.js';
import { blocksOf, INSTALL_PAGE, installScript, LEFT_OUT } from './install-page.js';

const page = readRepositoryFile(INSTALL_PAGE);
const blocks = blocksOf(page);

t.test('each block is a script that a shell can read', (t) => {
  t.ok(blocks.length > 12, 'the blocks are found');
  for (const { heading, text } of blocks) t.doesNotThrow(() => execFileSync('sh', ['-n'], { input: text }), heading);
  t.doesNotThrow(() => execFileSync('sh', ['-n'], { input: installScript() }));
  t.end();
});

t.test('nothing is left out of the execution but what is named, and each name is of use', (t) => {
  for (const start of Object.keys(LEFT_OUT)) t.ok(blocks.some(({ text }) => text.startsWith(start)), start);
  const executed = blocks.filter(({ leftOut }) => leftOut === null);
  t.ok(executed.length >= 9, 'most blocks are executed');
  t.notMatch(executed.map(({ text }) => text).join(''), /rollout status|\bexec\b|docker (?:build|push)/);
  t.end();
});

t.test('each path of the repository that a command names is there', (t) => {
  const made = ['deploy/kustomize/overlays/mine', 'deploy/kustomize/overlays/trace'];
  const named = [...blocks.map(({ text }) => text).join('').matchAll(/\bdeploy\/[\w./-]*\w/g)].map(([path]) => path).filter((path) => !made.some((own) => path.startsWith(own)));
  t.ok(named.length >= 4, 'they are found');
  t.strictSame(named.filter((path) => !existsSync(join(repositoryRoot, path))), []);
  t.end();
});

t.test('the version is the one that there is', (t) => {
  t.match(page, new RegExp(`^export VERSION=${readManifest('packages/agent/package.json').version!.replaceAll('.', '\\.')} `, 'm'));
  t.end();
});
