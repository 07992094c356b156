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

/** A leaf command with `-o`; `examples` are shown under its help, one per line. */
export function leafCommand(name: string, summary: string, examples: readonly string[]): Command {
  return new Command(name)
    .description(summary)
    .addOption(new Option('-o, --output <FORMAT>', 'how to print').choices(OUTPUT_FORMATS).default('table'))
    .allowExcessArguments(false)
    .addHelpText('after', `\nExamples:\n${examples.map((line) => `  ${line}\n`).join('')}`);
}

/** A leaf command that asks a running member. */
export function memberCommand(name: string, summary: string, examples: readonly string[]): Command {
  return leafCommand(name, summary, examples)
    .addOption(new Option('--member <ROLE>', 'whom to ask (default: whichever answers, agent first)').choices(['agent', 'dns-proxy']))
    .addOption(new Option('--run-dir <DIR>', "the pair's folder (default: as the daemons choose it; env: TANDEM_RUN_DIR)"));
}

export function targetOf(options: CommonOptions, env: Environment): Target {
  return { runDir: options.runDir ?? env.TANDEM_RUN_DIR ?? defaultRunDir(env), member: options.member ?? null };
}
