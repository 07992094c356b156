/** What renders deploy/kustomize asks for a kubectl that can, before anything else is done. */
import { spawnSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readRepositoryFile, repositoryRoot } from '../harness/repository.js';
import { temporaryFolder } from '../harness/temporary.js';

const folder = temporaryFolder('tandem-kubectl-');
const REQUIRE = 'test/deploy/kubectl/require';
const OLDEST = /^oldest=(\S+)$/m.exec(readRepositoryFile(REQUIRE))![1];

/** A program that says what kubectl says of its version. */
function kubectl(gitVersion: string): string {
  const path = join(folder, `kubectl-${gitVersion}`);
  const [, major, minor] = /^v(\d+)\.(\d+)/.exec(gitVersion)!;
  const said = { clientVersion: { major, minor: `${minor}+`, gitVersion, goVersion: 'go1.21.0' }, kustomizeVersion: 'v5.5.0' };
  writeFileSync(path, `#!/bin/sh\ncat <<END\n${JSON.stringify(said, null, 2)}\nEND\n`);
  chmodSync(path, 0o755);
  return path;
}

function required(path: string): { readonly status: number | null; readonly stderr: string } {
  return spawnSync(join(repositoryRoot, REQUIRE), ['test:here'], { encoding: 'utf8', env: { ...process.env, KUBECTL: path } });
}

t.test('a kubectl that is new enough is taken without a word', (t) => {
  for (const version of ['v1.27.0', 'v1.27.16+k3s1', 'v1.32.4-dispatcher', 'v1.100.0', 'v2.0.0']) t.match(required(kubectl(version)), { status: 0, stderr: '' }, version);
  t.end();
});

t.test('one that is too old is named with its version, what is needed, and where that is to be had', (t) => {
  for (const version of ['v1.20.2', 'v1.26.15', 'v1.9.11', 'v0.99.0']) {
    const path = kubectl(version);
    t.match(required(path), { status: 69, stderr: `test:here: ${path} is ${version.slice(1)}; kubectl ${OLDEST} or newer is needed` }, version);
  }
  t.match(required(kubectl('v1.20.2')).stderr, 'KUBECTL=PATH (https://kubernetes.io/docs/tasks/tools/)');
  t.end();
});

t.test('none, or one that does not say its version, is told', (t) => {
  t.match(required(join(folder, 'nonesuch')), { status: 69, stderr: /there is no .*nonesuch; kubectl 1/ });
  t.match(required('false'), { status: 69, stderr: /does not say its version/ });
  t.match(required('true'), { status: 69, stderr: /does not say its version/ });
  t.end();
});

t.test('each command that renders asks for it, and the pages name the same version', (t) => {
  for (const path of ['test/deploy/run', 'test/kubernetes/run', 'chaos/kubernetes/run']) t.match(readRepositoryFile(path), /kubectl\/require/, path);
  t.match(readRepositoryFile('docs/install.md'), `| kubectl | ${OLDEST} is the oldest`);
  for (const path of ['deploy/README.md', 'test/kubernetes/README.md', 'chaos/kubernetes/README.md']) t.match(readRepositoryFile(path), OLDEST, path);
  t.end();
});
