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
/** Bytes that may wait for a reader that does not read, on one connection and on all; beyond that it is closed. */
export const UNSENT_MAX = 4 * (LENGTH_BYTES + MESSAGE_MAX);
export const UNSENT_IN_ALL_MAX = 16 * 1024 * 1024;

/** What a read or write came to. */
export type StreamResult = 'ok' | 'end' | 'broken';

/** What all connections of one data plane share. */
export class UnsentBudget {
  bytes = 0;
}

export interface StreamSeams {
  readonly reactor: Reactor;
  readonly unsent: UnsentBudget;
}

/** One frame is put together here before it is sent; used within one call only. */
const frameBuffer = new Uint8Array(LENGTH_BYTES + MESSAGE_MAX);

export class Stream {
  readonly fd: number;
  readonly token: number;
  readonly reader: FrameReader;
  private readonly interest: Interest;
  private readonly budget: UnsentBudget;
  private unsent: Uint8Array[] = [];
  private unsentBytes = 0;
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

  /** Bytes accepted by `send` that the kernel has not taken. */
  get pendingBytes(): number {
    return this.unsentBytes;
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

  /** Sends one message with its length in front; 'broken' also when too much waits already. */
  send(bytes: Uint8Array, offset: number, length: number): StreamResult {
    frameBuffer[0] = length >>> 8;
    frameBuffer[1] = length & 0xff;
    frameBuffer.set(bytes.subarray(offset, offset + length), LENGTH_BYTES);
    const total = LENGTH_BYTES + length;
    let sent = 0;
    if (this.unsentBytes === 0 && !this.wantsOutput) {
      const count = sendFrom(this.fd, frameBuffer, 0, total);
      if (count < 0 && count !== WOULD_BLOCK && count !== INTERRUPTED) return 'broken';
      sent = Math.max(count, 0);
    }
    if (sent === total) return 'ok';
    const rest = total - sent;
    if (this.unsentBytes + rest > UNSENT_MAX || this.budget.bytes + rest > UNSENT_IN_ALL_MAX) return 'broken';
    this.unsent.push(frameBuffer.slice(sent, total));
    this.count(rest);
    this.setOutput(true);
    return 'ok';
  }

  /** The socket takes bytes again (or is connected now). */
  flush(): StreamResult {
    while (this.unsent.length > 0) {
      const first = this.unsent[0];
      const count = sendFrom(this.fd, first, 0, first.length);
      if (count === WOULD_BLOCK || count === INTERRUPTED) return 'ok';
      if (count < 0) return 'broken';
      this.count(-count);
      if (count < first.length) this.unsent[0] = first.subarray(count);
      else this.unsent.shift();
    }
    this.setOutput(false);
    return 'ok';
  }

  /** False: leave what arrives in the socket, so that the sender is held back. */
  setInput(wanted: boolean): void {
    this.interest.setInput(wanted);
  }

  close(): void {
    this.count(-this.unsentBytes);
    this.interest.end();
    // A duplicate of the descriptor elsewhere would keep the connection open.
    shutdownFd(this.fd, 'both');
    closeFd(this.fd);
  }

  private count(bytes: number): void {
    this.unsentBytes += bytes;
    this.budget.bytes += bytes;
  }

  private setOutput(wanted: boolean): void {
    this.wantsOutput = wanted;
    this.interest.setOutput(wanted);
  }
}
