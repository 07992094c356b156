/**
 * `tandem drill`: runs a drill of this checkout's `chaos/`, which is a program of its own and knows nothing of the packages.
 * All arguments are its own; so are its output and its exit code.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { AppError } from '@tandem/core';
import type { Io } from '../io.js';
import { ROOT } from '../root.js';

export const DRILLS = join(ROOT, 'chaos/dist/main.js');

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const SIGNAL_BASE = 128;

/** `script`: the drills' entry; tests have their own. */
export function drillCommand(io: Io, script: string): Command {
  return new Command('drill')
    .description('Stage a fault on a pair of its own under load, and tell what it cost; exit code 0 only if nothing that was promised broke.')
    .argument('[arguments...]', 'the name of a drill and its options, or --list')
    .allowUnknownOption()
    .addHelpText('after', `
Options of a drill:
  --list                    all drills: hypothesis, fault, expected figures
  --runs <N>                how often (default: 1)
  --rate <N>                queries, or TCP connections, a second (default: 5000, TCP 400)
  --upstream-delay <MS>     how long the upstream takes (default: 5)
  --slots <N>               unanswered queries that each member has room for (default: the members' own)
  --repeat <N>              how often a run stages its fault, where that can be chosen
  --seed <N>                of the first run; each further run has the next
  --control                 with stealing switched off: the drill must lose some then
  --report <FILE>           write an HTML report with plots over time
  -o, --output <FORMAT>     table (with one line of JSON at its end) or json

Exit codes: 0 all as expected, 1 not, 64 usage, 69 something is missing here (root, a cgroup, a compiler).

Examples:
  tandem drill --list
  tandem drill kill-agent --runs 5 --rate 30000 --report kill-agent.html
`)
    .action(async (argv: string[]) => {
      io.setExitCode(await runDrills(io, script, argv));
    });
}

async function runDrills(io: Io, script: string, argv: readonly string[]): Promise<number> {
  if (!existsSync(script)) throw new AppError('UNAVAILABLE', `${script} is missing: drills are part of the repository, not of a package; build it there by npm run build`);
  const child = spawn(process.execPath, [script, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.setEncoding('utf8').on('data', (text: string) => { io.out(text); });
  child.stderr.setEncoding('utf8').on('data', (text: string) => { io.err(text); });
  const forward = (signal: NodeJS.Signals): void => { child.kill(signal); };
  for (const signal of FORWARDED) process.on(signal, forward);
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => { resolve(signal === null ? (code ?? 0) : SIGNAL_BASE + constants.signals[signal]); });
    });
  } finally {
    for (const signal of FORWARDED) process.off(signal, forward);
  }
}
