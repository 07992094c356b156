/**
 * A program under test: started with its output kept, ended by its pid. Nothing outlives the test that started it.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { within } from './until.js';

/** Still running; a test that is broken off, or that the test runner times out (SIGALRM), takes them along. */
const living = new Set<ChildProcess>();

process.once('exit', () => {
  for (const child of living) child.kill('SIGKILL');
});
for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129], ['SIGALRM', 142]] as const) {
  process.once(signal, () => process.exit(code));
}

const OUTPUT_BYTES_MAX = 4 << 20;
const STOP_DEADLINE_MS = 10_000;

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class Child {
  readonly process: ChildProcess;
  readonly exited: Promise<Exit>;
  private text = '';
  private standardText = '';
  private ended: Exit | null = null;

  constructor(command: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    // The test runner loads its hooks into every Node below it through NODE_OPTIONS; programs run here as users run them.
    this.process = spawn('env', ['-u', 'NODE_OPTIONS', command, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...environment } });
    living.add(this.process);
    this.exited = once(this.process, 'close').then(([code, signal]) => {
      living.delete(this.process);
      this.ended = { code: code as number | null, signal: signal as NodeJS.Signals | null };
      return this.ended;
    });
    this.process.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.standardText = (this.standardText + text).slice(-OUTPUT_BYTES_MAX);
      this.text = (this.text + text).slice(-OUTPUT_BYTES_MAX);
    });
    this.process.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.text = (this.text + text).slice(-OUTPUT_BYTES_MAX);
    });
  }

  get pid(): number {
    if (this.process.pid === undefined) throw new Error(`${this.process.spawnfile} did not start`);
    return this.process.pid;
  }

  /** Standard output and error together, the newest 4 MiB. */
  get output(): string {
    return this.text;
  }

  get standardOutput(): string {
    return this.standardText;
  }

  /** null while it runs. */
  get exit(): Exit | null {
    return this.ended;
  }

  /** SIGTERM, then SIGKILL after a while; returns how it ended. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Exit> {
    if (this.ended !== null) return this.ended;
    this.process.kill(signal);
    try {
      return await within(`end of process ${String(this.pid)} after ${signal}`, STOP_DEADLINE_MS, this.exited);
    } catch {
      this.process.kill('SIGKILL');
      return within(`end of process ${String(this.pid)} after SIGKILL`, STOP_DEADLINE_MS, this.exited);
    }
  }
}

/** Runs a program to its end. @throws Error if it takes longer; it is killed then. @throws the signal's reason once that has come; it is ended then. */
export async function run(command: string, args: readonly string[], deadlineMs: number, signal?: AbortSignal): Promise<Exit & { output: string; standardOutput: string }> {
  signal?.throwIfAborted();
  const child = new Child(command, args);
  const end = (): void => void child.stop();
  signal?.addEventListener('abort', end, { once: true });
  try {
    const exit = await within(`${command} ${args.join(' ')}`, deadlineMs, child.exited);
    signal?.throwIfAborted();
    return { ...exit, output: child.output, standardOutput: child.standardOutput };
  } finally {
    signal?.removeEventListener('abort', end);
    await child.stop('SIGKILL');
  }
}
