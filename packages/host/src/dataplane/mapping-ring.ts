/**
 * Learned mappings from the thread that answers queries to the control thread: a ring of bytes in shared memory with
 * one writer and one reader.
 *
 * Invariant: the writer never waits. A record that does not fit is refused, and the writer counts it.
 * Does not know what woke whom: see `notified`.
 */
import { assert, formatAddress, monoMs, type LearnedMapping, type MonoMs } from '@tandem/core';
import { nameToString } from '@tandem/dns';

/** Room for about 10,000 mappings of ordinary names: two seconds of all-new answers at 5,000 q/s. */
export const MAPPING_RING_BYTES = 1024 * 1024;

const CONTROL_WORDS = 4;
const HEAD = 0;
const TAIL = 1;
const NOTIFIED = 2;
/** Record: length u32, endpoint ID u32, TTL u32, name length u32, lookup f64, address 16 bytes, name, padding. */
const RECORD_HEADER_BYTES = 40;
const ALIGNMENT = 8;
/** A length of this means: the rest of the ring is unused, go on at its start. */
const WRAP = 0xffff_ffff;

export interface MappingRecord {
  readonly endpointId: number;
  readonly name: string;
  readonly address: string;
  readonly ttlSeconds: number;
  readonly lookupMs: MonoMs;
}

export function createMappingRing(): SharedArrayBuffer {
  return new SharedArrayBuffer(CONTROL_WORDS * 4 + MAPPING_RING_BYTES);
}

class Ring {
  protected readonly control: Int32Array;
  protected readonly bytes: Uint8Array;
  protected readonly view: DataView;

  constructor(memory: SharedArrayBuffer) {
    this.control = new Int32Array(memory, 0, CONTROL_WORDS);
    this.bytes = new Uint8Array(memory, CONTROL_WORDS * 4, MAPPING_RING_BYTES);
    this.view = new DataView(memory, CONTROL_WORDS * 4, MAPPING_RING_BYTES);
  }
}

export class MappingRingWriter extends Ring {
  /** False when the reader is too far behind. */
  write(mapping: LearnedMapping): boolean {
    const length = align(RECORD_HEADER_BYTES + mapping.nameLength);
    const head = this.control[HEAD];
    const tail = Atomics.load(this.control, TAIL);
    const at = this.place(head, tail, length);
    if (at < 0) return false;
    if (at !== head && head < MAPPING_RING_BYTES) this.view.setUint32(head, WRAP, true);
    const { view } = this;
    view.setUint32(at, length, true);
    view.setUint32(at + 4, mapping.endpointId, true);
    view.setUint32(at + 8, mapping.ttlSeconds, true);
    view.setUint32(at + 12, mapping.nameLength, true);
    view.setFloat64(at + 16, mapping.lookupMs, true);
    const { address } = mapping;
    this.bytes.set(new Uint8Array(address.buffer, address.byteOffset, address.byteLength), at + 24);
    const name = mapping.bytes.subarray(mapping.nameOffset, mapping.nameOffset + mapping.nameLength);
    this.bytes.set(name, at + RECORD_HEADER_BYTES);
    Atomics.store(this.control, HEAD, at + length);
    return true;
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
      records.push(this.record(tail));
      tail += length;
      Atomics.store(this.control, TAIL, tail);
    }
    return records;
  }

  private record(at: number): MappingRecord {
    const { view, bytes } = this;
    return {
      endpointId: view.getUint32(at + 4, true),
      ttlSeconds: view.getUint32(at + 8, true),
      lookupMs: monoMs(view.getFloat64(at + 16, true)),
      address: formatAddress(bytes, at + 24),
      name: nameToString(bytes, at + RECORD_HEADER_BYTES, at + RECORD_HEADER_BYTES),
    };
  }
}

function align(bytes: number): number {
  return (bytes + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
}
