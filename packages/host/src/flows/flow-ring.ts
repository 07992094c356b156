/**
 * The flow ring: one record per query that is over, in memory that the member's peer has mapped, too. Whoever reads it reads beside
 * a writer that never waits; what is overwritten meanwhile is lost to the reader, who learns how much it was.
 *
 * Shape: a header of HEADER_WORDS words, then a power of two of cells of CELL_BYTES. A record takes whole cells in a row; where it
 * would go over the end, a pad fills the rest. Numbers of cells and of flows count on for ever, modulo 2^32.
 * Invariant: `reserved` is raised before a record's first word is written, `published` after its last. So a copied record is whole
 * if `reserved`, read after the copy, is no more than the ring's size beyond the record's first cell. The cell at `published` says
 * how long the record before it is, also before there is a record: so the ring can be walked back.
 * Does not know what a record means: flow-record.ts.
 */

export const CELL_BYTES = 64;
export const CELL_WORDS = CELL_BYTES / 4;
export const HEADER_WORDS = CELL_WORDS;
const RING_VERSION = 1;

/** Words of the header. `lap` is what `flows` was when the writer last came to the ring's first cell, `lapBefore` the time before that. */
export const RING = { version: 0, cells: 1, reserved: 2, published: 3, flows: 4, idHigh: 5, idLow: 6, lap: 7, lapBefore: 8, release: 9 } as const;
/** ASCII of the writer's release, zeros behind it: the rest of the header. */
const RELEASE_BYTES = (HEADER_WORDS - RING.release) * 4;

/** Words that every record begins with. */
export const RECORD = {
  /** Flows that were written before it. */
  firstFlow: 0,
  /** Its cells; in the high half those of the record before it. */
  cells: 1,
  /** RECORD_KIND in the low byte; the rest is the record's own. */
  kind: 2,
} as const;
/** A kind that a reader does not know is passed over like a pad. */
export const RECORD_KIND = { pad: 1, query: 2, packet: 3 } as const;
const KIND_MASK = 0xff;
const CELLS_MASK = 0xffff;

export const RING_CELLS_MIN = 1024;
export const RING_CELLS_MAX = 1 << 20;
/** A record takes no more: so pads stay small beside the ring. */
export const RECORD_CELLS_MAX = 80;

/** Places of a ring: the number of a record's first cell. Two values below 0 are none. */
export type CellNumber = number;
/** There is no record (yet). */
export const NO_RECORD = -1;
/** What was there is overwritten, or makes no sense; go on with `FlowRingReader.resume` or `begin`. */
export const OVERWRITTEN = -2;

export function ringBytes(cells: number): number {
  return (HEADER_WORDS + cells * CELL_WORDS) * 4;
}

/** Writes the header of an empty ring into zeroed memory. `id`: two random words that tell rings apart; `release`: the writer's version. */
export function initRing(words: Uint32Array, cells: number, id: readonly [number, number], release = ''): void {
  const text = releaseBytes(words);
  for (let i = 0; i < Math.min(release.length, text.length); i++) text[i] = release.charCodeAt(i);
  words[RING.cells] = cells;
  words[RING.idHigh] = id[0];
  words[RING.idLow] = id[1];
  words[RING.version] = RING_VERSION;
}

/** Cells of the ring in these words, whoever wrote them; 0 where there is none that can be read. */
export function ringCells(words: Uint32Array): number {
  if (words.length < HEADER_WORDS || words[RING.version] !== RING_VERSION) return 0;
  const cells = words[RING.cells];
  const fits = cells >= RING_CELLS_MIN && cells <= RING_CELLS_MAX && (cells & (cells - 1)) === 0;
  return fits && words.length * 4 >= ringBytes(cells) ? cells : 0;
}

function releaseBytes(words: Uint32Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset + RING.release * 4, RELEASE_BYTES);
}

/** Reads a ring, one record at a time into `record`. Keeps no place: its callers do. */
export class FlowRingReader {
  /** The record that was read last, whole. */
  readonly record = new Uint32Array(RECORD_CELLS_MAX * CELL_WORDS);
  /** Tells this ring from all others: 16 hexadecimal digits. */
  readonly id: string;
  readonly cells: number;
  /** The writer's version, as it says; visible ASCII alone. */
  readonly release: string;
  private readonly words: Uint32Array;

  /** `cells`: from `ringCells`, and not 0. */
  constructor(words: Uint32Array, cells: number) {
    this.words = words;
    this.cells = cells;
    this.release = String.fromCharCode(...releaseBytes(words).filter((byte) => byte > 0x20 && byte < 0x7f));
    this.id = hex(words[RING.idHigh]) + hex(words[RING.idLow]);
  }

  /** Where the next record will be. */
  end(): CellNumber {
    return Atomics.load(this.words, RING.published);
  }

  /** Flows that were ever written, modulo 2^32. */
  flows(): number {
    return Atomics.load(this.words, RING.flows);
  }

  /** Flows that are there, about: of those of the lap before, as many as the cells that are not overwritten. Looks at the header alone. */
  stored(): number {
    const { words, cells } = this;
    const [flows, lap, before] = [this.flows(), Atomics.load(words, RING.lap), Atomics.load(words, RING.lapBefore)];
    const left = 1 - (this.end() & (cells - 1)) / cells;
    return ((flows - lap) >>> 0) + Math.round(((lap - before) >>> 0) * left);
  }

  /** Reads the record at `at`, a pad among them, and returns the place after it. */
  readAt(at: CellNumber): CellNumber {
    const ahead = (this.end() - at) >>> 0;
    if (ahead === 0) return NO_RECORD;
    const cells = ahead > this.cells ? 0 : this.copy(at);
    return cells === 0 || cells > ahead ? OVERWRITTEN : (at + cells) >>> 0;
  }

  /** Reads the record before `at` and returns its place; NO_RECORD before the oldest that is there. */
  readBefore(at: CellNumber): CellNumber {
    const place = this.placeBefore(at);
    return place === NO_RECORD || this.copy(place) === 0 ? NO_RECORD : place;
  }

  /** A place to go on at after OVERWRITTEN: half a ring behind the end, so that the writer is not there at once. */
  resume(): CellNumber {
    return this.walkBack(this.cells >>> 1);
  }

  /** The same for one that had not begun to read on: an eighth of a ring before the writer, so that most of what is there is read. */
  begin(): CellNumber {
    return this.walkBack(this.cells - (this.cells >>> 3));
  }

  /** The oldest record that is there, for the moment. */
  oldest(): CellNumber {
    return this.walkBack(this.cells);
  }

  /** Of the record that was read last. */
  get kind(): number {
    return this.record[RECORD.kind] & KIND_MASK;
  }

  /** The record that was read last fills the ring up to its end, and says nothing. */
  get isPad(): boolean {
    return this.kind !== RECORD_KIND.query && this.kind !== RECORD_KIND.packet;
  }

  private walkBack(cellsMax: number): CellNumber {
    const end = this.end();
    let at = end;
    for (let before = this.placeBefore(at); before !== NO_RECORD && ((end - before) >>> 0) <= cellsMax; before = this.placeBefore(at)) at = before;
    return at;
  }

  private placeBefore(at: CellNumber): CellNumber {
    const cells = Atomics.load(this.words, this.wordAt(at) + RECORD.cells) >>> 16;
    const place = (at - cells) >>> 0;
    return cells > 0 && this.isThere(at) && this.isThere(place) ? place : NO_RECORD;
  }

  /** Copies the record at `at` (of a pad its first cell); its cells, or 0 where it is gone or makes no sense. */
  private copy(at: CellNumber): number {
    const word = this.wordAt(at);
    const cells = Atomics.load(this.words, word + RECORD.cells) & CELLS_MASK;
    if (cells === 0 || cells > RECORD_CELLS_MAX || (at & (this.cells - 1)) + cells > this.cells) return 0;
    const isPad = (this.words[word + RECORD.kind] & KIND_MASK) === RECORD_KIND.pad;
    const count = isPad ? CELL_WORDS : cells * CELL_WORDS;
    for (let i = 0; i < count; i++) this.record[i] = this.words[word + i];
    return this.isThere(at) ? cells : 0;
  }

  private isThere(at: CellNumber): boolean {
    return ((Atomics.load(this.words, RING.reserved) - at) >>> 0) <= this.cells;
  }

  private wordAt(at: CellNumber): number {
    return HEADER_WORDS + (at & (this.cells - 1)) * CELL_WORDS;
  }
}

function hex(word: number): string {
  return word.toString(16).padStart(8, '0');
}
