/**
 * The C++ programs of test/bench/native: built when a source is newer, into test/dist. Says what to install when there is
 * no compiler.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Child } from './child.js';
import { repositoryRoot } from './repository.js';
import { until } from './until.js';

const sources = join(repositoryRoot, 'test/bench/native');
const built = join(repositoryRoot, 'test/dist/bench/native');
const COMPILE_FLAGS = ['-std=c++17', '-O2', '-Wall', '-Wextra', '-Werror', '-pthread'];
const READY_DEADLINE_MS = 30_000;

export type NativeProgram = 'upstream' | 'relay' | 'generate' | 'fuzz' | 'widen';

/** Path of the program. @throws Error saying what to install, or what the compiler said. */
export function nativeProgram(name: NativeProgram): string {
  return compiled(join(sources, `${name}.cc`), join(built, name));
}

/** `target`, made anew when the source or a header beside it or beside the bench programs is newer. @throws as nativeProgram does. */
export function compiled(source: string, target: string): string {
  const headers = [sources, dirname(source)].flatMap((folder) => readdirSync(folder).filter((file) => file.endsWith('.h')).map((file) => join(folder, file)));
  const newest = Math.max(...[source, ...headers].map((file) => statSync(file).mtimeMs));
  const age = statSync(target, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (age < newest) {
    mkdirSync(dirname(target), { recursive: true });
    const unfinished = `${target}.${String(process.pid)}`;
    try {
      execFileSync('g++', [...COMPILE_FLAGS, '-I', sources, '-o', unfinished, source], { stdio: 'pipe' });
      renameSync(unfinished, target);
    } catch (error) {
      const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      throw new Error(missing ? 'no C++ compiler: apt-get install g++' : `building ${source} failed: ${String(error)}`, { cause: error });
    }
  }
  return target;
}

/** Starts a program that prints `ready PORT`, and waits for that line. */
export async function startNative(name: NativeProgram, args: readonly string[], prefix: readonly string[] = []): Promise<{ child: Child; port: number }> {
  const [command, ...rest] = [...prefix, nativeProgram(name), ...args];
  const child = new Child(command, rest);
  const ready = await until(`${name} ready`, READY_DEADLINE_MS, () => {
    if (child.exit !== null) throw new Error(`${name} ended: ${child.output}`);
    return /^ready (\d+)$/m.exec(child.standardOutput);
  });
  return { child, port: Number(ready[1]) };
}

/** What `generate` prints. Latencies are in microseconds. */
export interface Load {
  readonly sent: number;
  readonly answered: number;
  readonly lost: number;
  /** Answered, but not with what was asked or what the upstream holds. */
  readonly wrong: number;
  /** Refused as they must be: names under `--denied`. */
  readonly denied: number;
  /** Refused though they must not be. */
  readonly refused: number;
  /** Any other response code. */
  readonly failed: number;
  readonly unexpected: number;
  /** With `--rate`: due, but not sent before the end. */
  readonly unsent: number;
  /** TCP connections that the server ended. */
  readonly closed: number;
  readonly seconds: number;
  readonly qps: number;
  readonly p50Us: number;
  readonly p90Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
}

/** Runs the generator to its end. */
export async function generate(args: readonly string[], prefix: readonly string[] = []): Promise<Load> {
  const [command, ...rest] = [...prefix, nativeProgram('generate'), ...args];
  const child = new Child(command, rest);
  const { code } = await child.exited;
  if (code !== 0) throw new Error(`generate ended with ${String(code)}: ${child.output}`);
  return JSON.parse(child.standardOutput) as Load;
}
