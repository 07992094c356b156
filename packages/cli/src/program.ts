/** The `tandem` command: nouns read, verbs write. Every command has a file of its own in `commands/`. */
import { Command, CommanderError } from 'commander';
import { AppError, EXIT, exitCodeOf, type Role } from '@tandem/core';
import { bugtoolCommand } from './commands/bugtool.js';
import { cacheCleanCommand } from './commands/cache-clean.js';
import { cacheExportCommand } from './commands/cache-export.js';
import { cacheImportCommand } from './commands/cache-import.js';
import { cacheListCommand } from './commands/cache-list.js';
import { completionCommand } from './commands/completion.js';
import { drainCommand } from './commands/drain.js';
import { drillCommand, DRILLS } from './commands/drill.js';
import { hoistOptions } from './common-options.js';
import { endpointListCommand } from './commands/endpoint-list.js';
import { observeCommand } from './commands/observe.js';
import { policyListCommand } from './commands/policy-list.js';
import { policyTraceCommand } from './commands/policy-trace.js';
import { policySuggestCommand } from './commands/policy-suggest.js';
import { policyValidateCommand } from './commands/policy-validate.js';
import { statusCommand } from './commands/status.js';
import { upCommand } from './commands/up.js';
import type { Io } from './io.js';
import { LAUNCHERS } from './up/plan.js';
import { version } from './version.js';

/** Runs one command line (without interpreter and script). Never rejects: what goes wrong is a line and an exit code. `programs`: the daemons that `up` starts. */
export async function runCli(argv: readonly string[], io: Io, programs: Readonly<Record<Role, string>> = LAUNCHERS): Promise<void> {
  try {
    const program = programFor(io, programs);
    await program.parseAsync(hoistOptions(program, argv), { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      // commander has printed its own line by now; help and version end with 0.
      io.setExitCode(error.exitCode === 0 ? EXIT.ok : EXIT.usage);
      return;
    }
    io.setExitCode(exitCodeOf(error));
    if (error instanceof AppError) for (const line of error.message.split('\n')) io.err(`tandem: ${line}\n`);
    else io.err(`tandem: a fault of ours: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  }
}

/** The commands, none of them run. */
export function programFor(io: Io, programs: Readonly<Record<Role, string>> = LAUNCHERS): Command {
  const program = new Command('tandem')
    .description('Run, read and explain a Tandem DNS proxy pair.')
    .version(version, '--version', 'print the version')
    .addHelpText('after', '\n-o, --member and --run-dir may also stand before the command.\nExit codes: 0 clean, 64 usage, 65 configuration or manifest, 69 resource not to be had, 70 broken invariant.\n');
  program.addCommand(upCommand(io, programs));
  program.addCommand(statusCommand(io));
  program.addCommand(observeCommand(io));
  program.addCommand(group('cache', 'The learned mappings.', [
    cacheListCommand(io), cacheCleanCommand(io), cacheExportCommand(io), cacheImportCommand(io),
  ]));
  program.addCommand(group('endpoint', 'The local pods.', [endpointListCommand(io)]));
  program.addCommand(group('policy', 'The policies.', [policyListCommand(io), policyTraceCommand(io), policySuggestCommand(io), policyValidateCommand(io)]));
  program.addCommand(drainCommand(io));
  program.addCommand(bugtoolCommand(io));
  program.addCommand(drillCommand(io, DRILLS));
  program.addCommand(completionCommand(io));
  for (const command of withDescendants(program)) {
    command.exitOverride().configureOutput({
      writeOut: (text) => { io.out(text); },
      writeErr: (text) => { io.err(text); },
      outputError: (text, write) => { write(`tandem: ${oneLine(text.replace(/^error: /, ''))} (see '${pathOf(command)} --help')\n`); },
    });
  }
  return program;
}

function group(name: string, summary: string, commands: readonly Command[]): Command {
  const noun = new Command(name).description(summary);
  for (const command of commands) noun.addCommand(command);
  return noun;
}

function withDescendants(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withDescendants)];
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

function oneLine(text: string): string {
  return text.trim().replaceAll(/\s*\n\s*/g, ' ');
}
