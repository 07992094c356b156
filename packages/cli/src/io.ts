/** What a command needs of the process around it. Tests hand in their own. */
import { createInterface } from 'node:readline/promises';
import type { Environment } from '@tandem/host';

export interface Io {
  readonly env: Environment;
  /** To standard output, as it is. */
  out(text: string): void;
  /** To standard error, as it is. */
  err(text: string): void;
  /** Standard input to its end; null when it is longer than that. */
  readInput(bytesMax: number): Promise<Uint8Array | null>;
  /** Whether a person sits in front of it: then Ctrl-C reaches the whole process group. */
  readonly isTerminal: boolean;
  /** Asks on the terminal; null where there is none. */
  confirm(question: string): Promise<boolean | null>;
  /** Ends the process with this code once the command is done. */
  setExitCode(code: number): void;
}

export function processIo(): Io {
  return {
    env: process.env,
    isTerminal: process.stdin.isTTY,
    out: (text) => { process.stdout.write(text); },
    err: (text) => { process.stderr.write(text); },
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
