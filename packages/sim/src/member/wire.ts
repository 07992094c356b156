/** Core's `Wire` over the reactor, as host's: what is sent is listed, and leaves with the next flush. */
import { SCRATCH_BYTES, SLOT, slotPayload, slotWord, type Wire } from '@tandem/core';
import { ANSWER_BYTES, LARGE_SCRATCHES, SCRATCHES, TRANSMIT_ROWS } from '../models/journal.js';
import { type Reactor, ROW } from '../models/reactor.js';

export interface WireWatch {
  /** The path lets an answer go. */
  released(slot: number, offset: number, length: number): void;
}

export class SimWire implements Wire {
  private readonly reactor: Reactor;
  private readonly watch: WireWatch;
  private rows = 0;
  private scratchUsed = 0;
  private largeUsed = 0;

  constructor(reactor: Reactor, watch: WireWatch) {
    this.reactor = reactor;
    this.watch = watch;
  }

  ask(slot: number, port: number): void {
    const { journal } = this.reactor;
    this.list(ROW.ask, slot, slotPayload(journal, slot), journal.words[slotWord(journal, slot) + SLOT.length], port);
  }

  clientPort(): number {
    return -1;
  }

  reply(slot: number, _bytes: Uint8Array, offset: number, length: number): void {
    this.watch.released(slot, offset, length);
    this.list(ROW.reply, slot, offset, length, 0);
  }

  replyTaken(slot: number, offset: number, length: number): void {
    this.list(ROW.reply, slot, offset, length, 0);
  }

  drop(slot: number): void {
    this.reactor.freeSlot(slot);
  }

  scratch(): number {
    if (this.scratchUsed === SCRATCHES || this.rows === TRANSMIT_ROWS) this.flush();
    return this.reactor.journal.scratchOffset + this.scratchUsed++ * SCRATCH_BYTES;
  }

  largeScratch(): number {
    if (this.largeUsed === LARGE_SCRATCHES || this.rows === TRANSMIT_ROWS) this.flush();
    return this.reactor.journal.largeOffset + this.largeUsed++ * ANSWER_BYTES;
  }

  flush(): void {
    const { rows } = this;
    this.rows = 0;
    this.scratchUsed = 0;
    this.largeUsed = 0;
    this.reactor.flush(rows);
  }

  private list(kind: number, slot: number, offset: number, length: number, port: number): void {
    if (this.rows === TRANSMIT_ROWS) this.flush();
    const row = this.reactor.rows[this.rows++];
    row.kind = kind;
    row.slot = slot;
    row.offset = offset;
    row.length = length;
    row.port = port;
  }
}
