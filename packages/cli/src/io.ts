/** What a command needs of the process around it. Tests hand in their own. */
import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { EXIT } from '@tandem/core';
import type { Environment } from '@tandem/host';

export interface Screen {
  /** Characters. */
  readonly columns: number;
  readonly rows: number;
}

export interface Io {
  readonly env: Environment;
  /** To standard output, as it is. */
  out(text: string): void;
  /** To standard error, as it is. */
  err(text: string): void;
  /**
   * From now on calls this when standard output or standard error cannot be written any more; null: no longer. Without it, such an end of
   * standard output ends the process.
   */
  onOutputLost(act: (() => void) | null): void;
  /** Resolves once standard output takes more: who writes without end waits for it, and holds nothing back in memory. */
  drained(): Promise<void>;
  /** Runs `work` with a signal that Ctrl-C or SIGTERM aborts; a second one ends the process. */
  untilInterrupted<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  /** Standard input as it comes. */
  input(): AsyncIterable<Uint8Array>;
  /** Standard input to its end; null when it is longer than that. */
  readInput(bytesMax: number): Promise<Uint8Array | null>;
  /** Whether a person sits in front of it: then Ctrl-C reaches the whole process group. */
  readonly isTerminal: boolean;
  /** The terminal that standard output is; null: it is none, so no colours and no redrawing. */
  readonly screen: Screen | null;
  /** Whether standard error is a terminal: progress is shown on one only. */
  readonly showsProgress: boolean;
  /** Asks on the terminal; null where there is none. */
  confirm(question: string): Promise<boolean | null>;
  /** Ends the process with this code once the command is done. */
  setExitCode(code: number): void;
}

export function processIo(): Io {
  let onLost: (() => void) | null = null;
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (onLost !== null) onLost();
    // A reader that has seen enough (`tandem cache list | head`) is no error.
    else if (error.code === 'EPIPE') process.exit();
    else {
      process.stderr.write(`tandem: standard output: ${error.message}\n`);
      process.exit(EXIT.unavailable);
    }
  });
  process.stderr.on('error', () => { onLost?.(); });
  return {
    onOutputLost: (act) => { onLost = act; },
    env: process.env,
    isTerminal: process.stdin.isTTY,
    get screen() { return process.stdout.isTTY ? { columns: process.stdout.columns, rows: process.stdout.rows } : null; },
    showsProgress: process.stderr.isTTY,
    out: (text) => { process.stdout.write(text); },
    err: (text) => { process.stderr.write(text); },
    drained: async () => {
      if (process.stdout.writableNeedDrain) await once(process.stdout, 'drain');
    },
    untilInterrupted,
    input: () => process.stdin as AsyncIterable<Uint8Array>,
    readInput: async (bytesMax) => {
      const pieces: Uint8Array[] = [];
      let bytes = 0;
      for await (const piece of process.stdin as AsyncIterable<Uint8Array>) {
        bytes += piece.length;
        if (bytes > bytesMax) return null;
        pieces.push(piece);
      }
      return Buffer.concat(pieces);
    },
    confirm: async (question) => {
      if (!process.stdin.isTTY) return null;
      const terminal = createInterface({ input: process.stdin, output: process.stderr });
      try {
        return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim());
      } finally {
        terminal.close();
      }
    },
    setExitCode: (code) => { process.exitCode = code; },
  };
}

async function untilInterrupted<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interrupted = new AbortController();
  const abort = (): void => { interrupted.abort(); };
  process.once('SIGINT', abort).once('SIGTERM', abort);
  try {
    return await work(interrupted.signal);
  } finally {
    process.off('SIGINT', abort).off('SIGTERM', abort);
  }
}
