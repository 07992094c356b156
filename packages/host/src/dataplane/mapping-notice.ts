/**
 * When the control thread is told that there are mappings in the ring. Each time costs it a message to the peer and an acknowledgement,
 * so it is told of many together; what it has not read by then is in the journal of mappings, should this process die.
 *
 * Invariant: whatever was added is told within RENEWALS_WAIT_MS. Times are milliseconds of one clock.
 */

/** It is told this often at most. */
const EVERY_MS = 25;
/** Renewals wait so long: peers and disks have these mappings, and what changes is when they expire. */
const RENEWALS_WAIT_MS = 200;
/** With so many they do not wait, so that the journal still holds all that is untold, whatever the length of their names. */
export const RENEWALS_MAX = 500;

export class MappingNotice {
  /** Infinity: there are none that it was not told of. */
  private due = Infinity;
  private toldAtMs = -Infinity;
  private renewals = 0;

  get dueAtMs(): number {
    return this.due;
  }

  /** A mapping was written. */
  added(nowMs: number, isRenewal: boolean): void {
    const waitMs = isRenewal && ++this.renewals < RENEWALS_MAX ? RENEWALS_WAIT_MS : 0;
    this.due = Math.min(this.due, Math.max(nowMs + waitMs, this.toldAtMs + EVERY_MS));
  }

  /** The control thread was told of all. */
  told(nowMs: number): void {
    this.due = Infinity;
    this.toldAtMs = nowMs;
    this.renewals = 0;
  }
}
