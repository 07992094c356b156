/**
 * The distinct toFQDNs selectors of all rule sets in force, those of rules that deny left out, sorted, with their canonical JSON,
 * kept from compile to compile: an edit touches few of them. They lie in blocks, so that a change costs its block alone.
 *
 * Invariant: list and text are a function of the rule sets alone, wherever the borders of blocks lie.
 */
import type { FqdnSelector, RuleSet } from './snapshot.js';

interface Block {
  /** Rising; at least one. */
  readonly keys: string[];
  readonly selectors: FqdnSelector[];
  /** Canonical JSON of the selectors, joined by commas; null: not made yet. */
  text: string | null;
}

const BLOCK_MAX = 128;

export class SelectorList {
  /** By key: in how many rule sets. */
  private readonly counts = new Map<string, number>();
  private sets = new Map<RuleSet, ReadonlyMap<string, FqdnSelector>>();
  private readonly blocks: Block[] = [];

  /** The list for these sets. */
  of(ruleSets: readonly RuleSet[]): readonly FqdnSelector[] {
    const before = this.sets;
    this.sets = new Map(ruleSets.map((set) => [set, before.get(set) ?? selectorsOf(set)]));
    for (const [set, selectors] of this.sets) if (!before.has(set)) for (const [key, selector] of selectors) this.add(key, selector);
    for (const [set, selectors] of before) if (!this.sets.has(set)) for (const key of selectors.keys()) this.drop(key);
    return this.blocks.flatMap(({ selectors }) => selectors);
  }

  /** The list as canonical JSON, in pieces. */
  *texts(): Generator<string> {
    yield '[';
    for (let i = 0; i < this.blocks.length; i++) {
      const block = this.blocks[i];
      if (i > 0) yield ',';
      block.text ??= JSON.stringify(block.selectors).slice(1, -1);
      yield block.text;
    }
    yield ']';
  }

  private add(key: string, selector: FqdnSelector): void {
    const count = this.counts.get(key) ?? 0;
    this.counts.set(key, count + 1);
    if (count > 0) return;
    const at = this.blockOf(key);
    const block = this.blocks[at] ?? { keys: [], selectors: [], text: null };
    if (this.blocks.length === 0) this.blocks.push(block);
    const place = placeOf(block.keys, key);
    block.keys.splice(place, 0, key);
    block.selectors.splice(place, 0, selector);
    block.text = null;
    if (block.keys.length <= BLOCK_MAX) return;
    const half = block.keys.length >> 1;
    this.blocks.splice(at + 1, 0, { keys: block.keys.splice(half), selectors: block.selectors.splice(half), text: null });
  }

  private drop(key: string): void {
    const count = this.counts.get(key)! - 1;
    if (count > 0) {
      this.counts.set(key, count);
      return;
    }
    this.counts.delete(key);
    const at = this.blockOf(key);
    const block = this.blocks[at];
    const place = placeOf(block.keys, key);
    block.keys.splice(place, 1);
    block.selectors.splice(place, 1);
    block.text = null;
    if (block.keys.length === 0) this.blocks.splice(at, 1);
  }

  /** The last block that begins at or before the key, or the first one. */
  private blockOf(key: string): number {
    let low = 0;
    let high = this.blocks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.blocks[middle].keys[0] <= key) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }
}

/** Index of the key, or where it belongs. */
function placeOf(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keys[middle] < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** In the order of keys that canonical JSON has. */
function selectorsOf({ rules }: RuleSet): ReadonlyMap<string, FqdnSelector> {
  const found = new Map<string, FqdnSelector>();
  for (const { fqdns, deny } of rules) {
    // What may be connected to; names that are denied open nothing.
    if (deny === true) continue;
    for (const { matchName, matchPattern } of fqdns) found.set(JSON.stringify([matchName, matchPattern]), { matchName, matchPattern });
  }
  return found;
}
