/** The Dockerfile without a container engine: what a linter says, and what must be so. images/ runs what it makes. */
import { existsSync } from 'node:fs';
import { join, matchesGlob } from 'node:path';
import { validate, ValidationSeverity } from 'dockerfile-utils';
import t from 'tap';
import { readRepositoryFile, repositoryFiles, repositoryRoot } from '../harness/repository.js';
import { stageOf } from './image-file.js';

const DOCKERFILE = 'deploy/images/Dockerfile';
const text = readRepositoryFile(DOCKERFILE);
const ROLES = ['agent', 'dns-proxy'] as const;

const complaintsOf = (dockerfile: string): string[] => validate(dockerfile, { instructionWorkdirRelative: ValidationSeverity.ERROR })
  .map(({ range, message }) => `${String(range.start.line + 1)}: ${typeof message === 'string' ? message : message.value}`);

t.test('a linter has nothing to say', (t) => {
  t.strictSame(complaintsOf(text), []);
  t.match(complaintsOf(text.replace('FROM runtime AS agent', 'FROM runtime AS build')), [/build/], 'it sees a stage that is there twice');
  t.match(complaintsOf(text.replace('--from=build', '--form=build')), [/form/], 'and a flag that there is not');
  t.end();
});

for (const role of ROLES) {
  t.test(`the image of ${role} is the runtime and what was collected for it`, (t) => {
    const stage = stageOf(text, role);
    t.match(stage.base, /\/distroless\/nodejs24-debian12:/);
    t.strictSame(stage.copies, [{ from: 'build', source: `/out/${role}/`, destination: '/' }]);
    t.strictSame(stage.runs, [], 'there is no shell to run anything');
    t.equal(stage.user, '0:0');
    t.equal(stage.entrypoint.at(-1), `/app/packages/${role}/bundle/main.js`);
    for (const key of ['title', 'description', 'version', 'revision', 'licenses', 'documentation']) t.ok(`org.opencontainers.image.${key}` in stage.labels, key);
    t.end();
  });

  t.test(`${role} runs in its image with the flags and variables of the launcher`, (t) => {
    const launcher = readRepositoryFile('packages/host/bin/launch');
    const flags = /^exec "\$node" (.*) \$\{TANDEM_NODE_FLAGS/m.exec(launcher)![1].split(' ');
    const { entrypoint, environment } = stageOf(text, role);
    t.strictSame(entrypoint.slice(0, -1), ['/nodejs/bin/node', ...flags]);
    const exported = [.../^export (.*)$/m.exec(launcher)![1].matchAll(/(\w+)="\$\{\w+:-(\w+)\}"/g)].map(([, name, value]) => [name, value]);
    t.ok(exported.length >= 2, 'the variables are found');
    t.match(environment, Object.fromEntries(exported));
    t.end();
  });
}

t.test('the build stage has what it builds with, on the Debian release of the runtime', (t) => {
  const build = stageOf(text, 'build');
  t.match(build.base, /\/library\/node:24-bookworm$/);
  t.strictSame(build.copies, [{ from: null, source: '.', destination: '.' }]);
  for (const role of ROLES) t.ok(build.runs.some((run) => run.includes(`deploy/images/collect ${role} /out/${role}`)), role);
  t.ok(existsSync(join(repositoryRoot, 'deploy/images/collect')));
  t.end();
});

t.test('the context holds all that the build reads, and nothing that was built here', (t) => {
  const patterns = readRepositoryFile('.dockerignore').split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  t.notOk(patterns.some((pattern) => pattern.startsWith('!')), 'exceptions are not known here');
  const isIgnored = (path: string): boolean => {
    const folders = path.split('/').map((_, i, parts) => parts.slice(0, i + 1).join('/'));
    return folders.some((folder) => patterns.some((pattern) => matchesGlob(folder, pattern)));
  };
  const read = repositoryFiles().filter((path) => /^(?:package(?:-lock)?|tsconfig.*)\.json$|^LICENSE$|^(?:packages|test|chaos)\/|^deploy\/images\/collect$/.test(path));
  t.ok(read.length > 500, 'the files are found');
  t.strictSame(read.filter(isIgnored), []);
  for (const path of ['node_modules/tap/package.json', 'packages/core/dist/index.js', 'packages/agent/bundle/main.js', 'packages/node-reuseport/build/Release/node_reuseport.node', 'packages/cli/node_modules/yaml/index.js', '.git/HEAD']) {
    t.ok(isIgnored(path), path);
  }
  t.end();
});
