/**
 * Answers to one client's connection, in the order they come. An answer lies in the shared region before its first byte is
 * written, and its slot is kept until its last byte is: whoever takes the connection over goes on in the middle of an answer,
 * and asks again for those that were not begun.
 *
 * Invariant: bounded by UNSENT_MAX and the budget of all connections; beyond that the connection is broken.
 */
import { assert } from '@tandem/core';
import { EAGAIN, sendFrom } from 'node-reuseport';
import type { Claim } from './claim.js';
import { type ConnectionRecords, NONE } from './connection-records.js';
import type { Interest } from './interest.js';
import { UNSENT_IN_ALL_MAX, UNSENT_MAX, type UnsentBudget } from './stream.js';

const LENGTH_BYTES = 2;
const INTERRUPTED = -4;

export type OutputResult = 'ok' | 'broken' | 'stolen';

export interface OutputSeams {
  readonly records: ConnectionRecords;
  readonly claim: Claim;
  readonly interest: Interest;
  readonly unsent: UnsentBudget;
  /** The answer to the slot's query is written, or was in part and cannot be finished. */
  readonly onDone: (slot: number) => void;
}

interface Waiting {
  readonly slot: number;
  /** With its length in front. */
  readonly frame: Uint8Array;
}

interface UnderWay extends Waiting {
  readonly row: number;
  sent: number;
}

export class ClientOutput {
  private readonly fd: number;
  private readonly seams: OutputSeams;
  private readonly waiting: Waiting[] = [];
  private underWay: UnderWay | null = null;
  private written: number;
  private unsentBytes = 0;

  /** `written`: bytes that were written to the stream before. */
  constructor(fd: number, seams: OutputSeams, written: number) {
    this.fd = fd;
    this.seams = seams;
    this.written = written;
  }

  /** Bytes accepted by `send` that the kernel has not taken. */
  get pendingBytes(): number {
    return this.unsentBytes;
  }

  /** An answer is written in part. */
  get isUnderWay(): boolean {
    return this.underWay !== null;
  }

  /** Slots whose answers are not written whole. */
  *slots(): Generator<number> {
    if (this.underWay !== null && this.underWay.slot !== NONE) yield this.underWay.slot;
    for (const { slot } of this.waiting) yield slot;
  }

  send(slot: number, message: Uint8Array): OutputResult {
    if (this.underWay === null) return this.start(slot, LENGTH_BYTES + message.length, (frame) => putMessage(frame, message));
    const frame = new Uint8Array(LENGTH_BYTES + message.length);
    putMessage(frame, message);
    this.waiting.push({ slot, frame });
    return this.count(frame.length);
  }

  /** The rest of an answer that another member began: it has no slot here. */
  goOn(rest: Uint8Array): OutputResult {
    return this.start(NONE, rest.length, (frame) => frame.set(rest));
  }

  /** The socket takes bytes again. */
  flush(): OutputResult {
    for (;;) {
      const { underWay } = this;
      if (underWay !== null) {
        const count = this.write(underWay);
        if (count < 0) return 'broken';
        this.uncount(count);
        if (underWay.sent < underWay.frame.length) return 'ok';
        this.done(underWay);
      }
      const next = this.waiting.at(0);
      if (next === undefined) break;
      // Until it is begun it is one of those that wait.
      if (!this.seams.claim.acquire()) return 'stolen';
      this.waiting.shift();
      this.uncount(next.frame.length);
      const result = this.start(next.slot, next.frame.length, (frame) => frame.set(next.frame));
      if (result !== 'ok') return result;
    }
    this.seams.interest.setOutput(false);
    this.seams.claim.release();
    return 'ok';
  }

  /** The connection is gone. */
  end(): void {
    if (this.underWay !== null && this.underWay.row !== NONE) this.seams.records.returnRow(this.underWay.row);
    this.underWay = null;
    this.waiting.length = 0;
    this.uncount(this.unsentBytes);
  }

  private start(slot: number, bytes: number, fill: (frame: Uint8Array) => void): OutputResult {
    const { records, claim, interest } = this.seams;
    assert(this.underWay === null, 'one answer at a time');
    if (!claim.acquire()) return 'stolen';
    const row = records.takeRow();
    const frame = row === null ? new Uint8Array(bytes) : row.bytes.subarray(0, bytes);
    fill(frame);
    const underWay: UnderWay = { slot, frame, row: row?.row ?? NONE, sent: 0 };
    records.startAnswer(claim.record, { bytes, start: this.written, slot, row: underWay.row });
    this.underWay = underWay;
    if (this.write(underWay) < 0) return 'broken';
    if (underWay.sent === bytes) {
      this.done(underWay);
      claim.release();
      return 'ok';
    }
    interest.setOutput(true);
    return this.count(bytes - underWay.sent);
  }

  /** Bytes that the kernel took, negative when the connection is broken. */
  private write(underWay: UnderWay): number {
    const { frame, sent } = underWay;
    const count = sendFrom(this.fd, frame, sent, frame.length - sent);
    if (count === -EAGAIN || count === INTERRUPTED) return 0;
    if (count < 0) return count;
    underWay.sent += count;
    this.written = (this.written + count) | 0;
    return count;
  }

  /** The slot first: a record without answer under way says that its slot's answer is still to be written. */
  private done(underWay: UnderWay): void {
    const { records, claim, onDone } = this.seams;
    this.underWay = null;
    if (underWay.slot !== NONE) onDone(underWay.slot);
    records.endAnswer(claim.record);
    if (underWay.row !== NONE) records.returnRow(underWay.row);
  }

  private count(bytes: number): OutputResult {
    this.unsentBytes += bytes;
    this.seams.unsent.bytes += bytes;
    return this.unsentBytes > UNSENT_MAX || this.seams.unsent.bytes > UNSENT_IN_ALL_MAX ? 'broken' : 'ok';
  }

  private uncount(bytes: number): void {
    this.unsentBytes -= bytes;
    this.seams.unsent.bytes -= bytes;
  }
}

function putMessage(frame: Uint8Array, message: Uint8Array): void {
  frame[0] = message.length >>> 8;
  frame[1] = message.length & 0xff;
  frame.set(message, LENGTH_BYTES);
}
