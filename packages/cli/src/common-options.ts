/** Options that every command about a running pair takes, and the command skeleton they hang on. */
import { Command, Option } from 'commander';
import type { Role } from '@tandem/core';
import { defaultRunDir, type Environment } from '@tandem/host';
import type { Target } from './client.js';
import { OUTPUT_FORMATS, type OutputFormat } from './output.js';

export interface CommonOptions {
  readonly output: OutputFormat;
  readonly member?: Role;
  readonly runDir?: string;
}

/** A leaf command with the options that all have; `examples` are shown under its help, one per line. */
export function memberCommand(name: string, summary: string, examples: readonly string[]): Command {
  return new Command(name)
    .description(summary)
    .addOption(new Option('-o, --output <FORMAT>', 'how to print').choices(OUTPUT_FORMATS).default('table'))
    .addOption(new Option('--member <ROLE>', 'whom to ask (default: whichever answers, agent first)').choices(['agent', 'dns-proxy']))
    .addOption(new Option('--run-dir <DIR>', "the pair's folder (default: as the daemons choose it; env: TANDEM_RUN_DIR)"))
    .allowExcessArguments(false)
    .addHelpText('after', `\nExamples:\n${examples.map((line) => `  ${line}\n`).join('')}`);
}

/** One that needs no running member: the options about whom to ask are taken, so that they can stand in every call. */
export function offlineCommand(name: string, summary: string, examples: readonly string[]): Command {
  const command = memberCommand(name, summary, examples);
  for (const option of command.options) if (option.name() !== 'output') option.hideHelp();
  return command;
}

export function targetOf(options: CommonOptions, env: Environment): Target {
  return { runDir: options.runDir ?? env.TANDEM_RUN_DIR ?? defaultRunDir(env), member: options.member ?? null };
}
