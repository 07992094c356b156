/**
 * What a client's connection brings: DNS messages with two bytes of length in front (RFC 1035 §4.2.2).
 *
 * Messages are looked at while they lie in the socket, and consumed once they are in slots of the journal: whoever takes the
 * connection over finds each query in exactly one of the two (docs/decisions/tcp-takeover.md).
 *
 * Invariant: nothing is consumed that is not in a slot, but the rest of a message that is longer than a slot.
 */
import { EAGAIN, discard, receiveInto, setReceiveLowWater, tcpProgress } from 'node-reuseport';
import type { Claim } from './claim.js';
import type { ConnectionRecords } from './connection-records.js';

const LENGTH_BYTES = 2;
const INTERRUPTED = -4;
/** All that is taken of one connection at a time; used within one call only. */
const peeked = new Uint8Array(64 * 1024);

export interface Frame {
  /** The message, or as much of it as a slot takes. Valid until the next look at any connection. */
  readonly bytes: Uint8Array;
  readonly truncated: boolean;
  /** Where in the stream these bytes end, modulo 2^32. */
  readonly streamEnd: number;
}

export type Look = 'some' | 'none' | 'end' | 'broken';

export interface InputStart {
  /** Bytes of the stream that were consumed before. */
  readonly consumed: number;
  /** Bytes to throw away before the next message. */
  readonly skip: number;
}

export class ClientInput {
  private readonly fd: number;
  private readonly capacity: number;
  private readonly records: ConnectionRecords;
  private readonly claim: Claim;
  private consumed: number;
  private skip: number;
  private lowWater = 1;
  /** In `peeked`: bytes there, bytes that became frames, and bytes after them that belong to the last frame. */
  private count = 0;
  private position = 0;
  private rest = 0;

  /** `capacity`: bytes of a message that a slot takes. */
  constructor(fd: number, capacity: number, seams: { readonly records: ConnectionRecords; readonly claim: Claim }, start: InputStart) {
    this.fd = fd;
    this.capacity = capacity;
    this.records = seams.records;
    this.claim = seams.claim;
    this.consumed = start.consumed;
    this.skip = start.skip;
    // For whoever takes it over from here; nothing of it is consumed yet.
    if (start.skip > 0) this.records.skip(this.claim.record, start.consumed, (start.consumed + start.skip) | 0);
  }

  /** Looks at what waits. The claim is held. `isReady`: the socket was just said to be readable. */
  look(isReady: boolean): Look {
    this.count = 0;
    this.position = 0;
    this.rest = 0;
    if (this.skip > 0 && !this.skipOn()) return 'none';
    const count = receiveInto(this.fd, peeked, 0, peeked.length, true);
    if (count === -EAGAIN || count === INTERRUPTED) return 'none';
    if (count <= 0) return count === 0 ? 'end' : 'broken';
    this.count = count;
    if (this.needed() <= count) return 'some';
    // A piece of a message, and no more will come.
    if (isReady && count < this.lowWater && tcpProgress(this.fd).isHalfClosed) return 'end';
    this.setLowWater(this.needed());
    return 'none';
  }

  /** The next message, or null where none is whole. */
  next(): Frame | null {
    if (this.rest > 0 || this.needed() > this.count) return null;
    const length = this.lengthAt(this.position);
    const kept = Math.min(length, this.capacity);
    const start = this.position + LENGTH_BYTES;
    return { bytes: peeked.subarray(start, start + kept), truncated: kept < length, streamEnd: (this.consumed + start + kept) | 0 };
  }

  /** `next` is in a slot. */
  taken(frame: Frame): void {
    const length = this.lengthAt(this.position);
    this.position += LENGTH_BYTES + frame.bytes.length;
    this.rest = length - frame.bytes.length;
  }

  /** Removes what was taken from the socket; false when the connection is broken. */
  consume(): boolean {
    const { position, rest } = this;
    if (position === 0) return true;
    if (rest > 0) this.records.skip(this.claim.record, (this.consumed + position) | 0, (this.consumed + position + rest) | 0);
    if (discard(this.fd, position) !== position) return false;
    this.consumed = (this.consumed + position) | 0;
    this.skip = rest;
    this.count = 0;
    this.position = 0;
    this.rest = 0;
    this.setLowWater(1);
    return true;
  }

  /** Bytes of `peeked` that there must be for the next message. */
  private needed(): number {
    if (this.count - this.position < LENGTH_BYTES) return this.position + LENGTH_BYTES;
    return this.position + LENGTH_BYTES + Math.min(this.lengthAt(this.position), this.capacity);
  }

  private lengthAt(position: number): number {
    return (peeked[position] << 8) | peeked[position + 1];
  }

  /** False when more is to be thrown away than has come. */
  private skipOn(): boolean {
    const count = discard(this.fd, this.skip);
    if (count > 0) {
      this.skip -= count;
      this.consumed = (this.consumed + count) | 0;
    }
    // The end and faults are for the look that follows.
    return this.skip === 0 || (count <= 0 && count !== -EAGAIN && count !== INTERRUPTED);
  }

  /** Without it a piece of a message would make the socket readable again and again. */
  private setLowWater(bytes: number): void {
    if (bytes === this.lowWater) return;
    this.lowWater = bytes;
    setReceiveLowWater(this.fd, bytes);
  }
}
