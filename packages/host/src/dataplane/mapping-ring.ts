/**
 * Learned mappings from the thread that answers queries to the control thread: a ring of bytes in shared memory with
 * one writer and one reader.
 *
 * Invariant: the writer never waits. A record that does not fit is refused, and the writer counts it.
 * Does not know what woke whom: see `notified`.
 */
import { assert, type LearnedMapping } from '@tandem/core';
import { type MappingRecord, readRecord, RECORD_HEADER_BYTES, recordBytes, type RecordMemory, writeRecord } from './mapping-record.js';

/** Room for about 10,000 mappings of ordinary names: two seconds of all-new answers at 5,000 q/s. */
export const MAPPING_RING_BYTES = 1024 * 1024;

const CONTROL_WORDS = 4;
const HEAD = 0;
const TAIL = 1;
const NOTIFIED = 2;
/** A length of this means: the rest of the ring is unused, go on at its start. */
const WRAP = 0xffff_ffff;

export function createMappingRing(): SharedArrayBuffer {
  return new SharedArrayBuffer(CONTROL_WORDS * 4 + MAPPING_RING_BYTES);
}

class Ring implements RecordMemory {
  protected readonly control: Int32Array;
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(memory: SharedArrayBuffer) {
    this.control = new Int32Array(memory, 0, CONTROL_WORDS);
    this.bytes = new Uint8Array(memory, CONTROL_WORDS * 4, MAPPING_RING_BYTES);
    this.view = new DataView(memory, CONTROL_WORDS * 4, MAPPING_RING_BYTES);
  }
}

export class MappingRingWriter extends Ring {
  /** False when the reader is too far behind. */
  write(mapping: LearnedMapping): boolean {
    const length = recordBytes(mapping);
    const at = this.begin(length);
    if (at < 0) return false;
    writeRecord(this, at, mapping, length);
    Atomics.store(this.control, HEAD, at + length);
    return true;
  }

  /** A record as bytes, from another member's journal. */
  copy(record: Uint8Array): boolean {
    const at = this.begin(record.length);
    if (at < 0) return false;
    this.bytes.set(record, at);
    Atomics.store(this.control, HEAD, at + record.length);
    return true;
  }

  /** Where a record of this length goes, or -1 when the reader is too far behind. */
  private begin(length: number): number {
    const head = this.control[HEAD];
    const tail = Atomics.load(this.control, TAIL);
    const at = this.place(head, tail, length);
    if (at >= 0 && at !== head && head < MAPPING_RING_BYTES) this.view.setUint32(head, WRAP, true);
    return at;
  }

  /** True if the reader must be woken: it has nothing in hand. */
  mustNotify(): boolean {
    return Atomics.exchange(this.control, NOTIFIED, 1) === 0;
  }

  /** Where a record of this length goes, or -1. The head never catches up with the tail: equal means empty. */
  private place(head: number, tail: number, length: number): number {
    if (head >= tail) {
      if (head + length <= MAPPING_RING_BYTES) return head;
      return length < tail ? 0 : -1;
    }
    return head + length < tail ? head : -1;
  }
}

export class MappingRingReader extends Ring {
  /** Takes up to `max` records; fewer means that the ring was empty for a moment and the writer will notify again. */
  read(max: number): MappingRecord[] {
    Atomics.store(this.control, NOTIFIED, 0);
    const records: MappingRecord[] = [];
    let tail = this.control[TAIL];
    while (records.length < max && tail !== Atomics.load(this.control, HEAD)) {
      if (tail + 4 > MAPPING_RING_BYTES || this.view.getUint32(tail, true) === WRAP) {
        tail = 0;
        Atomics.store(this.control, TAIL, tail);
        continue;
      }
      const length = this.view.getUint32(tail, true);
      assert(length >= RECORD_HEADER_BYTES && tail + length <= MAPPING_RING_BYTES, 'a whole record in the ring');
      records.push(readRecord(this, tail));
      tail += length;
      Atomics.store(this.control, TAIL, tail);
    }
    return records;
  }
}
