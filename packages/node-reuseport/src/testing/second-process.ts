/** Starts `member.ts` and talks with it, without the event loop: the tests wait in the kernel, not in promises. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import {
  closeFd,
  Journal,
  Reactor,
  ReadyEvent,
  bootTimeMs,
  receiveWithFds,
  sendWithFds,
  unixSocketPair,
} from '../index.js';

const patienceMs = 20_000;

export class SecondProcess {
  readonly link: number;
  readonly process: ChildProcess;
  gone = false;
  private readonly journal = Journal.create({ slots: 1, batch: 1 });
  private readonly waiter = new Reactor(this.journal);

  constructor(args: readonly string[]) {
    const [mine, theirs] = unixSocketPair();
    const env = { ...process.env };
    // The test runner's hooks are not for it.
    delete env.NODE_OPTIONS;
    this.process = spawn(process.execPath, [fileURLToPath(new URL('member.js', import.meta.url)), ...args], {
      stdio: ['ignore', 'inherit', 'inherit', theirs],
      env,
    });
    closeFd(theirs);
    this.link = mine;
    this.waiter.watch(mine, 0, ReadyEvent.IN);
  }

  /** Waits in the kernel for a message, or for this long. */
  pause(timeoutMs: number): void {
    this.waiter.step(0, timeoutMs);
  }

  /** Until `done`, looking again each millisecond; throws when it takes too long. */
  until(done: () => boolean, what: string): void {
    const startedMs = bootTimeMs();
    while (!done()) {
      if (bootTimeMs() - startedMs > patienceMs) throw new Error(`waited too long for: ${what}`);
      this.pause(1);
    }
  }

  say(text: string, fds: readonly number[] = []): void {
    sendWithFds(this.link, new TextEncoder().encode(text), fds);
  }

  /** The next message; null when the process is gone. */
  hear(): { text: string; fds: readonly number[] } | null {
    const startedMs = bootTimeMs();
    while (bootTimeMs() - startedMs < patienceMs) {
      const message = receiveWithFds(this.link, 4096, 8);
      if (message === null) {
        this.pause(patienceMs);
        continue;
      }
      if (message.end) {
        this.gone = true;
        return null;
      }
      return { text: new TextDecoder().decode(message.data), fds: message.fds };
    }
    throw new Error('the second process says nothing');
  }

  /** True once the process has died and what it had said has been read. */
  isGone(): boolean {
    if (!this.gone && receiveWithFds(this.link, 4096, 8)?.end === true) this.gone = true;
    return this.gone;
  }

  end(): void {
    this.process.kill('SIGKILL');
    this.waiter.close();
    this.journal.release();
    closeFd(this.link);
  }
}
