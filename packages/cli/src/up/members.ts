/**
 * The two daemons of `tandem up`. Until `supervise` the end of either is a fault; after it one that dies while the other lives is
 * started again, after a pause that grows with every death in a row, and only the end of both is a fault.
 *
 * Invariant: after `close` nothing is started, and what ends then is no fault.
 * Does not know: readiness, signals, why one died.
 */
import type { Role } from '@tandem/core';
import { MemberProcess, type MemberCommand, type MemberExit } from './member-process.js';

const PAUSE_MIN_MS = 1_000;
const PAUSE_MAX_MS = 30_000;
/** One that lived so long has not died "again": its next pause is the shortest one. */
const STEADY_MS = 60_000;

interface Place {
  readonly command: MemberCommand;
  process: MemberProcess;
  startedAtMs: number;
  pauseMs: number;
  timer: NodeJS.Timeout | null;
}

export class Members {
  /** Resolves with the end that leaves nothing to go on with. */
  readonly fault: Promise<MemberExit>;
  private readonly write: (line: string) => void;
  private readonly places: readonly Place[];
  private onFault: (exit: MemberExit) => void = () => undefined;
  private isSupervised = false;
  private isClosed = false;

  /** Starts them. `write` takes their lines and what is to be said about them. */
  constructor(commands: readonly MemberCommand[], write: (line: string) => void) {
    this.write = write;
    this.fault = new Promise((resolve) => { this.onFault = resolve; });
    this.places = commands.map((command) => ({
      command, process: new MemberProcess(command, write), startedAtMs: performance.now(), pauseMs: PAUSE_MIN_MS, timer: null,
    }));
    for (const place of this.places) this.watch(place);
  }

  get pids(): readonly { readonly role: Role; readonly pid: number | null }[] {
    return this.places.map(({ command, process }) => ({ role: command.role, pid: process.pid }));
  }

  supervise(): void {
    this.isSupervised = true;
  }

  close(): void {
    this.isClosed = true;
    for (const { timer } of this.places) if (timer !== null) clearTimeout(timer);
  }

  signal(name: 'SIGINT' | 'SIGKILL'): void {
    for (const { process } of this.places) process.signal(name);
  }

  /** How each ended last; only after `close`. */
  exits(): Promise<readonly MemberExit[]> {
    return Promise.all(this.places.map(({ process }) => process.exit));
  }

  private watch(place: Place): void {
    void place.process.exit.then((exit) => { this.onExit(place, exit); });
  }

  private onExit(place: Place, exit: MemberExit): void {
    if (this.isClosed) return;
    const { role } = place.command;
    const others = this.places.filter((one) => one !== place);
    if (!this.isSupervised || others.every(({ process }) => process.isGone)) {
      this.onFault(exit);
      return;
    }
    if (performance.now() - place.startedAtMs >= STEADY_MS) place.pauseMs = PAUSE_MIN_MS;
    const goOn = others.map(({ command }) => command.role).join(', ');
    this.write(`tandem: ${role} ${exit.text}; ${goOn} goes on, ${role} is started again in ${place.pauseMs / 1_000} s\n`);
    place.timer = setTimeout(() => { this.again(place); }, place.pauseMs);
    place.pauseMs = Math.min(2 * place.pauseMs, PAUSE_MAX_MS);
  }

  private again(place: Place): void {
    place.timer = null;
    place.process = new MemberProcess(place.command, this.write);
    place.startedAtMs = performance.now();
    this.write(`tandem: ${place.command.role} is started again (pid ${place.process.pid ?? '-'})\n`);
    this.watch(place);
  }
}
