/**
 * Which of the two members writes the tables: the one that holds the lock file in the run-dir. The lock dies with its holder; and a
 * holder that hangs is deposed, for it says in the file when it was last awake, and who finds that too long ago puts a file of its own in
 * its place. Beside that it says when it last made the tables anew, for with them went what the other had opened, unheard perhaps; and
 * which policy they are of. A leader that stays behind the policy of the member with the source, as one that does not hear of it or
 * cannot write, is deposed like one that hangs.
 *
 * The file: two doubles, little-endian, both milliseconds of the boot clock: awake, written anew (0: not yet); the policy's hash, at most
 * 64 characters, rest zero.
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
const HASH_BYTES = 64;
const FILE_BYTES = 2 * TIME_BYTES + HASH_BYTES;
/** Much longer than a policy is on its way, and written. */
const BEHIND_MS = 5000;
/** Another holds it. */
const EWOULDBLOCK = 11;

export interface LeadershipSeams {
  /** Called from within `look` alone. */
  readonly onChange: (leads: boolean) => void;
  /** The other member, which leads, has made the tables anew since we looked last. */
  readonly onRewritten: () => void;
  /** This member has the source of policy: what it wants is what holds. */
  readonly isSource: boolean;
  /** Milliseconds of the boot clock; default: that. */
  readonly nowMs?: () => number;
}

interface Said {
  readonly awakeMs: number;
  readonly rewrittenMs: number;
  readonly hash: string;
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
  private isClosed = false;
  /** Of our own writing, while we lead. */
  private rewrittenMs = 0;
  /** Of the other's; null: nothing was read yet. */
  private seenRewrittenMs: number | null = null;
  /** Of the policy that is to be in force. */
  private wanted: string | null = null;
  /** Of the policy that our tables are of. */
  private written = '';
  /** What the other's tables were of at our last look, and since when that stands still and is not what we want. */
  private behind: { readonly hash: string; readonly sinceMs: number } | null = null;
  private readonly nowMs: () => number;

  constructor(runDir: string, seams: LeadershipSeams) {
    this.path = lockPath(runDir);
    this.seams = seams;
    this.nowMs = seams.nowMs ?? bootTimeMs;
    this.timer = setInterval(() => { this.look(); }, LOOK_MS);
    this.timer.unref();
  }

  get leads(): boolean {
    return this.fd >= 0;
  }

  /** Takes the lead where nobody has it, says that we are awake where we have it. */
  look(): void {
    if (this.isClosed) return;
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

  /** The policy with this hash is to be in force. */
  want(hash: string): void {
    this.wanted = hash;
  }

  /** The tables are of the policy with this hash; `isWhole`: they were made anew. */
  wrote(hash: string, isWhole: boolean): void {
    this.written = hash;
    if (isWhole) this.rewrittenMs = this.nowMs();
    if (this.fd >= 0) this.sayAwake(this.fd);
  }

  /** For good: what still is under way takes no lead again. */
  close(): void {
    this.isClosed = true;
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
    this.written = '';
    this.behind = null;
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
    said.writeDoubleLE(this.nowMs());
    said.writeDoubleLE(this.rewrittenMs, TIME_BYTES);
    said.write(this.written, 2 * TIME_BYTES, HASH_BYTES, 'latin1');
    try {
      writeSync(fd, said, 0, FILE_BYTES, 0);
    } catch {
      // A full disk: the other member takes us for asleep, and writes the tables.
    }
  }

  private lookAtHolder(): void {
    const said = read(this.path);
    if (said === null) return;
    if (this.nowMs() - said.awakeMs > ASLEEP_MS || this.isHolderBehind(said)) {
      this.replace();
      return;
    }
    const before = this.seenRewrittenMs;
    this.seenRewrittenMs = said.rewrittenMs;
    if (before !== null && before !== said.rewrittenMs && said.rewrittenMs > 0) this.seams.onRewritten();
  }

  /** Its policy is not ours, and not on the way there: as long as it changes, it hears of ours. */
  private isHolderBehind({ hash }: Said): boolean {
    if (!this.seams.isSource || this.wanted === null || hash === this.wanted) {
      this.behind = null;
      return false;
    }
    if (this.behind?.hash !== hash) this.behind = { hash, sinceMs: this.nowMs() };
    return this.nowMs() - this.behind.sinceMs > BEHIND_MS;
  }
}

function read(path: string): Said | null {
  const fd = openOrNull(path);
  if (fd === null) return null;
  try {
    const said = Buffer.alloc(FILE_BYTES);
    return readSync(fd, said, 0, FILE_BYTES, 0) === FILE_BYTES
      ? { awakeMs: said.readDoubleLE(), rewrittenMs: said.readDoubleLE(TIME_BYTES), hash: said.toString('latin1', 2 * TIME_BYTES).replace(/\0+$/, '') } : null;
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
