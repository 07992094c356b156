/** `tandem bugtool`: one archive with all that helps to find a fault, from whatever of the pair still answers; without secrets. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { AppError } from '@tandem/core';
import { cleanDatapath } from '@tandem/datapath';
import { apiSocketPath, isAnswered } from '@tandem/host';
import { Archive, type Entry } from '../bugtool/archive.js';
import { pack } from '../bugtool/pack.js';
import { find, stepsFor } from '../bugtool/steps.js';
import { ROLES } from '../client.js';
import { memberCommand, memberMeans, targetOf, type CommonOptions } from '../common-options.js';
import type { Io } from '../io.js';
import { columns, printable, render } from '../output.js';
import { Progress } from '../progress.js';
import { version } from '../version.js';
import { parseCount } from './observe.js';

interface Options extends CommonOptions {
  readonly dir?: string;
  readonly flows?: bigint;
  readonly cleanDatapath?: boolean;
}

interface Report {
  /** Of the archive or the folder. */
  readonly path: string;
  readonly entries: readonly Entry[];
}

const FLOWS_DEFAULT = 2_000n;
const PRIVATE_DIR = 0o700;

export function bugtoolCommand(io: Io): Command {
  return memberMeans(memberCommand('bugtool', 'Collect status, settings, policies, cache, flows, metrics and kernel facts of both members into one archive, secrets redacted.', [
    'tandem bugtool', 'tandem bugtool /tmp/tandem.tar.gz --flows 10000', 'tandem bugtool --dir ./findings -o json',
  ]), 'what that one says of itself, and its process, only (default: both)')
    .argument('[FILE]', 'the archive to write, replaced if it is there (default: tandem-bugtool-TIME.tar.gz here)')
    .option('--dir <DIR>', 'write a folder, which must not be there yet, instead of an archive')
    .option('--flows <N>', `the last N flows (default: ${FLOWS_DEFAULT})`, parseCount)
    .option('--clean-datapath', "collect nothing: take Tandem's tables, routing rules and links out of the kernel; both daemons must be stopped")
    .action(async (file: string | undefined, options: Options) => {
      if (options.cleanDatapath === true) {
        const { runDir } = targetOf(options, io.env);
        const removed = await cleanDatapath(runDir, (role) => isAnswered(apiSocketPath(runDir, role)));
        io.out(render({ removed }, options.output, () => (removed.length === 0 ? 'there was nothing of Tandem in the kernel' : removed.map((text) => `removed: ${text}`).join('\n'))));
        return;
      }
      if (file !== undefined && options.dir !== undefined) throw new AppError('USAGE', 'give either a FILE or --dir');
      const name = `tandem-bugtool-${new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '')}`;
      const report = options.dir === undefined
        ? await inArchive(io, options, name, resolve(file ?? `${name}.tar.gz`))
        : { path: resolve(options.dir), entries: await collect(io, options, created(resolve(options.dir))) };
      io.out(render(report, options.output, () => textOf(report)));
    });
}

async function inArchive(io: Io, options: Options, name: string, file: string): Promise<Report> {
  const parent = mkdtempSync(join(tmpdir(), 'tandem-bugtool-'));
  try {
    const folder = created(join(parent, name));
    const entries = await collect(io, options, folder);
    await pack(folder, file);
    return { path: file, entries };
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
}

async function collect(io: Io, options: Options, folder: string): Promise<readonly Entry[]> {
  const { runDir, member } = targetOf(options, io.env);
  const archive = new Archive(folder);
  const progress = new Progress(io);
  try {
    progress.show('looking for the members');
    const found = await Promise.all((member === null ? ROLES : [member]).map((role) => find(runDir, role)));
    const steps = stepsFor(runDir, found, options.flows ?? FLOWS_DEFAULT);
    for (const [i, step] of steps.entries()) {
      progress.show(`[${i + 1}/${steps.length}] ${step.path}`);
      await archive.add(step);
    }
    archive.end({ madeBy: `tandem ${version}`, madeAt: new Date().toISOString(), runDir, members: found.map(({ role, pid, status }) => ({ role, pid, answers: status !== null })) });
  } finally {
    progress.clear();
  }
  return archive.entries;
}

function created(folder: string): string {
  try {
    mkdirSync(folder, { mode: PRIVATE_DIR });
    return folder;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new AppError('UNAVAILABLE', `${folder}: ${code === 'EEXIST' ? 'is there already; name one that is not' : `cannot be created: ${message}`}`, { cause: error });
  }
}

function textOf({ path, entries }: Report): string {
  const failed = entries.filter(({ note }) => note !== undefined);
  const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  const head = `${printable(path)}: ${entries.length - failed.length} of ${entries.length} parts, ${Math.ceil(bytes / 1024)} KiB\n`;
  const rest = failed.length === 0 ? '' : `Not there, or not whole\n${columns(failed.map((entry) => [`  ${entry.path}`, entry.note!]))}`;
  return `${head}${rest}Secrets are redacted; names that pods asked for are not. Look through it before you give it away.\n`;
}
