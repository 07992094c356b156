/** The help text of each command, as it is printed at a fixed width: for the reference page. */
import type { Command } from 'commander';
import { programFor } from './program.js';
import { processIo } from './io.js';

export interface HelpText {
  /** `tandem cache list`. */
  readonly path: string;
  readonly summary: string;
  readonly help: string;
}

const WIDTH = 110;

/** Those that do something, in the order of the program's own help text. */
export function helpTexts(): readonly HelpText[] {
  return leaves(programFor(processIo()), 'tandem');
}

function leaves(command: Command, path: string): HelpText[] {
  if (command.commands.length > 0) return command.commands.flatMap((one) => leaves(one, `${path} ${one.name()}`));
  const pieces: string[] = [];
  command.configureOutput({ writeOut: (text) => pieces.push(text), getOutHelpWidth: () => WIDTH, getOutHasColors: () => false });
  command.outputHelp();
  return [{ path, summary: command.description(), help: pieces.join('') }];
}
