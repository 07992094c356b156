/** What there is to complete: the commands of a commander program with their options and arguments, without those that are hidden. */
import type { Command, Option } from 'commander';

/** What can stand for a value: one of these words, a file, or something that nobody can guess. */
export type Values = readonly string[] | 'file' | 'unknown';

export interface OptionShape {
  /** `-o`; null: it has none. */
  readonly short: string | null;
  readonly long: string;
  readonly why: string;
  /** Null: it takes no value. */
  readonly values: Values | null;
  /** The value may be left out. */
  readonly isOptional: boolean;
}

export interface CommandShape {
  /** With the program's name: `tandem cache list`. */
  readonly path: string;
  readonly why: string;
  readonly commands: readonly CommandShape[];
  readonly options: readonly OptionShape[];
  /** Of its arguments. */
  readonly values: Values;
}

export function shapeOf(command: Command, parents = ''): CommandShape {
  const help = command.createHelp();
  const path = `${parents}${command.name()}`;
  const [argument] = command.registeredArguments;
  return {
    path,
    why: command.description(),
    commands: help.visibleCommands(command).filter((one) => command.commands.includes(one)).map((one) => shapeOf(one, `${path} `)),
    options: help.visibleOptions(command).filter(({ long }) => long !== undefined).map(optionShape),
    values: argument === undefined ? 'unknown' : (argument.argChoices ?? kindOf(argument.name())),
  };
}

/** The command and all below it. */
export function flat(shape: CommandShape): readonly CommandShape[] {
  return [shape, ...shape.commands.flatMap(flat)];
}

function optionShape({ short, long, description, required, optional, argChoices, flags }: Option): OptionShape {
  return {
    short: short ?? null, long: long!, why: description, isOptional: optional,
    values: required || optional ? (argChoices ?? kindOf(/[<[](.+)[>\]]$/.exec(flags)?.[1] ?? '')) : null,
  };
}

function kindOf(placeholder: string): Values {
  return /FILE|DIR|PATH/.test(placeholder) ? 'file' : 'unknown';
}
