/**
 * Which of the two members writes the tables: the one that holds the lock file in the run-dir. The lock dies with its holder; and a
 * holder that hangs is deposed, for it says in the file when it was last awake, and who finds that too long ago puts a file of its own in
 * its place.
 *
 * Invariant: of two members that are awake one leads, but for the moment in which a deposed one has not looked yet. What it
 * may write in that moment is found by the other as somebody else's change, and repaired.
 */
import { closeSync, fstatSync, openSync, readSync, renameSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { bootTimeMs, closeFd, lockFile } from 'node-reuseport';

/** How often the follower looks; the leader says so often that it is awake. */
export const LOOK_MS = 200;
/** Ten looks and more: longer than any pause of a member that works. */
const ASLEEP_MS = 3000;
const TIME_BYTES = 8;

/** The lock file that the leader holds. */
export function lockPath(runDir: string): string {
  return join(runDir, 'datapath.lock');
}

export class Leadership {
  private readonly path: string;
  private readonly onChange: (leads: boolean) => void;
  private readonly timer: NodeJS.Timeout;
  private fd = -1;

  /** `onChange` is called from within `look` alone. */
  constructor(runDir: string, onChange: (leads: boolean) => void) {
    this.path = lockPath(runDir);
    this.onChange = onChange;
    this.timer = setInterval(() => { this.look(); }, LOOK_MS);
    this.timer.unref();
  }

  get leads(): boolean {
    return this.fd >= 0;
  }

  /** Takes the lead where nobody has it, says that we are awake where we have it. */
  look(): void {
    if (this.fd >= 0) {
      if (this.isOurs()) this.sayAwake(this.fd);
      else this.depose();
      return;
    }
    const fd = lockFile(this.path);
    if (fd >= 0) this.take(fd);
    else if (this.isHolderAsleep()) this.replace();
  }

  close(): void {
    clearInterval(this.timer);
    if (this.fd >= 0) closeFd(this.fd);
    this.fd = -1;
  }

  private take(fd: number): void {
    this.fd = fd;
    // Between opening and locking another may have put its own in the place.
    if (!this.isOurs()) {
      closeFd(fd);
      this.fd = -1;
      return;
    }
    this.sayAwake(fd);
    this.onChange(true);
  }

  private replace(): void {
    const own = `${this.path}.${process.pid}`;
    const fd = lockFile(own);
    if (fd < 0) return;
    try {
      this.sayAwake(fd);
      renameSync(own, this.path);
    } catch {
      closeFd(fd);
      try { unlinkSync(own); } catch { /* It was never there. */ }
      return;
    }
    this.take(fd);
  }

  private depose(): void {
    closeFd(this.fd);
    this.fd = -1;
    this.onChange(false);
  }

  private isOurs(): boolean {
    const there = statSync(this.path, { throwIfNoEntry: false });
    return there?.ino === fstatSync(this.fd).ino;
  }

  private sayAwake(fd: number): void {
    const time = Buffer.alloc(TIME_BYTES);
    time.writeDoubleLE(bootTimeMs());
    writeSync(fd, time, 0, TIME_BYTES, 0);
  }

  private isHolderAsleep(): boolean {
    const saidMs = readTime(this.path);
    return saidMs !== null && bootTimeMs() - saidMs > ASLEEP_MS;
  }
}

function readTime(path: string): number | null {
  const fd = openOrNull(path);
  if (fd === null) return null;
  try {
    const time = Buffer.alloc(TIME_BYTES);
    return readSync(fd, time, 0, TIME_BYTES, 0) === TIME_BYTES ? time.readDoubleLE() : null;
  } finally {
    closeSync(fd);
  }
}

function openOrNull(path: string): number | null {
  try {
    return openSync(path, 'r');
  } catch {
    return null;
  }
}
