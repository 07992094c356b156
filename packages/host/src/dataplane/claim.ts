/**
 * The owner's claim to one client connection: nothing is consumed from it or written to it unless the claim was acquired.
 *
 * Invariant: once it was lost, the connection is another process's and is left alone for good.
 */
import type { ConnectionRecords, OwnRecord } from './connection-records.js';

export class Claim {
  readonly record: OwnRecord;
  private readonly records: ConnectionRecords;
  private held = false;
  private lost = false;

  constructor(records: ConnectionRecords, record: OwnRecord) {
    this.records = records;
    this.record = record;
  }

  /** A peer has taken the connection. */
  get isLost(): boolean {
    return this.lost;
  }

  /** False: the connection is a peer's. Acquiring twice is the same as once. */
  acquire(): boolean {
    if (this.held || this.lost) return this.held;
    this.held = this.records.acquire(this.record);
    this.lost = !this.held;
    return this.held;
  }

  /** Until the next `acquire` a peer may take the connection. */
  release(): void {
    if (!this.held) return;
    this.held = false;
    this.lost = !this.records.release(this.record);
  }
}
