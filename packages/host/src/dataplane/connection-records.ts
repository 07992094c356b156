/**
 * Who may touch a client's connection: a record per connection in memory that the peer maps, too.
 *
 * A record's state word is (generation << 2) | state. The owner makes it BUSY before it consumes or writes anything and OPEN
 * again after that; a thief can make it STOLEN only while it is OPEN, or when the owner is dead. So two processes never
 * consume or write at once, and a woken owner finds out before it does harm.
 *
 * Invariant: what a thief needs of an answer under way (where in the stream it starts, how long it is, its bytes, its slot)
 * stands in the record before the first byte of it is written.
 */
import { assert } from '@tandem/core';
import { RECORD_WORDS, type SharedRegion } from './shared-region.js';

export const CONNECTION = { free: 0, open: 1, busy: 2, stolen: 3 } as const;
const STATE_BITS = 2;
const STATE_MASK = (1 << STATE_BITS) - 1;
const GENERATION_MASK = 0x3fff_ffff;

/** Words of a record. Positions count bytes of a stream from its start, modulo 2^32. */
const FIELD = {
  state: 0,
  listener: 1,
  /** The answers under way: bytes of them in all (0: none), where they start, the first one's slot (-1: none), their row (-1: none). */
  answerBytes: 2,
  answerStart: 3,
  answerSlot: 4,
  answerRow: 5,
  /** A query longer than a slot: after `skipFrom`, bytes up to `skipUntil` belong to it and are thrown away. */
  skipFrom: 6,
  skipUntil: 7,
} as const;

export const NONE = -1;

/** One connection's record as its owner holds it. */
export interface OwnRecord {
  readonly index: number;
  readonly generation: number;
}

/** What a thief finds of a connection. */
export interface FoundRecord {
  readonly listener: number;
  readonly answerBytes: number;
  readonly answerStart: number;
  readonly answerSlot: number;
  /** The answer with its length in front; null where it is not to be had. */
  readonly answer: Uint8Array | null;
  readonly skipFrom: number;
  readonly skipUntil: number;
}

export class ConnectionRecords {
  private readonly words: Int32Array;
  private readonly rows: readonly Uint8Array[];
  private readonly free: number[] = [];
  private readonly freeRows: number[];

  constructor(region: SharedRegion) {
    this.words = region.records;
    this.rows = region.rows;
    for (let index = this.words.length / RECORD_WORDS - 1; index >= 0; index--) this.free.push(index);
    this.freeRows = region.rows.map((_, row) => row);
  }

  // ---- the owner's side

  /** A record for a new connection, OPEN; null when all are in use. */
  allocate(listener: number): OwnRecord | null {
    const index = this.free.pop();
    if (index === undefined) return null;
    const at = index * RECORD_WORDS;
    const generation = ((Atomics.load(this.words, at) >>> STATE_BITS) + 1) & GENERATION_MASK;
    this.words.fill(0, at + 1, at + RECORD_WORDS);
    this.words[at + FIELD.listener] = listener;
    this.words[at + FIELD.answerSlot] = NONE;
    this.words[at + FIELD.answerRow] = NONE;
    Atomics.store(this.words, at, word(generation, CONNECTION.open));
    return { index, generation };
  }

  /** False: a peer has taken the connection. */
  acquire({ index, generation }: OwnRecord): boolean {
    return this.swap(index, word(generation, CONNECTION.open), word(generation, CONNECTION.busy));
  }

  /** After `acquire`. False: the peer, which took this member for dead, has taken the connection. */
  release({ index, generation }: OwnRecord): boolean {
    return this.swap(index, word(generation, CONNECTION.busy), word(generation, CONNECTION.open));
  }

  /** The connection is closed, or another's. */
  forget({ index, generation }: OwnRecord): void {
    Atomics.store(this.words, index * RECORD_WORDS, word(generation, CONNECTION.free));
    this.free.push(index);
  }

  /** A buffer for an answer under way, or null: all are in use. */
  takeRow(): { readonly row: number; readonly bytes: Uint8Array } | null {
    const row = this.freeRows.pop();
    return row === undefined ? null : { row, bytes: this.rows[row] };
  }

  returnRow(row: number): void {
    assert(!this.freeRows.includes(row), 'a row is returned once');
    this.freeRows.push(row);
  }

  /** While BUSY, or before `acquire`: an answer starts. */
  startAnswer({ index }: OwnRecord, answer: { readonly bytes: number; readonly start: number; readonly slot: number; readonly row: number }): void {
    const at = index * RECORD_WORDS;
    this.words[at + FIELD.answerStart] = answer.start;
    this.words[at + FIELD.answerSlot] = answer.slot;
    this.words[at + FIELD.answerRow] = answer.row;
    Atomics.store(this.words, at + FIELD.answerBytes, answer.bytes);
  }

  /** While BUSY: the answer is written whole. */
  endAnswer({ index }: OwnRecord): void {
    Atomics.store(this.words, index * RECORD_WORDS + FIELD.answerBytes, 0);
  }

  /** While BUSY, before anything of it is consumed: the stream's bytes in between are to be thrown away. */
  skip({ index }: OwnRecord, from: number, until: number): void {
    const at = index * RECORD_WORDS;
    this.words[at + FIELD.skipUntil] = until;
    Atomics.store(this.words, at + FIELD.skipFrom, from);
  }

  // ---- the thief's side

  /** Of the connection with this generation; FREE also when the record is another's by now. */
  state({ index, generation }: OwnRecord): number {
    if (index * RECORD_WORDS >= this.words.length) return CONNECTION.free;
    const found = Atomics.load(this.words, index * RECORD_WORDS);
    return found >>> STATE_BITS === generation ? found & STATE_MASK : CONNECTION.free;
  }

  /** True: the connection is the thief's. `from`: OPEN, or BUSY where the owner is dead. */
  steal({ index, generation }: OwnRecord, from: number): boolean {
    return this.swap(index, word(generation, from), word(generation, CONNECTION.stolen));
  }

  find({ index }: OwnRecord): FoundRecord {
    const at = index * RECORD_WORDS;
    const bytes = this.words[at + FIELD.answerBytes];
    const row = this.words[at + FIELD.answerRow];
    const hasBytes = row >= 0 && row < this.rows.length && bytes > 0 && bytes <= this.rows[row].length;
    return {
      listener: this.words[at + FIELD.listener],
      answerBytes: bytes,
      answerStart: this.words[at + FIELD.answerStart],
      answerSlot: this.words[at + FIELD.answerSlot],
      answer: hasBytes ? this.rows[row].subarray(0, bytes) : null,
      skipFrom: this.words[at + FIELD.skipFrom],
      skipUntil: this.words[at + FIELD.skipUntil],
    };
  }

  private swap(index: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.words, index * RECORD_WORDS, from, to) === from;
  }
}

/** How a slot says that its answer is in the write that starts there: never 0, and no two writes of a connection are so near. */
export function answerMark(start: number): number {
  return (start | 1) >>> 0;
}

/** As a word of an Int32Array holds it: the generation may reach the sign bit. */
function word(generation: number, state: number): number {
  return (generation << STATE_BITS) | state;
}
