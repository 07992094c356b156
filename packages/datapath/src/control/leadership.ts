/**
 * Which of the two members writes the tables: the one that holds the lock file in the run-dir. The lock dies with its holder; and a
 * holder that hangs is deposed, for it says in the file when it was last awake, and who finds that too long ago puts a file of its own in
 * its place. Beside that it says when it last made the tables anew, for with them went what the other had opened, unheard perhaps.
 *
 * The file: two doubles, little-endian, both milliseconds of the boot clock: awake, written anew (0: not yet).
 *
 * Invariant: of two members that are awake one leads, but for the moment in which a deposed one has not looked yet. What it
 * may write in that moment is found by the other as somebody else's change, and repaired. No look throws.
 */
import { closeSync, fstatSync, openSync, readSync, renameSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { bootTimeMs, closeFd, lockFile } from 'node-reuseport';

/** How often the follower looks; the leader says so often that it is awake. */
export const LOOK_MS = 200;
/** Ten looks and more: longer than any pause of a member that works. */
const ASLEEP_MS = 3000;
const TIME_BYTES = 8;
const FILE_BYTES = 2 * TIME_BYTES;
/** Another holds it. */
const EWOULDBLOCK = 11;

export interface LeadershipSeams {
  /** Called from within `look` alone. */
  readonly onChange: (leads: boolean) => void;
  /** The other member, which leads, has made the tables anew since we looked last. */
  readonly onRewritten: () => void;
}

interface Said {
  readonly awakeMs: number;
  readonly rewrittenMs: number;
}

/** The lock file that the leader holds. */
export function lockPath(runDir: string): string {
  return join(runDir, 'datapath.lock');
}

export class Leadership {
  /** Why nobody may lead from here, one line; null: nothing is wrong. */
  problem: string | null = null;
  private readonly path: string;
  private readonly seams: LeadershipSeams;
  private readonly timer: NodeJS.Timeout;
  private fd = -1;
  /** Of our own writing, while we lead. */
  private rewrittenMs = 0;
  /** Of the other's; null: nothing was read yet. */
  private seenRewrittenMs: number | null = null;

  constructor(runDir: string, seams: LeadershipSeams) {
    this.path = lockPath(runDir);
    this.seams = seams;
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
    this.problem = fd >= 0 || fd === -EWOULDBLOCK ? null : `which member writes the tables cannot be settled: ${this.path} cannot be opened (errno ${-fd})`;
    if (fd >= 0) this.take(fd);
    else this.lookAtHolder();
  }

  /** We have made the tables anew. */
  rewritten(): void {
    this.rewrittenMs = bootTimeMs();
    if (this.fd >= 0) this.sayAwake(this.fd);
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
    this.rewrittenMs = 0;
    this.sayAwake(fd);
    this.seams.onChange(true);
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
    this.seenRewrittenMs = null;
    this.seams.onChange(false);
  }

  private isOurs(): boolean {
    try {
      return statSync(this.path).ino === fstatSync(this.fd).ino;
    } catch {
      return false;
    }
  }

  private sayAwake(fd: number): void {
    const said = Buffer.alloc(FILE_BYTES);
    said.writeDoubleLE(bootTimeMs());
    said.writeDoubleLE(this.rewrittenMs, TIME_BYTES);
    try {
      writeSync(fd, said, 0, FILE_BYTES, 0);
    } catch {
      // A full disk: the other member takes us for asleep, and writes the tables.
    }
  }

  private lookAtHolder(): void {
    const said = read(this.path);
    if (said === null) return;
    if (bootTimeMs() - said.awakeMs > ASLEEP_MS) {
      this.replace();
      return;
    }
    const before = this.seenRewrittenMs;
    this.seenRewrittenMs = said.rewrittenMs;
    if (before !== null && before !== said.rewrittenMs && said.rewrittenMs > 0) this.seams.onRewritten();
  }
}

function read(path: string): Said | null {
  const fd = openOrNull(path);
  if (fd === null) return null;
  try {
    const said = Buffer.alloc(FILE_BYTES);
    return readSync(fd, said, 0, FILE_BYTES, 0) === FILE_BYTES ? { awakeMs: said.readDoubleLE(), rewrittenMs: said.readDoubleLE(TIME_BYTES) } : null;
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
