/** What a Dockerfile makes of a stage: the instructions of the stages below it, in order. Knows the instructions that ours uses; one more is an error. */
import { type Copy as CopyInstruction, DockerfileParser, type Instruction } from 'dockerfile-ast';

export interface Copy {
  /** Stage; null: the build's context. */
  readonly from: string | null;
  readonly source: string;
  readonly destination: string;
}

export interface Stage {
  /** What it begins from, with arguments filled in. */
  readonly base: string;
  readonly copies: readonly Copy[];
  readonly environment: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly runs: readonly string[];
  readonly user: string | null;
  readonly entrypoint: readonly string[];
}

type Changing<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer U)[] ? U[] : T[K] extends Readonly<Record<string, string>> ? Record<string, string> : T[K] };

/** @throws Error where there is no such stage, or an instruction is not known here. */
export function stageOf(text: string, name: string): Stage {
  const instructions = DockerfileParser.parse(text).getInstructions();
  const globals = new Map<string, string>();
  const stages = new Map<string, Changing<Stage>>();
  let current: Changing<Stage> | null = null;
  for (const instruction of instructions) {
    const words = instruction.getArguments().map((argument) => argument.getValue());
    if (instruction.getKeyword() === 'ARG') {
      if (current === null) globals.set(...pairOf(words[0]));
      continue;
    }
    if (instruction.getKeyword() === 'FROM') {
      const base = expanded(words[0], globals);
      current = structuredClone(stages.get(base)) ?? { base, copies: [], environment: {}, labels: {}, runs: [], user: null, entrypoint: [] };
      stages.set(words[2] ?? String(stages.size), current);
      continue;
    }
    if (current === null) throw new Error(`${instruction.getKeyword()} stands before FROM`);
    apply(current, instruction, words);
  }
  const found = stages.get(name);
  if (found === undefined) throw new Error(`there is no stage ${name}; there are ${[...stages.keys()].join(', ')}`);
  return found;
}

function apply(stage: Changing<Stage>, instruction: Instruction, words: readonly string[]): void {
  switch (instruction.getKeyword()) {
    case 'COPY': {
      const from = (instruction as CopyInstruction).getFlags().find((flag) => flag.getName() === 'from')?.getValue() ?? null;
      const paths = words.filter((word) => !word.startsWith('--'));
      stage.copies.push({ from, source: paths[0], destination: paths[1] });
      return;
    }
    case 'ENV':
      Object.assign(stage.environment, Object.fromEntries(words.map(pairOf)));
      return;
    case 'LABEL':
      Object.assign(stage.labels, Object.fromEntries(words.map(pairOf)));
      return;
    case 'RUN':
      stage.runs.push(instruction.getArgumentsContent() ?? '');
      return;
    case 'USER':
      stage.user = words[0];
      return;
    case 'ENTRYPOINT':
      stage.entrypoint = JSON.parse(instruction.getArgumentsContent() ?? '') as string[];
      return;
    case 'WORKDIR':
      return;
    default:
      throw new Error(`${instruction.getKeyword()} is not known here`);
  }
}

function pairOf(word: string): [string, string] {
  const at = word.indexOf('=');
  return [word.slice(0, at), word.slice(at + 1).replace(/^"(.*)"$/, '$1')];
}

function expanded(text: string, values: ReadonlyMap<string, string>): string {
  return text.replaceAll(/\$\{(\w+)\}/g, (_, name: string) => values.get(name) ?? '');
}
