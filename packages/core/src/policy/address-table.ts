/**
 * A fixed map from IP addresses to row numbers, read on the hot path straight from a received packet's words. Built
 * once, never changed. Invariant: a look-up takes at most `probeMax` steps, whoever chooses the address.
 */
import { parseAddress } from '../base/socket-address.js';
import { assert } from '../base/assert.js';

const WORDS = 4;
const NOT_FOUND = -1;

export class AddressTable {
  /** Four words per slot, then the row; an empty slot has row −1. */
  private readonly words: Uint32Array;
  private readonly rows: Int32Array;
  private readonly mask: number;
  private probeMax = 0;

  /** Addresses as text; the first row wins where an address comes twice. */
  constructor(entries: readonly { readonly address: string; readonly row: number }[]) {
    let slots = 8;
    while (slots < entries.length * 2) slots *= 2;
    this.mask = slots - 1;
    this.words = new Uint32Array(slots * WORDS);
    this.rows = new Int32Array(slots).fill(NOT_FOUND);
    for (const { address, row } of entries) this.insert(wordsOfAddress(address), row);
  }

  /** Row of the address in `words[at]` to `words[at + 3]`, or −1. */
  find(words: Uint32Array, at: number): number {
    const w0 = words[at];
    const w1 = words[at + 1];
    const w2 = words[at + 2];
    const w3 = words[at + 3];
    let slot = hashWords(w0, w1, w2, w3) & this.mask;
    for (let probe = 0; probe < this.probeMax; probe++) {
      const row = this.rows[slot];
      if (row === NOT_FOUND) return NOT_FOUND;
      const base = slot * WORDS;
      const own = this.words;
      if (own[base + 3] === w3 && own[base] === w0 && own[base + 1] === w1 && own[base + 2] === w2) return row;
      slot = (slot + 1) & this.mask;
    }
    return NOT_FOUND;
  }

  private insert(words: Uint32Array, row: number): void {
    assert(row >= 0, 'rows of addresses are not negative');
    if (this.find(words, 0) !== NOT_FOUND) return;
    let slot = hashWords(words[0], words[1], words[2], words[3]) & this.mask;
    let probes = 1;
    while (this.rows[slot] !== NOT_FOUND) {
      slot = (slot + 1) & this.mask;
      probes++;
    }
    this.words.set(words, slot * WORDS);
    this.rows[slot] = row;
    this.probeMax = Math.max(this.probeMax, probes);
  }
}

/** The four words of an address as they lie in memory on a little-endian machine. The text must be an address. */
export function wordsOfAddress(address: string): Uint32Array {
  const bytes = parseAddress(address);
  assert(bytes !== null, `not an address: ${address}`);
  const words = new Uint32Array(WORDS);
  for (let i = 0; i < WORDS; i++) {
    const b = i * 4;
    words[i] = bytes[b] | (bytes[b + 1] << 8) | (bytes[b + 2] << 16) | (bytes[b + 3] << 24);
  }
  return words;
}

function hashWords(w0: number, w1: number, w2: number, w3: number): number {
  let h = Math.imul(w3 ^ (w3 >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ w2 ^ (h >>> 13), 0x297a2d39);
  h = Math.imul(h ^ w1 ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ w0 ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
