/** Another member's journal, mapped here, as core's takeover sees it. */
import { type HeldJournal, SLOT, SLOT_FLAG, type SlotMemory, slotWord, TAKEN, type Taken } from '@tandem/core';
import { type Journal, type Reactor, scan, scanStride, scanWords, Take } from 'node-reuseport';
import type { ClientConnection } from './client-connection.js';
import type { HeldConnections } from './held-connections.js';
import { NUMBERS_PER_MEMBER } from './listeners.js';
import type { MappingJournalReader } from './mapping-journal.js';
import { slotMemory } from './slot-memory.js';

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
  private readonly heartbeatWord: Int32Array;
  private readonly cursorWord: Int32Array;
  private readonly dyingWord: Int32Array;
  private readonly rows: Uint32Array<ArrayBuffer>;
  private readonly slots: Uint32Array;

  constructor(journal: Journal, options: HeldJournalOptions) {
    this.journal = journal;
    this.options = options;
    this.memory = slotMemory(journal);
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

  /** A query that came by TCP is only of use together with its connection. */
  mayTake(slot: number): boolean {
    return !this.isTcp(slot) || this.connectionOf(slot) !== null;
  }

  take(slot: number, isGone: boolean): Taken {
    const { reactor, base } = this.options;
    switch (reactor.take(this.journal, slot, base, isGone)) {
      case Take.QUERY: {
        const connection = this.connectionOf(slot);
        if (connection === null) this.nameListener(reactor.taken[0]);
        else connection.adopt(reactor.taken[0]);
        return TAKEN.query;
      }
      case Take.ANSWER:
        this.nameListener(reactor.taken[0]);
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

  private isTcp(slot: number): boolean {
    return (this.memory.words[slotWord(this.memory, slot) + SLOT.flags] & SLOT_FLAG.tcp) !== 0;
  }

  private connectionOf(slot: number): ClientConnection | null {
    return this.options.connections?.connectionOf(this.memory, slot) ?? null;
  }

  /** A query that the member itself had taken from us came in by our own socket, under the member's number for it. */
  private nameListener(slot: number): void {
    const { memory, base } = this.options;
    const at = slotWord(memory, slot) + SLOT.listener;
    const theirs = memory.words[at] - base;
    if (theirs >= NUMBERS_PER_MEMBER) memory.words[at] = theirs % NUMBERS_PER_MEMBER;
  }
}
