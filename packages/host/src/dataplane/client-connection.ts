/**
 * One TCP connection from a client: messages in, slots to the query path, answers out in the order they come.
 *
 * Invariant: it touches the connection only under its claim; when a peer has taken that, it lets go of everything and closes
 * nothing that the client would see.
 */
import {
  assert, type MonoMs, parseAddress, setReceivedAtMs, SLOT, SLOT_FLAG, type SocketAddress, slotPayload, slotWord,
} from '@tandem/core';
import { closeFd, connectionInterface, localAddress, ReadyEvent, shutdownFd } from 'node-reuseport';
import { Claim } from './claim.js';
import { ClientInput, type Frame, type InputStart } from './client-input.js';
import { ClientOutput, type OutputResult } from './client-output.js';
import { answerMark, type OwnRecord } from './connection-records.js';
import { Interest } from './interest.js';
import type { TcpSeams } from './tcp-clients.js';
import type { Watcher } from './tokens.js';

/** Queries of one connection that are under way, or whose answers it has not read; more wait in its socket. */
const PIPELINE_MAX = 100;
/** Bytes that a client may leave unread before its next queries wait. */
const UNREAD_MAX = 64 * 1024;
/** A peer that knows an older one takes each answer for a write of its own. */
const LAYOUT_WITH_JOINED_ANSWERS = 3;

/** How far another member was with a connection. A new one is at 0, with nothing to go on with. */
export interface ConnectionStart extends InputStart {
  /** Bytes that were written to the client. */
  readonly written: number;
  /** Of an answer that was begun. */
  readonly rest: Uint8Array | null;
}

/** Closed for the client, too; or it lives on at the peer, which took it (lost) or is about to (left). */
export type ConnectionEnd = 'closed' | 'lost' | 'left';

export const NEW_CONNECTION: ConnectionStart = { consumed: 0, skip: 0, written: 0, rest: null };

export interface ConnectionOptions {
  readonly fd: number;
  readonly listener: number;
  readonly client: SocketAddress;
  readonly record: OwnRecord;
  readonly start: ConnectionStart;
  /** The connection's query took this slot. */
  readonly onSlot: (slot: number) => void;
  /** The connection ended before the path got the query. */
  readonly onUnasked: (slot: number) => void;
  /** The peer, which has the connection, finds in the slot that this query is its own. */
  readonly onPassed: (slot: number) => void;
  /** `flush` has something to write: call it at the end of the turn. */
  readonly onFilled: () => void;
  /** The slot's answer is written: it is free. */
  readonly onAnswered: (slot: number) => void;
  /** No slot was free: call `resume` when one may be. */
  readonly onSlotsShort: () => void;
  /** A query waits for which there is room now, or the last one of all is answered: call `resume` between events. */
  readonly onRoom: () => void;
  /**
   * The connection is gone: `asked` are slots whose queries are still under way, `unwritten` those whose answers were not
   * written.
   */
  readonly onClosed: (asked: Iterable<number>, unwritten: Iterable<number>, end: ConnectionEnd) => void;
}

export class ClientConnection implements Watcher {
  /** It is among those that have something to write. */
  isFilled = false;
  /** When a whole query or answer last went by. */
  progressAtMs: MonoMs;
  readonly fd: number;
  readonly record: OwnRecord;
  readonly listener: number;
  private readonly seams: TcpSeams;
  private readonly options: ConnectionOptions;
  private readonly token: number;
  private readonly interest: Interest;
  private readonly claim: Claim;
  private readonly input: ClientInput;
  private readonly output: ClientOutput;
  private readonly addressBytes: Uint8Array;
  private readonly serverAddress: Uint8Array;
  private readonly serverPort: number;
  private readonly interfaceIndex: number;
  /** Queries that the path has not answered yet. */
  private readonly asked = new Set<number>();
  private ended = false;
  private heldBack = false;
  private finishing = false;
  private closed = false;
  private shared: boolean;

  /** `isShared`: the peer holds it or there is none; else nothing is read until `nowShared`. */
  constructor(seams: TcpSeams, options: ConnectionOptions, isShared: boolean) {
    const { fd, record, start } = options;
    this.seams = seams;
    this.options = options;
    this.fd = fd;
    this.record = record;
    this.listener = options.listener;
    this.shared = isShared;
    this.progressAtMs = seams.nowMs();
    const server = localAddress(fd);
    this.addressBytes = parseAddress(options.client.address)!;
    this.serverAddress = parseAddress(server.address)!;
    this.serverPort = server.port;
    this.interfaceIndex = connectionInterface(fd);
    this.token = seams.tokens.add(this);
    this.interest = new Interest(seams.reactor, fd, this.token, isShared ? ReadyEvent.IN : 0);
    const { records, unsent } = seams;
    this.claim = new Claim(records, record);
    this.input = new ClientInput(fd, seams.reactor.journal.layout.payloadCapacity, { records, claim: this.claim }, start);
    this.output = new ClientOutput(fd, {
      records, claim: this.claim, interest: this.interest, unsent, onDone: options.onAnswered, onStart: (slot, at) => this.mark(slot, at),
      canJoin: seams.reactor.journal.layout.version >= LAYOUT_WITH_JOINED_ANSWERS,
    }, start.written);
    if (start.rest !== null) this.wrote(this.output.goOn(start.rest));
  }

  /** No query under way, and no answer that waits for its reader. */
  get isIdle(): boolean {
    return this.asked.size === 0 && this.output.pendingBytes === 0;
  }

  /** Closed, or another's: nobody is answered here any more. */
  get isGone(): boolean {
    return this.closed;
  }

  /** The peer has taken it. */
  get isLost(): boolean {
    return this.claim.isLost;
  }

  /** The client does not read what it is owed. */
  get isStuck(): boolean {
    return this.output.pendingBytes > 0;
  }

  /** Without the port: who has several connections is one client. */
  get clientAddress(): string {
    return this.options.client.address;
  }

  get unreadBytes(): number {
    return this.output.pendingBytes;
  }

  /** Slots of answers that are not written whole. */
  get unreadSlots(): number {
    return this.output.slotCount;
  }

  /** The peer holds the connection from now on, or there is none. */
  nowShared(): void {
    if (this.shared) return;
    this.shared = true;
    this.take(false);
  }

  /** Takes no more queries; what is under way is answered. */
  finish(): void {
    this.finishing = true;
    this.interest.setInput(false);
  }

  onReady(events: number): void {
    // After a reset nobody is there to be answered.
    if ((events & (ReadyEvent.ERROR | ReadyEvent.HANG_UP)) !== 0) {
      this.close();
      return;
    }
    if ((events & ReadyEvent.OUT) !== 0) {
      this.progressAtMs = this.seams.nowMs();
      this.wrote(this.output.flush());
    }
    this.take((events & ReadyEvent.IN) !== 0);
  }

  /** There may be room for more. Not to be called by what the query path calls: it gives queries to the path. */
  resume(): void {
    this.take(false);
  }

  /** A query that was taken from the connection's former owner is under way here. */
  adopt(slot: number): void {
    assert(!this.closed, 'a connection that is gone takes no query');
    this.asked.add(slot);
    this.name(slot);
    this.options.onSlot(slot);
  }

  /** A query that was taken from the connection's former owner, which has the connection again by now: it is left where that one looks for it. */
  pass(slot: number): void {
    assert(this.isLost, 'only who has the connection finds the query');
    this.name(slot);
    this.options.onPassed(slot);
  }

  /** Called by the query path, which is then in the middle of something: takes no query. */
  answer(slot: number, bytes: Uint8Array, offset: number, length: number): void {
    this.asked.delete(slot);
    this.progressAtMs = this.seams.nowMs();
    this.wrote(this.output.put(slot, bytes, offset, length));
    if (this.closed) return;
    // More than one write takes: the client may be reading, and what waits here is bounded.
    if (this.output.pendingBytes > UNREAD_MAX && !this.output.isUnderWay) this.wrote(this.output.flush());
    if (this.isClosed()) return;
    this.options.onFilled();
    if (this.heldBack || this.ended) this.options.onRoom();
  }

  /** Writes the answers of a turn, all at once. */
  flush(): void {
    if (this.closed || this.output.isUnderWay) return;
    this.wrote(this.output.flush());
    if (!this.closed && (this.heldBack || this.ended)) this.options.onRoom();
  }

  /** The slot's query gets no answer: nothing that speaks DNS deserves the connection (RFC 7766 §6.2.4). */
  forget(slot: number): void {
    this.asked.delete(slot);
    this.close();
  }

  close(): void {
    if (this.closed) return;
    // Not without the claim: a peer may have taken it, and the client would see the end.
    const isLost = !this.claim.acquire();
    if (!isLost) shutdownFd(this.fd, 'both');
    this.end(isLost ? 'lost' : 'closed');
  }

  /** Leaves the connection to the peer that holds it. */
  leave(): void {
    if (!this.closed) this.end('left');
  }

  private end(end: ConnectionEnd): void {
    this.closed = true;
    const unwritten = this.output.slots();
    this.output.end();
    this.interest.end();
    this.seams.tokens.remove(this.token);
    closeFd(this.fd);
    this.options.onClosed(this.asked, unwritten, end);
  }

  private wrote(result: OutputResult): void {
    if (result !== 'ok' && !this.closed) this.close();
  }

  /** Gives whole queries to the path, as far as the bounds allow; the rest stays in the socket. */
  private take(isReady: boolean): void {
    if (this.closed || this.finishing || !this.shared) return;
    if (!this.claim.acquire()) {
      this.close();
      return;
    }
    const slots = this.ended ? [] : this.takeFrames(isReady);
    if (slots === null) {
      this.close();
      return;
    }
    if (!this.output.isUnderWay) this.claim.release();
    for (const slot of slots) {
      // An earlier one's answer may have ended the connection.
      if (this.isClosed()) this.options.onUnasked(slot);
      else this.seams.onQuery(slot);
    }
    if (this.isClosed()) return;
    if (this.ended && !this.heldBack && this.asked.size === 0 && this.output.pendingBytes === 0) {
      this.close();
      return;
    }
    this.interest.setInput(!this.heldBack && !this.ended);
  }

  /** `closed`, which whatever was called since the last look may have changed. */
  private isClosed(): boolean {
    return this.closed;
  }

  /** Slots with the queries that were whole; null when the connection is broken. */
  private takeFrames(isReady: boolean): readonly number[] | null {
    const slots: number[] = [];
    this.heldBack = false;
    const look = this.input.look(isReady);
    if (look === 'broken') return null;
    if (look === 'end') this.ended = true;
    if (look !== 'some') return slots;
    for (let frame = this.input.next(); frame !== null; frame = this.input.next()) {
      const slot = this.slotForOneMore();
      if (slot < 0) {
        this.heldBack = true;
        break;
      }
      this.fill(slot, frame);
      this.input.taken(frame);
      this.asked.add(slot);
      this.options.onSlot(slot);
      slots.push(slot);
    }
    if (slots.length > 0) this.progressAtMs = this.seams.nowMs();
    if (this.input.consume()) return slots;
    for (const slot of slots) {
      this.asked.delete(slot);
      this.options.onAnswered(slot);
    }
    return null;
  }

  /** Negative when a bound leaves the next query waiting. */
  private slotForOneMore(): number {
    if (this.asked.size + this.output.slotCount >= PIPELINE_MAX || this.output.pendingBytes > UNREAD_MAX) return -1;
    const slot = this.seams.reactor.allocateSlot();
    if (slot < 0) this.options.onSlotsShort();
    return slot;
  }

  private fill(slot: number, frame: Frame): void {
    const { memory } = this.seams;
    const { words, bytes } = memory;
    const word = slotWord(memory, slot);
    words[word + SLOT.flags] = SLOT_FLAG.tcp | (frame.truncated ? SLOT_FLAG.truncated : 0);
    words[word + SLOT.length] = frame.bytes.length;
    words[word + SLOT.clientFamily] = this.options.client.family;
    words[word + SLOT.clientPort] = this.options.client.port;
    words[word + SLOT.serverPort] = this.serverPort;
    words[word + SLOT.interface] = this.interfaceIndex;
    words[word + SLOT.streamEnd] = frame.streamEnd;
    bytes.set(this.addressBytes, (word + SLOT.clientAddress) * 4);
    bytes.set(this.serverAddress, (word + SLOT.serverAddress) * 4);
    bytes.set(frame.bytes, slotPayload(memory, slot));
    setReceivedAtMs(memory, slot, this.seams.nowMs());
    // Last: a query without connection is nobody's, and is still in the socket.
    this.name(slot);
  }

  /** Says in the slot whose query it is. */
  private name(slot: number): void {
    const { memory } = this.seams;
    const word = slotWord(memory, slot);
    memory.words[word + SLOT.listener] = this.options.listener;
    memory.words[word + SLOT.connection] = this.record.index + 1;
    memory.words[word + SLOT.connectionGeneration] = this.record.generation;
    memory.words[word + SLOT.answerStart] = 0;
  }

  /** Says in the slot that its answer is in what is about to be written. */
  private mark(slot: number, start: number): void {
    const { memory } = this.seams;
    memory.words[slotWord(memory, slot) + SLOT.answerStart] = answerMark(start);
  }
}
