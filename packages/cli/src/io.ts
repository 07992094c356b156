/** What a command needs of the process around it. Tests hand in their own. */
import { createInterface } from 'node:readline/promises';
import type { Environment } from '@tandem/host';

export interface Io {
  readonly env: Environment;
  /** To standard output, as it is. */
  out(text: string): void;
  /** To standard error, as it is. */
  err(text: string): void;
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
