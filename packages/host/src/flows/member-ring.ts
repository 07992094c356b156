/**
 * One member's flow ring as this process sees it: its own, or a peer's in the memory that both have mapped. Records are decoded once
 * for all who read them; DECODED_MAX of them are kept.
 */
import type { Role } from '@tandem/core';
import { LRUCache } from 'lru-cache';
import { bootTimeMs } from 'node-reuseport';
import { type DecodeContext, decodeRecord } from './decode.js';
import type { ObservedFlow } from './flow-log.js';
import { FlowRecord } from './flow-record.js';
import { CELL_BYTES, type CellNumber, FlowRingReader, NO_RECORD, OVERWRITTEN, RECORD_KIND, ringCells } from './flow-ring.js';
import { decodePacket } from './packet-decode.js';
import { PacketRecord } from './packet-record.js';

const DECODED_MAX = 256;
/** Bytes of an ordinary record: so many flows are said to fit. */
const BYTES_PER_FLOW = 128;

export interface DecodedRecord {
  readonly place: CellNumber;
  readonly next: CellNumber;
  readonly endedAtMs: number;
  /** Number of its first flow in the ring, modulo 2^32. */
  readonly firstFlow: number;
  readonly flows: readonly ObservedFlow[];
}

/** Where a reader of the ring stands. */
export interface RingPlace {
  readonly place: CellNumber;
  /** Number of the flow that comes next, modulo 2^32; null where it does not matter. */
  readonly flow: number | null;
}

export interface RingMemory {
  readonly words: Uint32Array;
  /** What is written there, and by which thread: one ring each. */
  readonly kind: 'queries' | 'packets';
  /** Lets go of the memory; it is not read any more then. */
  readonly release: () => void;
}

export class MemberRing {
  readonly role: Role;
  readonly id: string;
  /** Its member does not write it any more. */
  isEnded = false;
  /** CLOCK_BOOTTIME. */
  readonly sinceMs: number;
  private readonly memory: RingMemory;
  private readonly reader: FlowRingReader;
  private readonly record: FlowRecord;
  private readonly packet: PacketRecord;
  private readonly context: DecodeContext;
  private readonly decoded = new LRUCache<CellNumber, DecodedRecord>({ max: DECODED_MAX });

  private constructor(role: Role, memory: RingMemory, reader: FlowRingReader, context: DecodeContext) {
    this.role = role;
    this.memory = memory;
    this.reader = reader;
    this.record = new FlowRecord(reader.record);
    this.packet = new PacketRecord(reader.record);
    this.id = reader.id;
    this.context = context;
    this.sinceMs = bootTimeMs();
  }

  /** Null (and released) where there is no ring that can be read. */
  static open(role: Role, memory: RingMemory, context: DecodeContext): MemberRing | null {
    const cells = ringCells(memory.words);
    if (cells > 0) return new MemberRing(role, memory, new FlowRingReader(memory.words, cells), context);
    memory.release();
    return null;
  }

  get kind(): RingMemory['kind'] {
    return this.memory.kind;
  }

  get seen(): number {
    return this.reader.flows();
  }

  get max(): number {
    return Math.floor((this.reader.cells * CELL_BYTES) / BYTES_PER_FLOW);
  }

  /** Flows that are there now, about. */
  stored(): number {
    return this.reader.stored();
  }

  oldest(): RingPlace {
    return { place: this.reader.oldest(), flow: null };
  }

  /** Before the first record of a query that ended at this time of day or later. Decodes none. */
  since(timeMs: number): RingPlace {
    let { place, flow } = this.newest();
    for (let before = this.reader.readBefore(place); before !== NO_RECORD; before = this.reader.readBefore(place)) {
      if (!this.reader.isPad) {
        if (this.record.bootedAtMs + this.record.endedAtMs < timeMs) break;
        flow = this.record.firstFlow;
      }
      place = before;
    }
    return { place, flow };
  }

  /** Where the next record will be. */
  newest(): RingPlace {
    for (;;) {
      const place = this.reader.end();
      const flow = this.seen;
      if (place === this.reader.end()) return { place, flow };
    }
  }

  /** Where a reader goes on that was overtaken; `isBeginning`: it came from the oldest record, or from further on, and has not read on. */
  resume(isBeginning: boolean): CellNumber {
    return isBeginning ? this.reader.begin() : this.reader.resume();
  }

  after(place: CellNumber): DecodedRecord | typeof NO_RECORD | typeof OVERWRITTEN {
    for (let at = place; ;) {
      const known = this.decoded.get(at);
      if (known !== undefined) return known;
      const next = this.reader.readAt(at);
      if (next === NO_RECORD || next === OVERWRITTEN) return next;
      if (!this.reader.isPad) return this.decode(at, next);
      at = next;
    }
  }

  before(place: CellNumber): DecodedRecord | null {
    for (let at = place; ;) {
      const previous = this.reader.readBefore(at);
      if (previous === NO_RECORD) return null;
      if (!this.reader.isPad) return this.decoded.get(previous) ?? this.decode(previous, at);
      at = previous;
    }
  }

  release(): void {
    this.memory.release();
  }

  private decode(place: CellNumber, next: CellNumber): DecodedRecord {
    const { record } = this;
    const owner = { role: this.role, ringId: this.id, release: this.reader.release };
    const flows = this.reader.kind === RECORD_KIND.packet ? decodePacket(this.packet, owner, this.context) : decodeRecord(record, owner, this.context);
    const decoded = { place, next, endedAtMs: record.endedAtMs, firstFlow: record.firstFlow, flows };
    this.decoded.set(place, decoded);
    return decoded;
  }
}
