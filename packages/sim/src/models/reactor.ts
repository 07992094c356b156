/**
 * The addon's reactor: arms slots, receives into them, sends from them, step by step as reactor-receive.cc and
 * reactor-reply.cc do, so that a kill or a stop can fall between any two steps. Taking from a peer: models/take.ts.
 *
 * Invariant: as the addon, it keeps its own expected word per slot and believes nothing else.
 */
import { assert, SLOT, slotWord } from '@tandem/core';
import type { CodePoints } from './code-points.js';
import type { Datagram } from './datagram.js';
import { BATCH, type Journal, nextGeneration, STATE, stateOf, TRANSMIT_ROWS, type TransmitEntry, UNSET, withState } from './journal.js';
import type { Reader, SharedSocket } from './reuseport-switch.js';

export const ROW = { ask: 0, reply: 1 } as const;

export interface Row {
  kind: number;
  slot: number;
  offset: number;
  length: number;
  port: number;
}

/** What leaves. */
export interface Outlet {
  /** The kernel takes an answer to a client. */
  reply(datagram: Datagram, socket: SharedSocket, offset: number, length: number): void;
  ask(slot: number, offset: number, length: number, port: number): void;
  /** A stop falls into the send of this answer: the peer may send it once more. */
  excuse(datagram: Datagram): void;
}

interface Registered {
  readonly socket: SharedSocket;
  receiving: boolean;
  polled: boolean;
}

export class Reactor implements Reader {
  readonly journal: Journal;
  readonly points: CodePoints;
  readonly listeners: (Registered | null)[] = [];
  /** Rows of the next flush. */
  readonly rows: Row[] = Array.from({ length: TRANSMIT_ROWS }, () => ({ kind: 0, slot: 0, offset: 0, length: 0, port: 0 }));
  readonly received: number[] = [];
  /** Free slots below which nothing more is received. */
  reserve = 0;
  adoptionSlot = UNSET;
  readonly expected: Uint32Array;
  readonly free: number[] = [];
  private readonly outlet: Outlet;
  private readonly onReadable: () => void;
  /** Entries from here to the end of the batch are armed. */
  private first = BATCH;
  /** Of the transmit batch, in the present flush. */
  private entriesUsed = 0;
  private messagesUsed = 0;
  private turn = 0;
  private isPaused = false;

  constructor(journal: Journal, points: CodePoints, outlet: Outlet, onReadable: () => void) {
    this.journal = journal;
    this.points = points;
    this.outlet = outlet;
    this.onReadable = onReadable;
    this.expected = new Uint32Array(journal.slotCount);
    for (let slot = journal.slotCount - 1; slot >= 0; slot--) this.free.push(slot);
  }

  wake(): void {
    this.onReadable();
  }

  addListener(index: number, socket: SharedSocket, receiving: boolean): void {
    this.listeners[index] = { socket, receiving, polled: false };
    this.poll();
  }

  setReceiving(index: number, on: boolean): void {
    const listener = this.listeners[index];
    assert(listener !== null && listener !== undefined, 'the listener is registered');
    listener.receiving = on;
    this.poll();
  }

  removeListener(index: number): void {
    const listener = this.listeners[index];
    if (listener?.polled === true) listener.socket.readers.delete(this);
    this.listeners[index] = null;
  }

  /** There is something to receive, and room for it. */
  get isReadable(): boolean {
    return this.first < BATCH && this.listeners.some((listener) => listener?.receiving === true && listener.socket.queue.length > 0);
  }

  /** Armed entries, for the count of slots. */
  get armed(): number {
    return BATCH - this.first;
  }

  beat(): void {
    this.journal.heartbeat = (this.journal.heartbeat + 1) | 0;
  }

  arm(): void {
    while (this.first > 0 && this.free.length > this.reserve) this.armEntry(--this.first, this.free.pop()!);
    this.isPaused = this.first === BATCH;
    this.poll();
  }

  /** Datagrams into `received`. */
  receive(nowMs: number): void {
    this.received.length = 0;
    const count = this.listeners.length;
    for (let step = 0; step < count; step++) {
      const index = (this.turn + step) % count;
      const listener = this.listeners[index];
      if (listener?.receiving === true && this.first < BATCH) this.receiveFrom(index, listener.socket, nowMs);
    }
    this.turn = count === 0 ? 0 : (this.turn + 1) % count;
  }

  flush(count: number): void {
    this.flushReplies(count);
    for (let i = 0; i < count; i++) if (this.rows[i].kind === ROW.ask) this.ask(this.rows[i]);
  }

  freeSlot(slot: number): void {
    if (this.advance(slot, STATE.free)) this.push(slot);
    else this.releaseStolen(slot, false);
  }

  /** At the end of an orderly exit: nothing is armed any more. */
  close(): void {
    for (let entry = this.first; entry < BATCH; entry++) {
      const { slot } = this.journal.receive[entry];
      if (slot !== UNSET) this.advance(slot, STATE.free);
      this.journal.receive[entry].slot = UNSET;
    }
    this.detach();
  }

  /** The process is gone: the kernel forgets its polls. */
  detach(): void {
    for (const listener of this.listeners) if (listener?.polled === true) listener.socket.readers.delete(this);
    this.listeners.length = 0;
  }

  /** From the expected word to `state`, same generation; false if a peer has taken the slot. */
  advance(slot: number, state: number): boolean {
    const desired = withState(this.expected[slot], state);
    if (!this.journal.swap(slot, this.expected[slot], desired)) return false;
    this.expected[slot] = desired;
    return true;
  }

  push(slot: number): void {
    if (slot === this.adoptionSlot) this.adoptionSlot = UNSET;
    this.free.push(slot);
  }

  private poll(): void {
    for (const listener of this.listeners) {
      if (listener === null || listener === undefined) continue;
      const wanted = listener.receiving && !this.isPaused;
      if (wanted === listener.polled) continue;
      listener.polled = wanted;
      if (!wanted) {
        listener.socket.readers.delete(this);
        continue;
      }
      listener.socket.readers.add(this);
      if (listener.socket.queue.length > 0) this.onReadable();
    }
  }

  private armEntry(entry: number, slot: number): void {
    const { journal } = this;
    journal.receive[entry].length = UNSET;
    journal.receive[entry].slot = slot;
    journal.notes[slot].sourceJournal = 0;
    this.expected[slot] = nextGeneration(this.expected[slot], STATE.armed);
    journal.states[slot] = this.expected[slot];
  }

  private receiveFrom(listener: number, socket: SharedSocket, nowMs: number): void {
    const { journal, points } = this;
    const room = BATCH - this.first;
    for (let i = 0; i < room; i++) journal.receive[this.first + i].listener = listener;
    points.hit('before-receive');
    const count = Math.min(room, socket.queue.length);
    if (count === 0) return;
    for (const [i, datagram] of socket.queue.splice(0, count).entries()) {
      const entry = journal.receive[this.first + i];
      journal.fill(entry.slot, datagram);
      entry.length = datagram.bytes.length;
    }
    points.hit('after-receive');
    for (let i = 0; i < count; i++) {
      if (i === count >> 1) points.hit('mid-batch');
      this.accept(this.first + i, listener, nowMs);
    }
    this.first += count;
    points.hit('after-take');
  }

  private accept(index: number, listener: number, nowMs: number): void {
    const { journal } = this;
    const entry = journal.receive[index];
    const { slot } = entry;
    journal.describe(slot, entry.length, listener, nowMs);
    if (this.advance(slot, STATE.work)) this.received.push(slot);
    else this.releaseStolen(slot, false);
    entry.slot = UNSET;
  }

  private flushReplies(count: number): void {
    const { journal } = this;
    let run: Row[] = [];
    let runListener = UNSET;
    this.entriesUsed = this.messagesUsed = 0;
    for (let i = 0; i < count; i++) {
      const row = this.rows[i];
      if (row.kind !== ROW.reply) continue;
      assert(stateOf(this.expected[row.slot]) === STATE.work, 'what is answered is under way');
      const listener = journal.words[slotWord(journal, row.slot) + SLOT.listener];
      assert(this.listeners[listener] !== null && this.listeners[listener] !== undefined, 'an answer has a socket to leave by');
      if (listener !== runListener) {
        this.sendRun(runListener, run);
        run = [];
        runListener = listener;
      }
      run.push(row);
    }
    this.sendRun(runListener, run);
  }

  /** Replies to one pod are one message. The addon is stricter: one port of a client, and one length. */
  private sendRun(listener: number, rows: readonly Row[]): void {
    const first = this.messagesUsed;
    const byPod = Map.groupBy(rows, ({ slot }) => this.journal.datagrams[slot]!.flow.pod);
    for (const together of byPod.values()) this.prepare(together);
    if (this.messagesUsed > first) this.send(listener, first);
  }

  /** Everything that a thief needs is in place before a slot becomes SEND. */
  private prepare(rows: readonly Row[]): void {
    const { journal } = this;
    const index = this.messagesUsed;
    const entries = journal.transmit.slice(this.entriesUsed, this.entriesUsed + rows.length);
    for (const [i, { slot, offset, length }] of rows.entries()) {
      Object.assign(entries[i], { word: withState(this.expected[slot], STATE.send), offset, length, message: index, slot });
    }
    Object.assign(journal.messages[index], { hasName: true, sent: UNSET });
    let isEmpty = true;
    for (const entry of entries) {
      if (this.advance(entry.slot, STATE.send)) isEmpty = false;
      else this.leave(entry);
    }
    if (isEmpty) return;
    this.entriesUsed += rows.length;
    this.messagesUsed++;
  }

  /** The messages from `first` on. */
  private send(listener: number, first: number): void {
    const { journal, points, outlet } = this;
    const entriesOf = (index: number): TransmitEntry[] =>
      journal.transmit.slice(0, this.entriesUsed).filter(({ message, slot }) => message === index && slot !== UNSET);
    points.hit('before-send');
    for (let index = first; index < this.messagesUsed; index++) {
      const message = journal.messages[index];
      if (!message.hasName) {
        for (const entry of entriesOf(index)) if (journal.states[entry.slot] !== entry.word) this.leave(entry);
        // Unsent and still ours: the poison was meant for an earlier use, or for others of this message.
        message.hasName = entriesOf(index).length > 0;
      }
      if (!message.hasName) continue;
      const entries = entriesOf(index);
      for (const { slot, offset, length } of entries) outlet.reply(journal.datagrams[slot]!, this.listeners[listener]!.socket, offset, length);
      // The packets are out, their length not yet written: a stop here may cost duplicates.
      if (points.isDue('in-send')) for (const { slot } of entries) outlet.excuse(journal.datagrams[slot]!);
      points.hit('in-send');
      message.sent = entries.length;
    }
    points.hit('after-send');
    for (let index = first; index < this.messagesUsed; index++) for (const entry of entriesOf(index)) this.settle(entry);
  }

  private settle(entry: TransmitEntry): void {
    const { slot } = entry;
    if (this.advance(slot, STATE.free)) this.push(slot);
    else this.releaseStolen(slot, this.journal.messages[entry.message].sent !== UNSET);
    entry.slot = UNSET;
  }

  /** A peer has taken the slot of an unsent reply. */
  private leave(entry: TransmitEntry): void {
    const { slot } = entry;
    entry.slot = UNSET;
    this.releaseStolen(slot, false);
  }

  private ask(row: Row): void {
    const { journal, expected } = this;
    if (stateOf(expected[row.slot]) !== STATE.work || journal.states[row.slot] !== expected[row.slot]) return;
    this.outlet.ask(row.slot, row.offset, row.length, row.port);
  }

  /** The slot was found STOLEN: notes what the thief may still need to know, then takes the slot back. */
  private releaseStolen(slot: number, sent: boolean): void {
    const { journal } = this;
    const stolen = withState(this.expected[slot], STATE.stolen);
    assert(journal.states[slot] === stolen, 'a slot that is not ours was stolen');
    if (sent) journal.notes[slot].sentWord = stolen;
    journal.notes[slot].stolenWord = stolen;
    this.expected[slot] = withState(stolen, STATE.free);
    journal.states[slot] = this.expected[slot];
    this.push(slot);
  }
}
