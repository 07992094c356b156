/**
 * Writes programs into the kernel, one transaction after another, and finds out when somebody else has changed them.
 *
 * Invariant: what is in the kernel is a whole program, the last one wanted or one before it; the first write of a leader, the one
 * after a failure, and a repair replace everything but addresses that are open in sets that DNS fills (unless the kernel refuses just that),
 * all others only what differs. A want that comes while one is written waits, and only the latest of them is written.
 * What it does not find out: what somebody else changes between the look before a difference and the one after it, which is no more than nft takes.
 */
import type { Log } from '@tandem/core';
import { BRIDGE_TABLE, GUARD_TABLE, PORT_TABLE } from '../names.js';
import { applyNft } from '../nft.js';
import { changeText, type OpenElements, removalText, wholeText } from '../program/index.js';
import type { Program } from '../program/program.js';
import { standingTable } from './standing-table.js';
import { type Fingerprint, fingerprint, generation } from './table-watch.js';

/** Between two looks at whether the tables are as they were written. */
export const LOOK_MS = 100;
const AGAIN_MS = 1000;

export interface ProgrammerOptions {
  readonly log: Log;
  /** Looked at before each write: a member that slept may have been deposed. */
  readonly mayWrite: () => boolean;
  /** What is open now, by set. */
  readonly open: () => OpenElements;
  /** The program is in the kernel; `isWhole`: everything was written, and sets that DNS fills may have been emptied. */
  readonly onWritten: (program: Program, isWhole: boolean) => void;
}

/** The state of the tables; null: the kernel did not say. */
interface Seen {
  readonly generation: number | null;
  readonly fingerprint: Fingerprint;
}

export class Programmer {
  changes = 0;
  failures = 0;
  repairs = 0;
  /** Why the last write failed; null: it did not. */
  problem: string | null = null;
  private readonly options: ProgrammerOptions;
  private wanted: Program | null = null;
  /** What the kernel has; null: that is not known. */
  private written: Program | null = null;
  private seen: Seen = { generation: null, fingerprint: null };
  private writing: Promise<void> | null = null;
  private isLooking = false;
  private timer: NodeJS.Timeout | null = null;

  constructor(options: ProgrammerOptions) {
    this.options = options;
  }

  /** From now on this member writes, and looks. */
  lead(): void {
    this.written = null;
    this.timer ??= setInterval(() => void this.look(), LOOK_MS).unref();
  }

  /** Another writes. */
  follow(): void {
    this.wanted = null;
    this.written = null;
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
  }

  /** Resolves when nothing is being written. */
  async settled(): Promise<void> {
    await this.writing?.catch(() => undefined);
  }

  /** Resolves when it is in the kernel, or another that was wanted after it, or nothing is to be written here any more. */
  want(program: Program): Promise<void> {
    this.wanted = program;
    this.writing ??= this.writeAll().finally(() => { this.writing = null; });
    return this.writing;
  }

  private async writeAll(): Promise<void> {
    while (this.wanted !== null && this.wanted !== this.written) await this.write(this.wanted);
  }

  private async write(program: Program): Promise<void> {
    // The state after a difference is taken for ours: nobody else's change may be in it.
    const moved = this.written === null ? null : await this.moved();
    if (!this.options.mayWrite()) {
      this.wanted = null;
      return;
    }
    if (this.written !== null && moved !== null && moved.fingerprint !== this.seen.fingerprint) this.writeAnew(moved);
    const isWhole = this.written === null;
    try {
      if (this.written === null) await this.writeWhole(program);
      else await applyNft(changeText(this.written, program, this.options.open()));
    } catch (error) {
      this.failures++;
      this.problem = error instanceof Error ? error.message : String(error);
      this.options.log.error('the datapath could not be written; it is tried again', { reason: this.problem });
      this.written = null;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS).unref());
      return;
    }
    this.problem = null;
    this.changes++;
    this.written = program;
    this.seen = { generation: await generation(), fingerprint: await fingerprint() };
    this.options.onWritten(program, isWhole);
  }

  private async writeWhole(program: Program): Promise<void> {
    await removeOthers(program);
    const standing = await standingTable();
    try {
      await applyNft(wholeText(program, this.options.open(), standing));
    } catch (error) {
      if (standing === null) throw error;
      // What stands there may be another release's, or no longer what it was.
      this.options.log.warn('the open addresses of the datapath could not be kept; those that are not known here are open again with the next answer', { reason: error instanceof Error ? error.message : String(error) });
      await applyNft(wholeText(program, this.options.open()));
    }
  }

  /** `writing`, which may have changed during a wait. */
  private isBusy(): boolean {
    return this.writing !== null;
  }

  /** Has somebody else been here? */
  private async look(): Promise<void> {
    if (this.writing !== null || this.isLooking || this.written === null) return;
    this.isLooking = true;
    try {
      const moved = await this.moved();
      if (moved === null || this.isBusy()) return;
      if (moved.fingerprint === null || !this.options.mayWrite()) return;
      const isSame = moved.fingerprint === this.seen.fingerprint;
      this.seen = moved;
      if (isSame) return;
      const program = this.written;
      this.writeAnew(moved);
      if (program !== null) await this.want(program);
    } finally {
      this.isLooking = false;
    }
  }

  /** The state now, if anybody has changed any table of the namespace since ours was seen; null: nobody has, or the kernel does not say. */
  private async moved(): Promise<Seen | null> {
    const now = await generation();
    return now === null || now === this.seen.generation ? null : { generation: now, fingerprint: await fingerprint() };
  }

  /** The next write is whole. */
  private writeAnew({ fingerprint: found }: Seen): void {
    this.written = null;
    // Else it is not known whether anybody has.
    if (found === null) return;
    this.repairs++;
    this.options.log.warn('somebody else changed the tables of the datapath: they are written anew');
  }
}

/** Tables of ours that an earlier run left and this program has no use for. */
async function removeOthers(program: Program): Promise<void> {
  for (const table of [PORT_TABLE, BRIDGE_TABLE, GUARD_TABLE]) {
    if (program.tables.some(({ family, name }) => family === table.family && name === table.name)) continue;
    // Where the kernel does not have the family there is nothing to remove.
    await applyNft(removalText([table])).catch(() => undefined);
  }
}
