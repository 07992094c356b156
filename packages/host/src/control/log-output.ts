/**
 * Standard error, or another descriptor, as where a log's lines go. They leave in their order, at once where the reader takes them.
 *
 * Invariant: nobody waits for the reader, for a full disk or for one that fails: what cannot be written waits, up to BYTES_MAX, and is
 * tried again; lines beyond that are dropped, and counted.
 */
import { constants as files, fstatSync, openSync, writeSync } from 'node:fs';
import { constants as system } from 'node:os';
import { awaitWritable, sendFrom } from 'node-reuseport';

const BYTES_MAX = 4 * 1024 * 1024;
/** PIPE_BUF: a pipe takes so much whole, or not now. */
const PIECE_BYTES = 4096;
const AGAIN_MS = 100;
/** A reader that has fallen behind is given so long, when the process ends. */
const FLUSH_MS = 500;

const { EAGAIN, EPIPE } = system.errno;

type Written = 'some' | 'not now' | 'failed';

export class LogOutput {
  private readonly fd: number;
  private readonly isSocket: boolean;
  private readonly onDropped: (lines: number) => void;
  private waiting: Buffer[] = [];
  private waitingBytes = 0;
  private dropped = 0;
  /** Its reader will not come back. */
  private isGone = false;
  private timer: NodeJS.Timeout | null = null;

  /** `onDropped` is told, once lines leave again, how many did not. */
  constructor(fd: number, onDropped: (lines: number) => void) {
    this.fd = withoutWait(fd);
    this.isSocket = fstatSync(fd).isSocket();
    this.onDropped = onDropped;
  }

  write(line: string): void {
    if (this.isGone) return;
    const bytes = Buffer.from(line);
    if (this.waitingBytes + bytes.length > BYTES_MAX) {
      this.dropped++;
      return;
    }
    this.waiting.push(bytes);
    this.waitingBytes += bytes.length;
    if (this.timer === null) this.drain();
  }

  /** Before an exit: as much as the reader takes in half a second; nothing where writing fails. */
  flush(): void {
    const byMs = performance.now() + FLUSH_MS;
    while (this.drain() && this.waiting.length > 0 && performance.now() < byMs) awaitWritable(this.fd, Math.max(0, Math.ceil(byMs - performance.now())));
  }

  /** As much as can be written now. False: writing fails. */
  private drain(): boolean {
    while (this.waiting.length > 0) {
      const written = awaitWritable(this.fd, 0) ? this.writePiece() : 'not now';
      if (written === 'some') continue;
      this.drainLater();
      return written === 'not now';
    }
    if (this.dropped > 0) {
      const lines = this.dropped;
      this.dropped = 0;
      this.onDropped(lines);
    }
    return true;
  }

  private writePiece(): Written {
    const [first] = this.waiting;
    const count = this.writeNow(first, Math.min(first.length, PIECE_BYTES));
    if (count === -EPIPE) {
      this.isGone = true;
      this.waiting = [];
      this.waitingBytes = 0;
      return 'some';
    }
    if (count < 0) return count === -EAGAIN ? 'not now' : 'failed';
    this.waitingBytes -= count;
    if (count === first.length) this.waiting.shift();
    else this.waiting[0] = first.subarray(count);
    return 'some';
  }

  /** How many bytes left, or −errno. */
  private writeNow(bytes: Buffer, length: number): number {
    if (this.isSocket) return sendFrom(this.fd, bytes, 0, length);
    try {
      return writeSync(this.fd, bytes, 0, length);
    } catch (error) {
      return (error as NodeJS.ErrnoException).errno ?? -system.errno.EIO;
    }
  }

  private drainLater(): void {
    if (this.isGone || this.timer !== null) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      this.drain();
    }, AGAIN_MS);
    this.timer.unref();
  }
}

/**
 * The same pipe or terminal under a descriptor of our own, whose writes do not wait: the flag is not the other holders'. A socket has a
 * flag for each write, and a file takes what it is given. Where it cannot be opened anew it is the same, and what its reader takes a guess.
 */
function withoutWait(fd: number): number {
  const kind = fstatSync(fd);
  if (!kind.isFIFO() && !kind.isCharacterDevice()) return fd;
  try {
    return openSync(`/proc/self/fd/${fd}`, files.O_WRONLY | files.O_NONBLOCK | files.O_NOCTTY);
  } catch {
    return fd;
  }
}
