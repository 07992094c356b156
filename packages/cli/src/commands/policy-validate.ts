/**
 * `tandem policy validate`: every problem of some manifests, without a running pair. Where they can be read, they are compiled as
 * the agent would do it, so that what only shows between objects is told, too.
 */
import { statSync } from 'node:fs';
import type { Command } from 'commander';
import { AppError, EXIT, compileSnapshot, type PolicyObjects } from '@tandem/core';
import {
  MANIFEST_BYTES_MAX, MANIFEST_FILES_MAX, manifestPathsIn, readManifestFiles, subfolderWarning, type ManifestComplaint, type ManifestFile,
} from '@tandem/host';
import { formatProblem, loadManifests, type Problem } from '@tandem/manifests';
import { offlineCommand, type CommonOptions } from '../common-options.js';
import type { Io } from '../io.js';
import { printable, render } from '../output.js';
import { during } from '../progress.js';

const INPUT = '-';
const INPUT_NAME = 'standard input';

export function policyValidateCommand(io: Io): Command {
  return offlineCommand('validate', 'Check manifests; exit code 65 if any has an error. Warnings alone are fine.', [
    'tandem policy validate examples/quickstart', 'tandem policy validate web.yaml batch.yaml -o json', 'kubectl get cnp -A -o yaml | tandem policy validate -',
  ])
    .argument('<FILE...>', 'manifest files, or folders of them; - is standard input')
    .action(async (given: string[], options: CommonOptions) => {
      const { paths, complaints } = await expand(given.filter((path) => path !== INPUT));
      const read = await during(io, `reading ${paths.length} files`, () => readManifestFiles(paths));
      const input = given.includes(INPUT) ? await inputOf(io) : [];
      const loaded = loadManifests([...read.files, ...input]);
      const problems = [
        ...[...complaints, ...read.complaints].map(({ path, message, severity }) => problem(path, message, severity)),
        ...loaded.problems,
        ...(loaded.objects === null ? [] : compileProblems(loaded.objects)),
      ];
      io.out(render(problems, options.output, () => textOf(problems, paths.length + input.length)));
      if (problems.some(({ severity }) => severity === 'error')) io.setExitCode(EXIT.configuration);
    });
}

interface Expanded {
  readonly paths: readonly string[];
  readonly complaints: readonly ManifestComplaint[];
}

async function expand(given: readonly string[]): Promise<Expanded> {
  const paths: string[] = [];
  const complaints: ManifestComplaint[] = [];
  for (const path of given) {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) throw new AppError('USAGE', `${path}: there is no such file or folder`);
    if (!found.isDirectory()) {
      paths.push(path);
      continue;
    }
    const inside = await manifestPathsIn(path);
    if (inside.length === 0) complaints.push({ path, message: 'the folder has no manifests (*.yaml, *.yml, *.json)', severity: 'warning' });
    complaints.push(...(await subfolderWarning(path)));
    paths.push(...inside);
  }
  if (paths.length > MANIFEST_FILES_MAX) throw new AppError('USAGE', `${paths.length} files are given; ${MANIFEST_FILES_MAX} are the most`);
  return { paths, complaints };
}

async function inputOf(io: Io): Promise<ManifestFile[]> {
  const bytes = await io.readInput(MANIFEST_BYTES_MAX);
  if (bytes === null) throw new AppError('USAGE', `${INPUT_NAME} is longer than ${MANIFEST_BYTES_MAX} bytes`);
  try {
    return [{ path: INPUT_NAME, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) }];
  } catch {
    throw new AppError('CONFIGURATION', `${INPUT_NAME} is not UTF-8 text`);
  }
}

/** What compiling them says. Node name and numbers play no part in that. */
function compileProblems(objects: PolicyObjects): Problem[] {
  try {
    const { notices } = compileSnapshot(objects, { nodeName: '', enablePolicy: 'default', allotment: null, revision: 1 });
    return notices.map((notice) => problem('', notice, 'warning'));
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return [problem('', error.message, 'error')];
  }
}

function problem(file: string, message: string, severity: Problem['severity']): Problem {
  return { file, line: 0, column: 0, field: '', message, severity };
}

function textOf(problems: readonly Problem[], files: number): string {
  const lines = problems.map((one) => printable(formatProblem(one)));
  const errors = problems.filter(({ severity }) => severity === 'error').length;
  return `${[...lines, [count(files, 'file'), count(errors, 'error'), count(problems.length - errors, 'warning')].join(', ')].join('\n')}\n`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
