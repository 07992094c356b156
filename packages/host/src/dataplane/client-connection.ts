/** One TCP connection from a client: frames in, slots to the query path, answers out in the order they come. */
import {
  type MonoMs, parseAddress, type QueryPath, setReceivedAtMs, SLOT, SLOT_FLAG, type SocketAddress, slotPayload, slotWord,
} from '@tandem/core';
import { connectionInterface, localAddress, ReadyEvent } from 'node-reuseport';
import { Stream } from './stream.js';
import type { TcpSeams } from './tcp-clients.js';
import type { Watcher } from './tokens.js';

/** Queries of one connection under way at once; more wait in its socket. */
const PIPELINE_MAX = 100;
/** Bytes that a client may leave unread before its next queries wait. */
const UNREAD_MAX = 64 * 1024;

export interface ConnectionOptions {
  readonly fd: number;
  readonly listener: number;
  readonly client: SocketAddress;
  /** The connection's query took this slot. */
  readonly onSlot: (slot: number) => void;
  /** No slot was free: call `resume` when one may be. */
  readonly onSlotsShort: () => void;
  /** A query waits for which there is room now, or the last one of all is answered: call `resume` between events. */
  readonly onRoom: () => void;
  /** The connection is gone; these slots' queries are still under way. */
  readonly onClosed: (slots: Iterable<number>) => void;
}

export class ClientConnection implements Watcher {
  /** When a whole query or answer last went by. */
  progressAtMs: MonoMs;
  private readonly seams: TcpSeams;
  private readonly path: QueryPath;
  private readonly options: ConnectionOptions;
  private readonly stream: Stream;
  private readonly clientAddress: Uint8Array;
  private readonly serverAddress: Uint8Array;
  private readonly serverPort: number;
  private readonly interfaceIndex: number;
  private readonly slots = new Set<number>();
  private ended = false;
  private heldBack = false;
  private finishing = false;
  private closed = false;

  constructor(seams: TcpSeams, path: QueryPath, options: ConnectionOptions) {
    this.seams = seams;
    this.path = path;
    this.options = options;
    this.progressAtMs = seams.nowMs();
    const server = localAddress(options.fd);
    this.clientAddress = parseAddress(options.client.address)!;
    this.serverAddress = parseAddress(server.address)!;
    this.serverPort = server.port;
    this.interfaceIndex = connectionInterface(options.fd);
    const token = seams.tokens.add(this);
    this.stream = new Stream(seams, options.fd, token, seams.reactor.journal.layout.payloadCapacity, false);
  }

  /** No query under way. */
  get isIdle(): boolean {
    return this.slots.size === 0;
  }

  /** Nothing is owed to the client. */
  get isSettled(): boolean {
    return this.slots.size === 0 && this.stream.pendingBytes === 0;
  }

  /** Takes no more queries; what is under way is answered. */
  finish(): void {
    this.finishing = true;
    this.stream.setInput(false);
  }

  onReady(events: number): void {
    // After a reset nobody is there to be answered.
    if ((events & (ReadyEvent.ERROR | ReadyEvent.HANG_UP)) !== 0) {
      this.close();
      return;
    }
    if ((events & ReadyEvent.OUT) !== 0 && this.stream.flush() === 'broken') {
      this.close();
      return;
    }
    if ((events & ReadyEvent.IN) !== 0) {
      const result = this.stream.receive();
      if (result === 'broken') {
        this.close();
        return;
      }
      if (result === 'end') this.ended = true;
    }
    this.take();
  }

  /** There may be room for more. Not to be called by what the query path calls: it gives queries to the path. */
  resume(): void {
    this.take();
  }

  /** Called by the query path, which is then in the middle of something: takes no query. */
  answer(slot: number, bytes: Uint8Array, offset: number, length: number): void {
    this.slots.delete(slot);
    this.progressAtMs = this.seams.nowMs();
    if (this.stream.send(bytes, offset, length) === 'broken') this.close();
    else if (this.heldBack || this.ended) this.options.onRoom();
  }

  /** The slot's query gets no answer: nothing that speaks DNS deserves the connection (RFC 7766 §6.2.4). */
  forget(slot: number): void {
    this.slots.delete(slot);
    this.close();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.stream.close();
    this.seams.tokens.remove(this.stream.token);
    this.options.onClosed(this.slots);
  }

  /** Gives whole queries to the path, as far as the bounds allow; the rest stays in the buffer and the socket. */
  private take(): void {
    if (this.closed || this.finishing) return;
    const full = this.takeFrames();
    if (this.isClosed()) return;
    this.heldBack = full;
    if (this.ended && !full && this.slots.size === 0 && this.stream.pendingBytes === 0) {
      this.close();
      return;
    }
    this.stream.setInput(!full && !this.ended);
  }

  /** `closed`, which whatever was called since the last look may have changed. */
  private isClosed(): boolean {
    return this.closed;
  }

  /** True when a bound left a whole query waiting. */
  private takeFrames(): boolean {
    const { reactor } = this.seams;
    for (let frame = this.stream.reader.peek(); frame !== null && !this.isClosed(); frame = this.stream.reader.peek()) {
      if (this.slots.size >= PIPELINE_MAX || this.stream.pendingBytes > UNREAD_MAX) return true;
      const slot = reactor.allocateSlot();
      if (slot < 0) {
        this.options.onSlotsShort();
        return true;
      }
      this.fill(slot, frame.offset, frame.length, frame.truncated);
      this.stream.reader.consume(frame);
      this.progressAtMs = this.seams.nowMs();
      this.slots.add(slot);
      this.options.onSlot(slot);
      this.path.onQuery(slot);
    }
    return false;
  }

  private fill(slot: number, offset: number, length: number, truncated: boolean): void {
    const { memory } = this.seams;
    const { words, bytes } = memory;
    const word = slotWord(memory, slot);
    words[word + SLOT.length] = length;
    words[word + SLOT.flags] = SLOT_FLAG.tcp | (truncated ? SLOT_FLAG.truncated : 0);
    words[word + SLOT.listener] = this.options.listener;
    words[word + SLOT.clientFamily] = this.options.client.family;
    words[word + SLOT.clientPort] = this.options.client.port;
    words[word + SLOT.serverPort] = this.serverPort;
    words[word + SLOT.interface] = this.interfaceIndex;
    bytes.set(this.clientAddress, (word + SLOT.clientAddress) * 4);
    bytes.set(this.serverAddress, (word + SLOT.serverAddress) * 4);
    bytes.set(this.stream.reader.bytes.subarray(offset, offset + length), slotPayload(memory, slot));
    setReceivedAtMs(memory, slot, this.seams.nowMs());
  }
}
