/**
 * A compiled set of name patterns, matched against a wire name where it lies: no strings, no allocation, and a cost that
 * does not grow with the number of patterns. Every pattern hangs off its literal suffix; suffixes lie in an open-addressing
 * hash table keyed by the suffix hashes that the scanner has already made. One probe per label boundary whose depth any
 * suffix has, then the bytes are compared.
 *
 * Invariant: the verdict depends on bytes, never on hashes alone; a look-up takes at most `probeMax` steps, whatever
 * names an attacker chooses. Globs that share one literal suffix are tried in turn (their number is the policy's choice).
 * Does not know: rules, endpoints, text forms of names.
 */
import { LOWER_CASE, ROOT_HASH, hashLabel } from '@tandem/dns';
import { matchLabelGlob } from './label-glob.js';
import type { NamePattern } from './pattern.js';

/** What the table reads of a scanned name; `QueryView` has it all. */
export interface NameView {
  /** Absolute offset of the wire name in `bytes`; `nameEnd` lies after its root byte. */
  readonly nameStart: number;
  readonly nameEnd: number;
  /** Root not counted. */
  readonly labelCount: number;
  /** Offset of each label's length byte, relative to `nameStart`. */
  readonly labelOffsets: Uint8Array;
  /** [i] = hash of the name from label i to the root; [labelCount] = ROOT_HASH. */
  readonly suffixHashes: Uint32Array;
}

export interface TableEntry {
  readonly pattern: NamePattern;
  /** Not negative; `match` returns the lowest of those that match. */
  readonly value: number;
}

const NO_MATCH = -1;
const DOT = 0x2e;
/** Above every value. */
const NONE = 0x7fffffff;
const DEPTHS = 129;
/** The table grows until no suffix lies further than this from its home slot, at most this many doublings. */
const PROBES_WANTED = 8;
const DOUBLINGS_MAX = 4;
/** One slot: eight words side by side, so that a probe touches one cache line, and the bytes one more. */
const SLOT = { tag: 0, wireStart: 1, wireBytes: 2, lowest: 3, exact: 4, oneLabel: 5, manyLabels: 6, globs: 7 } as const;
const SLOT_SHIFT = 3;
/** `wireBytes` of a free slot. */
const FREE = 0;

interface Glob {
  readonly value: number;
  readonly leadingMany: boolean;
  /** Left to right, as ASCII bytes with `*`. */
  readonly labels: readonly Uint8Array[];
}

/** All patterns of one literal suffix. Values are NONE where there is no such pattern. */
class SuffixNode {
  readonly wire: Uint8Array;
  lowest = NONE;
  exact = NONE;
  oneLabel = NONE;
  manyLabels = NONE;
  globs: Glob[] = [];

  constructor(wire: Uint8Array) {
    this.wire = wire;
  }
}

export class NameTable {
  private readonly any: number;
  /** Globs of each suffix that has some; `SLOT.globs` is the index. */
  private readonly globs: readonly (readonly Glob[])[];
  private readonly slots: Int32Array;
  private readonly slotMask: number;
  private readonly probeMax: number;
  /** All literal suffixes in wire form, lower case. */
  private readonly wire: Uint8Array;
  /** 1 where some suffix has that many labels. */
  private readonly depths = new Uint8Array(DEPTHS);
  private readonly depthMax: number;

  private constructor(any: number, nodes: readonly SuffixNode[]) {
    this.any = any;
    let depthMax = -1;
    for (const node of nodes) {
      const depth = labelCountOf(node.wire);
      this.depths[depth] = 1;
      depthMax = Math.max(depthMax, depth);
    }
    this.depthMax = depthMax;
    const { placed, probeMax } = placeNodes(nodes);
    this.slotMask = placed.length - 1;
    this.probeMax = probeMax;
    this.slots = new Int32Array(placed.length << SLOT_SHIFT);
    this.wire = new Uint8Array(nodes.reduce((bytes, node) => bytes + node.wire.length, 0));
    this.globs = this.fill(placed);
  }

  static compile(entries: readonly TableEntry[]): NameTable {
    let any = NONE;
    const nodes = new Map<string, SuffixNode>();
    for (const { pattern, value } of entries) {
      if (pattern.kind === 'any') any = Math.min(any, value);
      else if (pattern.kind !== 'never') addPattern(nodes, pattern, value);
    }
    for (const node of nodes.values()) node.globs.sort((a, b) => a.value - b.value);
    return new NameTable(any, [...nodes.values()]);
  }

  /** The lowest value of the patterns that match the name, or −1. Allocates nothing. */
  match(bytes: Uint8Array, view: NameView): number {
    const labelCount = view.labelCount;
    const slots = this.slots;
    let best = this.any;
    let classLabels = -1;
    for (let label = labelCount > this.depthMax ? labelCount - this.depthMax : 0; label <= labelCount; label++) {
      if (this.depths[labelCount - label] === 0) continue;
      const at = this.find(bytes, view, label);
      if (at < 0 || slots[at + SLOT.lowest] >= best) continue;
      if (label === 0) {
        if (slots[at + SLOT.exact] < best) best = slots[at + SLOT.exact];
        continue;
      }
      if (classLabels === -1) classLabels = countClassLabels(bytes, view);
      // A label with odd bytes to the left: no wildcard and no literal can match it.
      if (label > classLabels) continue;
      if (label === 1 && slots[at + SLOT.oneLabel] < best) best = slots[at + SLOT.oneLabel];
      if (slots[at + SLOT.manyLabels] < best) best = slots[at + SLOT.manyLabels];
      const globs = slots[at + SLOT.globs];
      if (globs >= 0) best = matchGlobs(this.globs[globs], bytes, view, label, best);
    }
    return best === NONE ? NO_MATCH : best;
  }

  /** Offset of the suffix's slot, or −1. */
  private find(bytes: Uint8Array, view: NameView, label: number): number {
    const tag = view.suffixHashes[label] | 0;
    const slots = this.slots;
    let slot = tag & this.slotMask;
    for (let probe = 0; probe < this.probeMax; probe++) {
      const at = slot << SLOT_SHIFT;
      const length = slots[at + SLOT.wireBytes];
      if (length === FREE) return NO_MATCH;
      if (slots[at + SLOT.tag] === tag) {
        const start = label === view.labelCount ? view.nameEnd - 1 : view.nameStart + view.labelOffsets[label];
        if (view.nameEnd - start === length && this.sameBytes(slots[at + SLOT.wireStart], length, bytes, start)) return at;
      }
      slot = (slot + 1) & this.slotMask;
    }
    return NO_MATCH;
  }

  private sameBytes(wireStart: number, length: number, bytes: Uint8Array, start: number): boolean {
    const wire = this.wire;
    for (let i = 0; i < length; i++) if (LOWER_CASE[bytes[start + i]] !== wire[wireStart + i]) return false;
    return true;
  }

  /** Writes the slots and the bytes of their suffixes, in the order of the slots. */
  private fill(placed: readonly (SuffixNode | null)[]): Glob[][] {
    const globs: Glob[][] = [];
    let wireStart = 0;
    placed.forEach((node, slot) => {
      if (node === null) return;
      const at = slot << SLOT_SHIFT;
      this.slots[at + SLOT.tag] = hashOfWire(node.wire) | 0;
      this.slots[at + SLOT.wireStart] = wireStart;
      this.slots[at + SLOT.wireBytes] = node.wire.length;
      this.slots[at + SLOT.lowest] = node.lowest;
      this.slots[at + SLOT.exact] = node.exact;
      this.slots[at + SLOT.oneLabel] = node.oneLabel;
      this.slots[at + SLOT.manyLabels] = node.manyLabels;
      this.slots[at + SLOT.globs] = node.globs.length > 0 ? globs.push(node.globs) - 1 : NO_MATCH;
      this.wire.set(node.wire, wireStart);
      wireStart += node.wire.length;
    });
    return globs;
  }
}

function addPattern(nodes: Map<string, SuffixNode>, pattern: NamePattern, value: number): void {
  switch (pattern.kind) {
    case 'any':
    case 'never':
      return;
    case 'anyHost':
      addPattern(nodes, { kind: 'exact', suffix: '' }, value);
      addPattern(nodes, { kind: 'manyLabels', suffix: '' }, value);
      return;
    case 'exact':
    case 'oneLabel':
    case 'manyLabels': {
      const node = nodeFor(nodes, pattern.suffix);
      node[pattern.kind] = Math.min(node[pattern.kind], value);
      node.lowest = Math.min(node.lowest, value);
      return;
    }
    case 'glob': {
      const node = nodeFor(nodes, pattern.suffix);
      node.globs.push({ value, leadingMany: pattern.leadingMany, labels: pattern.labels.map(asciiBytes) });
      node.lowest = Math.min(node.lowest, value);
    }
  }
}

function nodeFor(nodes: Map<string, SuffixNode>, suffix: string): SuffixNode {
  let node = nodes.get(suffix);
  if (node === undefined) {
    node = new SuffixNode(wireOfLiteral(suffix));
    nodes.set(suffix, node);
  }
  return node;
}

/** Wire form of literal labels without a final dot; '' is the root. Admission has left only letters, digits, - and _. */
function wireOfLiteral(suffix: string): Uint8Array {
  if (suffix === '') return new Uint8Array(1);
  const wire = new Uint8Array(suffix.length + 2);
  let lengthAt = 0;
  for (let i = 0; i < suffix.length; i++) {
    const code = suffix.charCodeAt(i);
    if (code === DOT) lengthAt = i + 1;
    else {
      wire[i + 1] = code;
      wire[lengthAt]++;
    }
  }
  return wire;
}

function asciiBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function labelCountOf(wire: Uint8Array): number {
  let count = 0;
  for (let at = 0; wire[at] !== 0; at += wire[at] + 1) count++;
  return count;
}

function hashOfWire(wire: Uint8Array): number {
  const offsets: number[] = [];
  for (let at = 0; wire[at] !== 0; at += wire[at] + 1) offsets.push(at);
  let hash = ROOT_HASH;
  for (let i = offsets.length - 1; i >= 0; i--) hash = hashLabel(hash, wire, offsets[i]);
  return hash;
}

/** A slot for each suffix: at its hash, or at the next free one. */
function placeNodes(nodes: readonly SuffixNode[]): { placed: readonly (SuffixNode | null)[]; probeMax: number } {
  let count = 8;
  while (count < nodes.length * 2) count *= 2;
  const hashes = nodes.map((node) => hashOfWire(node.wire));
  for (let doubling = 0; ; doubling++) {
    const placed = new Array<SuffixNode | null>(count).fill(null);
    let probeMax = 0;
    nodes.forEach((node, index) => {
      let slot = hashes[index] & (count - 1);
      let probes = 1;
      while (placed[slot] !== null) {
        slot = (slot + 1) & (count - 1);
        probes++;
      }
      placed[slot] = node;
      probeMax = Math.max(probeMax, probes);
    });
    if (probeMax <= PROBES_WANTED || doubling === DOUBLINGS_MAX) return { placed, probeMax };
    count *= 2;
  }
}

/** How many labels, from the left, consist of class bytes only. */
function countClassLabels(bytes: Uint8Array, view: NameView): number {
  for (let label = 0; label < view.labelCount; label++) {
    const at = view.nameStart + view.labelOffsets[label];
    const end = at + 1 + bytes[at];
    for (let i = at + 1; i < end; i++) if (IS_CLASS[bytes[i]] === 0) return label;
  }
  return view.labelCount;
}

/** Bytes that a wildcard matches: letters, digits, `-`, `_`. */
const IS_CLASS = new Uint8Array(256);
for (const one of '-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ') IS_CLASS[one.charCodeAt(0)] = 1;

/** `before` labels lie left of the literal suffix, all of the class. Returns the lower of `best` and the first match. */
function matchGlobs(globs: readonly Glob[], bytes: Uint8Array, view: NameView, before: number, best: number): number {
  for (let g = 0; g < globs.length; g++) {
    const glob = globs[g];
    if (glob.value >= best) return best;
    const count = glob.labels.length;
    if (glob.leadingMany ? before <= count : before !== count) continue;
    let matched = true;
    // From the suffix leftwards: the label next to it tells most patterns apart.
    for (let i = count - 1; matched && i >= 0; i--) {
      const at = view.nameStart + view.labelOffsets[before - count + i];
      matched = matchLabelGlob(glob.labels[i], bytes, at + 1, at + 1 + bytes[at]);
    }
    if (matched) return glob.value;
  }
  return best;
}
