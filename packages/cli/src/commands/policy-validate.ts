/** `tandem policy validate`: every problem of some manifests, without a running pair. */
import { statSync } from 'node:fs';
import type { Command } from 'commander';
import { AppError, EXIT } from '@tandem/core';
import { MANIFEST_FILES_MAX, manifestPathsIn, readManifestFiles } from '@tandem/host';
import { formatProblem, loadManifests, type Problem } from '@tandem/manifests';
import { offlineCommand, type CommonOptions } from '../common-options.js';
import type { Io } from '../io.js';
import { printable, render } from '../output.js';

export function policyValidateCommand(io: Io): Command {
  return offlineCommand('validate', 'Check manifests; exit code 65 if any has an error. Warnings alone are fine.', [
    'tandem policy validate examples/quickstart', 'tandem policy validate web.yaml batch.yaml -o json',
  ])
    .argument('<FILE...>', 'manifest files, or folders of them')
    .action(async (given: string[], options: CommonOptions) => {
      const paths = await expand(given);
      const { files, complaints } = await readManifestFiles(paths);
      const unread = complaints.map(({ path, message }): Problem => ({ file: path, line: 0, column: 0, field: '', message, severity: 'error' }));
      const problems = [...unread, ...loadManifests(files).problems];
      io.out(render(problems, options.output, () => textOf(problems, paths.length)));
      if (problems.some(({ severity }) => severity === 'error')) io.setExitCode(EXIT.configuration);
    });
}

async function expand(given: readonly string[]): Promise<string[]> {
  const paths: string[] = [];
  for (const path of given) {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) throw new AppError('USAGE', `${path}: there is no such file or folder`);
    paths.push(...(found.isDirectory() ? await manifestPathsIn(path) : [path]));
  }
  if (paths.length > MANIFEST_FILES_MAX) throw new AppError('USAGE', `${paths.length} files are given; ${MANIFEST_FILES_MAX} are the most`);
  return paths;
}

function textOf(problems: readonly Problem[], files: number): string {
  const lines = problems.map((problem) => printable(formatProblem(problem)));
  const errors = problems.filter(({ severity }) => severity === 'error').length;
  return `${[...lines, `${files} files, ${errors} errors, ${problems.length - errors} warnings`].join('\n')}\n`;
}
