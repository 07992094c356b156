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

/** A leaf command with the options that all have; `examples` are shown under its help, one per line. The first of `formats` is the default. */
export function memberCommand(name: string, summary: string, examples: readonly string[], formats: readonly string[] = OUTPUT_FORMATS): Command {
  return new Command(name)
    .description(summary)
    .addOption(new Option('-o, --output <FORMAT>', 'how to print').choices(formats).default(formats[0]))
    .addOption(new Option('--member <ROLE>', 'whom to ask (default: whichever answers, agent first)').choices(['agent', 'dns-proxy']))
    .addOption(new Option('--run-dir <DIR>', "the pair's folder (default: as the daemons choose it; env: TANDEM_RUN_DIR)"))
    .allowExcessArguments(false)
    .addHelpText('after', `\nExamples:\n${examples.map((line) => `  ${line}\n`).join('')}`);
}

/** Says what `--member` means where it is not the one that answers. */
export function memberMeans(command: Command, text: string): Command {
  for (const option of command.options) if (option.name() === 'member') option.description = text;
  return command;
}

/** One that needs no running member: the options about whom to ask are taken, so that they can stand in every call. */
export function offlineCommand(name: string, summary: string, examples: readonly string[]): Command {
  const command = memberCommand(name, summary, examples);
  for (const option of command.options) if (option.name() !== 'output') option.hideHelp();
  return command;
}

const VALUED = ['-o', '--output', '--member', '--run-dir'];

/**
 * The same arguments with those common options that stand before the command's last word moved behind it: `tandem --run-dir D
 * cache -o json list` is `tandem cache list --run-dir D -o json`.
 */
export function hoistOptions(program: Command, argv: readonly string[]): string[] {
  const words: string[] = [];
  const moved: string[] = [];
  let command = program;
  let at = 0;
  while (at < argv.length && command.commands.length > 0) {
    const text = argv[at];
    const next = command.commands.find((one) => one.name() === text);
    if (next !== undefined) {
      command = next;
      words.push(text);
      at++;
    } else if (VALUED.includes(text) && at + 1 < argv.length) {
      moved.push(text, argv[at + 1]);
      at += 2;
    } else if (/^(?:-o.|--(?:output|member|run-dir)=)/s.test(text)) {
      moved.push(text);
      at++;
    } else {
      break;
    }
  }
  // Without a command there is nothing that takes them: what is said then is about the command.
  return [...words, ...(command.commands.length > 0 ? [] : moved), ...argv.slice(at)];
}

export function targetOf(options: CommonOptions, env: Environment): Target {
  return { runDir: options.runDir ?? env.TANDEM_RUN_DIR ?? defaultRunDir(env), member: options.member ?? null };
}
