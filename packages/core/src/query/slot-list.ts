/**
 * A doubly linked list over slot numbers, in typed arrays: no allocation, O(1) removal from the middle. With entries
 * appended at one constant delay, it is a timer queue: the head expires first.
 *
 * Invariant: a slot is in a list at most once.
 */
import { assert } from '../base/assert.js';

export const NO_SLOT = -1;

const OUTSIDE = -2;

export class SlotList {
  private readonly next: Int32Array;
  private readonly previous: Int32Array;
  private readonly deadlines: Float64Array;
  private head = NO_SLOT;
  private tail = NO_SLOT;
  private count = 0;

  constructor(slotCount: number) {
    this.next = new Int32Array(slotCount).fill(OUTSIDE);
    this.previous = new Int32Array(slotCount).fill(OUTSIDE);
    this.deadlines = new Float64Array(slotCount);
  }

  get size(): number {
    return this.count;
  }

  /** The first slot, or NO_SLOT. */
  first(): number {
    return this.head;
  }

  /** When the first slot's time is up; Infinity when the list is empty. */
  firstDeadlineMs(): number {
    return this.head === NO_SLOT ? Infinity : this.deadlines[this.head];
  }

  /** Of a slot that is in the list. */
  deadlineMs(slot: number): number {
    return this.deadlines[slot];
  }

  /** The last slot that `choose` accepts, or NO_SLOT. */
  findLast(choose: (slot: number) => boolean): number {
    let slot = this.tail;
    while (slot !== NO_SLOT && !choose(slot)) slot = this.previous[slot];
    return slot;
  }

  has(slot: number): boolean {
    return this.next[slot] !== OUTSIDE;
  }

  append(slot: number, deadlineMs: number): void {
    assert(!this.has(slot), 'slot is in the list already');
    this.deadlines[slot] = deadlineMs;
    this.next[slot] = NO_SLOT;
    this.previous[slot] = this.tail;
    if (this.tail === NO_SLOT) this.head = slot;
    else this.next[this.tail] = slot;
    this.tail = slot;
    this.count++;
  }

  remove(slot: number): void {
    if (!this.has(slot)) return;
    const before = this.previous[slot];
    const after = this.next[slot];
    if (before === NO_SLOT) this.head = after;
    else this.next[before] = after;
    if (after === NO_SLOT) this.tail = before;
    else this.previous[after] = before;
    this.next[slot] = OUTSIDE;
    this.previous[slot] = OUTSIDE;
    this.count--;
  }
}
