/**
 * An upstream's TCP connection: non-blocking reads into a frame buffer, writes that keep what the kernel did not take yet,
 * in bounds. (A client's is client-input.ts and client-output.ts: another process must be able to go on with it.)
 */
import { closeFd, EAGAIN, receiveInto, sendFrom, shutdownFd, ReadyEvent, type Reactor } from 'node-reuseport';
import { FrameReader } from './frames.js';
import { Interest } from './interest.js';

const WOULD_BLOCK = -EAGAIN;
const INTERRUPTED = -4;

const LENGTH_BYTES = 2;
const MESSAGE_MAX = 65_535;
/** Bytes that may wait for a reader that does not read, on one connection; beyond that it is closed. */
export const UNSENT_MAX = 4 * (LENGTH_BYTES + MESSAGE_MAX);
/** The same on all connections of a budget. */
export const UNSENT_IN_ALL_MAX = 16 * 1024 * 1024;

/** What a read or write came to. */
export type StreamResult = 'ok' | 'end' | 'broken';

/** What waits for readers on all clients' connections of one data plane, or on all to its upstreams. */
export class UnsentBudget {
  bytes = 0;
  /** Of clients' answers that are not written whole. */
  slots = 0;
}

export interface StreamSeams {
  readonly reactor: Reactor;
  readonly unsent: UnsentBudget;
}

const FIRST_BUFFER_BYTES = 4096;

export class Stream {
  readonly fd: number;
  readonly token: number;
  readonly reader: FrameReader;
  private readonly interest: Interest;
  private readonly budget: UnsentBudget;
  /** What is to be sent is in [from, to). */
  private unsent = new Uint8Array(FIRST_BUFFER_BYTES);
  private from = 0;
  private to = 0;
  private wantsOutput: boolean;

  /** `connecting`: wait for the connection to be made before anything is sent. */
  constructor(seams: StreamSeams, fd: number, token: number, capacity: number, connecting: boolean) {
    const { reactor } = seams;
    this.budget = seams.unsent;
    this.fd = fd;
    this.token = token;
    this.reader = new FrameReader(capacity);
    this.wantsOutput = connecting;
    this.interest = new Interest(reactor, fd, token, ReadyEvent.IN | (connecting ? ReadyEvent.OUT : 0));
  }

  /** Reads once; 'end' when the other side has finished sending. */
  receive(): StreamResult {
    const offset = this.reader.writeOffset();
    const room = this.reader.bytes.length - offset;
    if (room === 0) return 'ok';
    const count = receiveInto(this.fd, this.reader.bytes, offset, room, false);
    if (count > 0) this.reader.wrote(count);
    if (count === WOULD_BLOCK || count === INTERRUPTED || count > 0) return 'ok';
    return count === 0 ? 'end' : 'broken';
  }

  /** Puts one message, with its length in front, behind those that `flush` will send together; 'broken' when too much waits already. */
  put(bytes: Uint8Array, offset: number, length: number): StreamResult {
    const total = LENGTH_BYTES + length;
    if (this.to - this.from + total > UNSENT_MAX || this.budget.bytes + total > UNSENT_IN_ALL_MAX) return 'broken';
    this.makeRoom(total);
    const { unsent, to } = this;
    unsent[to] = length >>> 8;
    unsent[to + 1] = length & 0xff;
    for (let i = 0; i < length; i++) unsent[to + LENGTH_BYTES + i] = bytes[offset + i];
    this.to += total;
    this.budget.bytes += total;
    return 'ok';
  }

  /** Sends what waits, as far as the socket takes it; the rest goes when it is writable. */
  flush(): StreamResult {
    if (this.wantsOutput) return 'ok';
    return this.write();
  }

  /** The socket takes bytes again (or is connected now). */
  writable(): StreamResult {
    this.setOutput(false);
    return this.write();
  }

  private write(): StreamResult {
    if (this.from === this.to) return 'ok';
    const count = sendFrom(this.fd, this.unsent, this.from, this.to - this.from);
    if (count < 0 && count !== WOULD_BLOCK && count !== INTERRUPTED) return 'broken';
    if (count > 0) {
      this.from += count;
      this.budget.bytes -= count;
    }
    if (this.from < this.to) {
      this.setOutput(true);
      return 'ok';
    }
    this.from = this.to = 0;
    return 'ok';
  }

  private makeRoom(bytes: number): void {
    if (this.to + bytes <= this.unsent.length) return;
    const kept = this.unsent.subarray(this.from, this.to);
    let size = this.unsent.length;
    while (kept.length + bytes > size) size *= 2;
    const unsent = size === this.unsent.length ? this.unsent : new Uint8Array(size);
    if (unsent === this.unsent) unsent.copyWithin(0, this.from, this.to);
    else unsent.set(kept);
    this.unsent = unsent;
    this.to -= this.from;
    this.from = 0;
  }

  /** False: leave what arrives in the socket, so that the sender is held back. */
  setInput(wanted: boolean): void {
    this.interest.setInput(wanted);
  }

  close(): void {
    this.budget.bytes -= this.to - this.from;
    this.interest.end();
    // A duplicate of the descriptor elsewhere would keep the connection open.
    shutdownFd(this.fd, 'both');
    closeFd(this.fd);
  }

  private setOutput(wanted: boolean): void {
    this.wantsOutput = wanted;
    this.interest.setOutput(wanted);
  }
}
