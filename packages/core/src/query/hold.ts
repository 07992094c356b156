/**
 * Answers that wait until the datapath is open for the addresses in them, `--tofqdns-proxy-response-max-delay` at most.
 *
 * Holds a copy, since the buffer that an answer came in is used again by the next batch. Bounded by HELD_ANSWERS_MAX.
 */
import { assert } from '../base/assert.js';
import type { MonoMs } from '../base/seams.js';
import { HELD_ANSWERS_MAX } from './settings.js';
import { SlotList } from './slot-list.js';
import { SCRATCH_BYTES, SLOT, SLOT_FLAG, slotWord, type SlotMemory, type Wire } from './slots.js';

export interface AnswerBytes {
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly length: number;
}

interface Held {
  readonly answer: number;
  readonly copy: Uint8Array;
  /** What it waits for, one for each mapping. */
  readonly opening: readonly number[];
  left: number;
}

export class HeldAnswers {
  private readonly memory: SlotMemory;
  private readonly wire: Wire;
  private readonly delayMs: number;
  private readonly bySlot = new Map<number, Held>();
  private readonly deadlines: SlotList;

  constructor(memory: SlotMemory, wire: Wire, delayMs: number) {
    this.memory = memory;
    this.wire = wire;
    this.delayMs = delayMs;
    this.deadlines = new SlotList(memory.slotCount);
  }

  get size(): number {
    return this.bySlot.size;
  }

  first(): number {
    return this.deadlines.first();
  }

  firstDeadlineMs(): number {
    return this.deadlines.firstDeadlineMs();
  }

  /** Since when the slot's answer waits. */
  sinceMs(slot: number): number {
    return this.deadlines.deadlineMs(slot) - this.delayMs;
  }

  /** Keeps the answer with this number until all of `opening` is open; false when no more can be kept. */
  hold(slot: number, answer: number, copy: Uint8Array, opening: readonly number[], nowMs: MonoMs): boolean {
    if (this.bySlot.size >= HELD_ANSWERS_MAX) return false;
    this.bySlot.set(slot, { answer, copy, opening, left: opening.length });
    this.deadlines.append(slot, nowMs + this.delayMs);
    return true;
  }

  /** One mapping is open; all that the slot's answer waited for, when it was the last of them, else null. */
  opened(slot: number, answer: number): readonly number[] | null {
    const held = this.bySlot.get(slot);
    // The slot may hold a later query's answer by now.
    return held?.answer === answer && --held.left === 0 ? held.opening : null;
  }

  /** The held answer, where the wire can send it from; null when no buffer is free now (the slot stays held). */
  take(slot: number): AnswerBytes | null {
    const held = this.bySlot.get(slot);
    assert(held !== undefined, 'slot holds an answer');
    const placed = this.place(slot, held.copy);
    if (placed === null) return null;
    this.bySlot.delete(slot);
    this.deadlines.remove(slot);
    return placed;
  }

  private place(slot: number, copy: Uint8Array): AnswerBytes | null {
    const flags = this.memory.words[slotWord(this.memory, slot) + SLOT.flags];
    if ((flags & SLOT_FLAG.tcp) !== 0) return { bytes: copy, offset: 0, length: copy.length };
    const offset = copy.length <= SCRATCH_BYTES ? this.wire.scratch() : this.wire.largeScratch();
    if (offset < 0) return null;
    this.memory.bytes.set(copy, offset);
    return { bytes: this.memory.bytes, offset, length: copy.length };
  }
}
