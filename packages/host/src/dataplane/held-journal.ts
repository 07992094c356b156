/** Another member's journal, mapped here, as core's takeover sees it. */
import { type HeldJournal, SLOT, SLOT_FLAG, type SlotMemory, slotWord, TAKEN, type Taken } from '@tandem/core';
import { type Journal, type Reactor, scan, scanStride, scanWords, SlotState, Take } from 'node-reuseport';
import type { ClientConnection } from './client-connection.js';
import type { HeldConnections } from './held-connections.js';
import type { MappingJournalReader } from './mapping-journal.js';
import { slotMemory, STATE_MASK } from './slot-memory.js';

/** In a slot that was allocated, and in which nothing lies yet. */
const NO_LISTENER = 0xffff_ffff;

export interface HeldJournalOptions {
  readonly reactor: Reactor;
  /** Our own slots. */
  readonly memory: SlotMemory;
  /** The first of the reactor's listener numbers that are the journal owner's. */
  readonly base: number;
  /** What the owner learned last; null: its journal is of a layout without it. */
  readonly lastMappings: MappingJournalReader | null;
  /** Takes a mapping as bytes. */
  readonly onMapping: (record: Uint8Array) => void;
  /** Null: nobody but the owner can answer queries that came by TCP. */
  readonly connections: HeldConnections | null;
  /** A planted fault: nothing is found owed. */
  readonly noSteal: boolean;
}

export class MappedJournal implements HeldJournal {
  readonly journal: Journal;
  private readonly options: HeldJournalOptions;
  private readonly memory: SlotMemory;
  /** Index of the first slot's state word. */
  private readonly stateAt: number;
  private readonly heartbeatWord: Int32Array;
  private readonly cursorWord: Int32Array;
  private readonly dyingWord: Int32Array;
  private readonly rows: Uint32Array<ArrayBuffer>;
  private readonly slots: Uint32Array;

  constructor(journal: Journal, options: HeldJournalOptions) {
    this.journal = journal;
    this.options = options;
    this.memory = slotMemory(journal);
    this.stateAt = journal.layout.stateOffset / Uint32Array.BYTES_PER_ELEMENT;
    this.heartbeatWord = new Int32Array(journal.buffer, journal.layout.heartbeatOffset, 1);
    this.cursorWord = new Int32Array(journal.buffer, journal.layout.cursorOffset, 1);
    this.dyingWord = new Int32Array(journal.buffer, journal.layout.dyingOffset, 1);
    this.rows = new Uint32Array(scanWords(journal));
    this.slots = new Uint32Array(this.rows.length / scanStride);
  }

  get taken(): Uint32Array {
    return this.options.reactor.taken;
  }

  heartbeat(): number {
    return Atomics.load(this.heartbeatWord, 0);
  }

  reading(): number {
    return Atomics.load(this.cursorWord, 0) - 1;
  }

  isDying(): boolean {
    return Atomics.load(this.dyingWord, 0) !== 0;
  }

  owed(): Uint32Array {
    const rows = scan(this.journal, this.rows);
    const count = this.options.noSteal ? 0 : rows.length / scanStride;
    for (let i = 0; i < count; i++) this.slots[i] = rows[i * scanStride];
    return this.slots.subarray(0, count);
  }

  /** A query that came by TCP is only of use together with its connection. One that is being put into its slot says nothing of a client yet. */
  mayTake(slot: number): boolean {
    const { memory } = this;
    // What is said beside a datagram that its owner has not looked at is of the slot's former use.
    if (this.isArmed(slot)) return true;
    if (!isTcp(memory, slot)) return memory.words[slotWord(memory, slot) + SLOT.listener] !== NO_LISTENER;
    return this.connectionOf(memory, slot, slot) !== null;
  }

  mustTake(slot: number): boolean {
    return !this.isArmed(slot) && isTcp(this.memory, slot) && this.mayTake(slot);
  }

  take(slot: number, isGone: boolean): Taken {
    const { reactor, base } = this.options;
    switch (reactor.take(this.journal, slot, base, isGone)) {
      case Take.QUERY:
        return this.receive(reactor.taken[0], slot);
      case Take.ANSWER:
        return TAKEN.answer;
      case Take.FLUSH_FIRST:
        return TAKEN.flushFirst;
      case Take.NO_SLOT:
      case Take.NOT_YET:
      case Take.RACE:
        return TAKEN.later;
      default:
        return TAKEN.nothing;
    }
  }

  learnLast(): void {
    const { lastMappings, onMapping } = this.options;
    if (lastMappings === null) return;
    for (const record of lastMappings.records()) onMapping(record);
  }

  release(): void {
    this.journal.release();
  }

  private isArmed(slot: number): boolean {
    return (this.memory.words[this.stateAt + slot] & STATE_MASK) === SlotState.ARMED;
  }

  /** Whose query it is says our copy: an owner that lives may have another one in its slot by now. */
  private receive(slot: number, ownersSlot: number): Taken {
    const { memory, reactor } = this.options;
    if (!isTcp(memory, slot)) return TAKEN.query;
    const connection = this.connectionOf(memory, slot, ownersSlot);
    if (connection === null) {
      // Its owner has the connection, and answers there.
      reactor.freeSlot(slot);
      return TAKEN.nothing;
    }
    if (connection.isLost) {
      connection.pass(slot);
      return TAKEN.nothing;
    }
    connection.adopt(slot);
    return TAKEN.query;
  }

  private connectionOf(memory: SlotMemory, slot: number, ownersSlot: number): ClientConnection | null {
    return this.options.connections?.connectionOf(memory, slot, ownersSlot) ?? null;
  }
}

function isTcp(memory: SlotMemory, slot: number): boolean {
  return (memory.words[slotWord(memory, slot) + SLOT.flags] & SLOT_FLAG.tcp) !== 0;
}
