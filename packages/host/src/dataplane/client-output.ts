/**
 * Answers to one client's connection, in the order they come: what a turn brings leaves in one write. It lies in the shared region
 * before its first byte is written, and the slots of its answers are kept until its last byte is: whoever takes the connection over goes
 * on in the middle of it, and asks again for what was not begun.
 *
 * Invariant: bounded by UNSENT_MAX; beyond that the connection is broken. What all connections have is counted for who bounds that
 * (tcp-clients.ts).
 */
import { EAGAIN, sendFrom } from 'node-reuseport';
import type { Claim } from './claim.js';
import { type ConnectionRecords, NONE } from './connection-records.js';
import type { Interest } from './interest.js';
import { ROW_BYTES } from './shared-region.js';
import { UNSENT_MAX, type UnsentBudget } from './stream.js';

const LENGTH_BYTES = 2;
const INTERRUPTED = -4;
const FIRST_BUFFER_BYTES = 1024;
/** A larger one, which a burst of answers took, is given back. */
const KEPT_BUFFER_BYTES = 16 * 1024;

export type OutputResult = 'ok' | 'broken' | 'stolen';

export interface OutputSeams {
  readonly records: ConnectionRecords;
  readonly claim: Claim;
  readonly interest: Interest;
  readonly unsent: UnsentBudget;
  /** The slot's answer is about to be written, in what starts there in the stream; a peer that reads slots may look for it. */
  readonly onStart: (slot: number, start: number) => void;
  /** The answer to the slot's query is written, or was in part and cannot be finished. */
  readonly onDone: (slot: number) => void;
  /** A peer knows what it means when several answers are written as one. */
  readonly canJoin: boolean;
}

/** What is being written. */
interface UnderWay {
  readonly slots: readonly number[];
  readonly bytes: Uint8Array;
  readonly row: number;
  sent: number;
}

export class ClientOutput {
  private readonly fd: number;
  private readonly seams: OutputSeams;
  private underWay: UnderWay | null = null;
  /** Answers that wait, with their lengths in front, in [0, waitingBytes) one behind the other; their slots, and where each ends. */
  private waiting = new Uint8Array(FIRST_BUFFER_BYTES);
  private waitingBytes = 0;
  private slotsWaiting: number[] = [];
  private endsWaiting: number[] = [];
  private written: number;
  private unsentBytes = 0;

  /** `written`: bytes that were written to the stream before. */
  constructor(fd: number, seams: OutputSeams, written: number) {
    this.fd = fd;
    this.seams = seams;
    this.written = written;
  }

  /** Bytes accepted by `put` that the kernel has not taken. */
  get pendingBytes(): number {
    return this.unsentBytes;
  }

  /** Something is written in part. */
  get isUnderWay(): boolean {
    return this.underWay !== null;
  }

  get slotCount(): number {
    return (this.underWay?.slots.length ?? 0) + this.slotsWaiting.length;
  }

  /** Slots whose answers are not written whole. */
  slots(): number[] {
    return [...(this.underWay?.slots ?? []), ...this.slotsWaiting];
  }

  /** Puts an answer behind those that the next `flush` writes. */
  put(slot: number, bytes: Uint8Array, offset: number, length: number): OutputResult {
    const end = this.waitingBytes + LENGTH_BYTES + length;
    if (end > this.waiting.length) {
      const larger = new Uint8Array(Math.max(end, 2 * this.waiting.length));
      larger.set(this.waiting.subarray(0, this.waitingBytes));
      this.waiting = larger;
    }
    const { waiting } = this;
    let at = this.waitingBytes;
    waiting[at++] = length >>> 8;
    waiting[at++] = length & 0xff;
    for (let i = 0; i < length; i++) waiting[at + i] = bytes[offset + i];
    this.waitingBytes = end;
    this.slotsWaiting.push(slot);
    this.endsWaiting.push(end);
    this.seams.unsent.slots++;
    return this.count(LENGTH_BYTES + length);
  }

  /** The rest of what another member began: its slots are not here. */
  goOn(rest: Uint8Array): OutputResult {
    if (!this.seams.claim.acquire()) return 'stolen';
    this.start([], rest);
    const result = this.count(rest.length);
    return result === 'ok' ? this.flush() : result;
  }

  /** Writes what waits, as far as the socket takes it; the rest when it takes bytes again. */
  flush(): OutputResult {
    const { claim, interest } = this.seams;
    for (;;) {
      const { underWay } = this;
      if (underWay !== null) {
        const count = this.write(underWay);
        if (count < 0) return 'broken';
        if (underWay.sent < underWay.bytes.length) {
          interest.setOutput(true);
          return 'ok';
        }
        this.done(underWay);
      }
      if (this.slotsWaiting.length === 0) break;
      // Until it is begun it is one of those that wait.
      if (!claim.acquire()) return 'stolen';
      this.startWaiting();
    }
    interest.setOutput(false);
    claim.release();
    return 'ok';
  }

  /** The connection is gone. */
  end(): void {
    this.seams.unsent.slots -= this.slotCount;
    if (this.underWay !== null && this.underWay.row !== NONE) this.seams.records.returnRow(this.underWay.row);
    this.underWay = null;
    this.slotsWaiting = [];
    this.endsWaiting = [];
    this.waitingBytes = 0;
    this.uncount(this.unsentBytes);
  }

  /** As many of those that wait as fit a row of the shared region, but one by one where a peer could not tell them apart. */
  private startWaiting(): void {
    let count = 1;
    if (this.seams.canJoin) while (count < this.endsWaiting.length && this.endsWaiting[count] <= ROW_BYTES) count++;
    const bytes = this.endsWaiting[count - 1];
    const slots = this.slotsWaiting.splice(0, count);
    this.start(slots, this.waiting.subarray(0, bytes));
    this.endsWaiting = this.endsWaiting.slice(count).map((end) => end - bytes);
    this.waiting.copyWithin(0, bytes, this.waitingBytes);
    this.waitingBytes -= bytes;
    if (this.waitingBytes === 0 && this.waiting.length > KEPT_BUFFER_BYTES) this.waiting = new Uint8Array(FIRST_BUFFER_BYTES);
  }

  /** Under the claim; nothing else is under way. */
  private start(slots: readonly number[], content: Uint8Array): void {
    const { records, claim, onStart } = this.seams;
    const row = records.takeRow();
    const bytes = row === null ? content.slice() : row.bytes.subarray(0, content.length);
    if (row !== null) bytes.set(content);
    for (const slot of slots) onStart(slot, this.written);
    this.underWay = { slots, bytes, row: row?.row ?? NONE, sent: 0 };
    records.startAnswer(claim.record, { bytes: bytes.length, start: this.written, slot: slots.at(0) ?? NONE, row: this.underWay.row });
  }

  /** Bytes that the kernel took, negative when the connection is broken. */
  private write(underWay: UnderWay): number {
    const { bytes, sent } = underWay;
    const count = sendFrom(this.fd, bytes, sent, bytes.length - sent);
    if (count === -EAGAIN || count === INTERRUPTED) return 0;
    if (count < 0) return count;
    underWay.sent += count;
    this.written = (this.written + count) | 0;
    this.uncount(count);
    return count;
  }

  /** The slots first: a record with nothing under way says that its slots' answers are still to be written. */
  private done(underWay: UnderWay): void {
    const { records, claim, onDone } = this.seams;
    this.underWay = null;
    this.seams.unsent.slots -= underWay.slots.length;
    for (const slot of underWay.slots) onDone(slot);
    records.endAnswer(claim.record);
    if (underWay.row !== NONE) records.returnRow(underWay.row);
  }

  private count(bytes: number): OutputResult {
    this.unsentBytes += bytes;
    this.seams.unsent.bytes += bytes;
    return this.unsentBytes > UNSENT_MAX ? 'broken' : 'ok';
  }

  private uncount(bytes: number): void {
    this.unsentBytes -= bytes;
    this.seams.unsent.bytes -= bytes;
  }
}
