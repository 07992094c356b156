/**
 * One daemon as a child of `tandem up`: its launcher, in the same process group, with every line of its output prefixed. Lines
 * are bounded: a longer one is cut in pieces.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable } from 'node:stream';
import type { Role } from '@tandem/core';

export interface MemberExit {
  readonly role: Role;
  /** As a shell shows it: 128 + number for a signal. */
  readonly code: number;
  /** `exited with code 69`, `was ended by SIGKILL`. */
  readonly text: string;
}

export interface MemberCommand {
  readonly role: Role;
  readonly program: string;
  readonly argv: readonly string[];
}

const LINE_BYTES_MAX = 16 * 1024;
const SIGNAL_BASE = 128;
const CANNOT_START_CODE = 69;

export class MemberProcess {
  readonly role: Role;
  /** Resolves once, when the process is gone. */
  readonly exit: Promise<MemberExit>;
  private readonly child: ChildProcess;
  private gone = false;

  constructor(command: MemberCommand, write: (line: string) => void) {
    this.role = command.role;
    this.child = spawn(command.program, command.argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    const prefix = `${command.role.padEnd('dns-proxy'.length)} | `;
    for (const stream of [this.child.stdout!, this.child.stderr!]) forwardLines(stream, (line) => { write(`${prefix}${line}\n`); });
    this.exit = new Promise((resolve) => {
      this.child.once('error', (error) => {
        this.gone = true;
        resolve({ role: this.role, code: CANNOT_START_CODE, text: `cannot be started: ${error.message}` });
      });
      // 'close', not 'exit': its last lines are out before it is reported.
      this.child.once('close', (code, signal) => {
        this.gone = true;
        resolve({ role: this.role, ...(signal === null ? exited(code ?? 0) : ended(signal)) });
      });
    });
  }

  get pid(): number | null {
    return this.child.pid ?? null;
  }

  get isGone(): boolean {
    return this.gone;
  }

  signal(name: 'SIGINT' | 'SIGKILL'): void {
    if (!this.gone) this.child.kill(name);
  }
}

function exited(code: number): { code: number; text: string } {
  return { code, text: `exited with code ${code}` };
}

function ended(signal: NodeJS.Signals): { code: number; text: string } {
  return { code: SIGNAL_BASE + constants.signals[signal], text: `was ended by ${signal}` };
}

function forwardLines(stream: Readable, write: (line: string) => void): void {
  let pending = '';
  stream.setEncoding('utf8');
  stream.on('data', (piece: string) => {
    const lines = (pending + piece).split('\n');
    pending = lines.pop()!;
    for (const line of lines) write(line);
    if (pending.length > LINE_BYTES_MAX) {
      write(pending);
      pending = '';
    }
  });
  stream.on('end', () => { if (pending !== '') write(pending); });
}
