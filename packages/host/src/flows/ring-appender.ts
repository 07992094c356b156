/**
 * Appends records to a flow ring: where the next one begins, what every record begins with, and when it counts. Allocates nothing,
 * waits for nobody and cannot fail.
 *
 * Invariant: the ring's (flow-ring.ts), for the one who writes it: `reserved` is raised before a record's first word is written,
 * `published` after its last. A ring has one appender.
 * Does not know what a record means.
 */
import { assert } from '@tandem/core';
import { CELL_WORDS, HEADER_WORDS, RECORD, RECORD_KIND, RING, ringCells } from './flow-ring.js';

const PREVIOUS_SHIFT = 16;
/** Reserved at once, as it costs as much as a tenth of a record. */
const RESERVE_CELLS = 128;

export class RingAppender {
  readonly words: Uint32Array;
  private readonly mask: number;
  private at = 0;
  private reserved = 0;
  private cells = 0;
  private cellsBefore = 0;
  private flows = 0;

  /** `ring`: one that `initRing` made, in which nothing is written yet. */
  constructor(ring: Uint32Array) {
    const cells = ringCells(ring);
    assert(cells > 0, 'a ring of our own making');
    this.words = ring;
    this.mask = cells - 1;
  }

  /**
   * Begins a record of so many cells, its first words but for the kind written; the index of its first word. One that is not ended is
   * overwritten by the next.
   */
  begin(cells: number): number {
    this.makeRoom(cells);
    this.cells = cells;
    return this.writeStart(cells);
  }

  /** The record that was begun last is whole, and has so many flows. */
  end(flows: number): void {
    this.publish(this.cells, flows);
  }

  private writeStart(cells: number): number {
    const word = HEADER_WORDS + (this.at & this.mask) * CELL_WORDS;
    this.words[word + RECORD.firstFlow] = this.flows;
    this.words[word + RECORD.cells] = cells | (this.cellsBefore << PREVIOUS_SHIFT);
    return word;
  }

  /** So that a record of this length can be written at `at`. One cell more is reserved: that which will say how long it was. */
  private makeRoom(cells: number): void {
    const left = this.mask + 1 - (this.at & this.mask);
    const pad = cells <= left ? 0 : left;
    const needed = (this.at + pad + cells + 1) >>> 0;
    if (((this.reserved - needed) | 0) < 0) {
      this.reserved = (needed + RESERVE_CELLS) >>> 0;
      Atomics.store(this.words, RING.reserved, this.reserved);
    }
    if (pad === 0) return;
    this.words[this.writeStart(pad) + RECORD.kind] = RECORD_KIND.pad;
    this.publish(pad, 0);
  }

  private publish(cells: number, flows: number): void {
    const { words } = this;
    this.at = (this.at + cells) >>> 0;
    this.flows = (this.flows + flows) >>> 0;
    this.cellsBefore = cells;
    words[HEADER_WORDS + (this.at & this.mask) * CELL_WORDS + RECORD.cells] = cells << PREVIOUS_SHIFT;
    words[RING.flows] = this.flows;
    if ((this.at & this.mask) === 0) {
      words[RING.lapBefore] = words[RING.lap];
      words[RING.lap] = this.flows;
    }
    Atomics.store(words, RING.published, this.at);
  }
}
