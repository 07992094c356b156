/**
 * The mappings that a member learned last, where its peer can read them after its end: an answer has left by then, but the
 * control thread may not have told anybody what was in it.
 *
 * Invariant: written before the answer leaves. Two halves: one is filled while the other holds what came before, so at least
 * the last HALF_BYTES of records are always there. Never read while its writer lives.
 */
import type { LearnedMapping } from '@tandem/core';
import { RECORD_HEADER_BYTES, type RecordMemory, recordBytes, writeRecord } from './mapping-record.js';

/** About 3,500 mappings of ordinary names, 885 of the longest: more than are learned before the control thread is told (`mapping-notice.ts`). */
const HALF_BYTES = 256 * 1024;
const CONTROL_BYTES = 64;
/** Control words: which half is being filled, and where each ends. */
const CURRENT = 0;
const ENDS = 1;

export const MAPPING_JOURNAL_BYTES = CONTROL_BYTES + 2 * HALF_BYTES;

class MappingJournal {
  protected readonly control: Int32Array;
  protected readonly halves: readonly RecordMemory[];

  /** MAPPING_JOURNAL_BYTES at `offset`, a multiple of 8. */
  constructor(buffer: ArrayBuffer, offset: number) {
    this.control = new Int32Array(buffer, offset, 3);
    this.halves = [0, 1].map((half) => {
      const at = offset + CONTROL_BYTES + half * HALF_BYTES;
      return { bytes: new Uint8Array(buffer, at, HALF_BYTES), view: new DataView(buffer, at, HALF_BYTES) };
    });
  }
}

export class MappingJournalWriter extends MappingJournal {
  append(mapping: LearnedMapping): void {
    const length = recordBytes(mapping);
    let half = this.control[CURRENT];
    if (this.control[ENDS + half] + length > HALF_BYTES) {
      half = 1 - half;
      Atomics.store(this.control, ENDS + half, 0);
      Atomics.store(this.control, CURRENT, half);
    }
    const at = this.control[ENDS + half];
    writeRecord(this.halves[half], at, mapping, length);
    Atomics.store(this.control, ENDS + half, at + length);
  }
}

export class MappingJournalReader extends MappingJournal {
  /** Records as bytes, oldest first. What makes no sense ends its half: the writer's memory is not trusted. */
  *records(): Generator<Uint8Array> {
    const current = Atomics.load(this.control, CURRENT) === 1 ? 1 : 0;
    for (const half of [1 - current, current]) {
      const { bytes, view } = this.halves[half];
      const end = Math.min(Math.max(Atomics.load(this.control, ENDS + half), 0), HALF_BYTES);
      for (let at = 0; at + RECORD_HEADER_BYTES <= end; ) {
        const length = view.getUint32(at, true);
        const fits = length >= RECORD_HEADER_BYTES && length % 8 === 0 && at + length <= end;
        if (!fits || RECORD_HEADER_BYTES + view.getUint32(at + 12, true) > length) break;
        yield bytes.subarray(at, at + length);
        at += length;
      }
    }
  }
}
