/** What is not admitted is reported at its field: by the reader of manifests, and by `tandem policy validate`. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadManifests } from '@tandem/manifests';
import t from 'tap';
import { run } from '../harness/child.js';
import { repositoryRoot } from '../harness/repository.js';
import { admission } from './admission.js';

const CLI = join(repositoryRoot, 'packages/cli/bin/tandem');
const CLI_DEADLINE_MS = 20_000;
const EXIT_CONFIGURATION = 65;

interface Problem {
  readonly file: string;
  readonly line: number;
  readonly field: string;
  readonly message: string;
  readonly severity: string;
}

t.test('each wrong field is named, with its line and the reason', (t) => {
  for (const { says, yaml, field, message, severity } of admission) {
    const { objects, problems } = loadManifests([{ path: 'tested.yaml', text: yaml }]);
    const found = problems.some((one) => one.field === field && one.severity === severity && message.test(one.message) && one.line > 0);
    t.ok(found, `${says}: ${field}`, { problems });
    t.equal(objects === null, severity === 'error', `${says}: objects are given out only without errors`);
  }
  t.end();
});

t.test('policy validate reports all of them, and exits with 65 if one is an error', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-admission-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true });
  });
  const fileOf = (index: number): string => join(folder, `case-${String(index)}.yaml`);
  admission.forEach(({ yaml }, index) => {
    writeFileSync(fileOf(index), yaml.replaceAll('name: tested', `name: tested-${String(index)}`));
  });
  const all = await run(CLI, ['policy', 'validate', folder, '-o', 'json'], CLI_DEADLINE_MS);
  t.equal(all.code, EXIT_CONFIGURATION, all.output.slice(0, 500));
  const problems = JSON.parse(all.standardOutput) as Problem[];
  admission.forEach(({ says, field, message, severity }, index) => {
    const own = problems.filter(({ file }) => file === fileOf(index));
    t.ok(own.some((one) => one.field === field && one.severity === severity && message.test(one.message)), says, { own });
  });
  for (const severity of ['error', 'warning']) {
    const index = admission.findIndex((one) => one.severity === severity);
    const { code, output } = await run(CLI, ['policy', 'validate', fileOf(index)], CLI_DEADLINE_MS);
    t.equal(code, severity === 'error' ? EXIT_CONFIGURATION : 0, output);
    t.match(output, `${fileOf(index)}:`);
    t.match(output, admission[index].message);
  }
});
