/**
 * Prefixes flattened into intervals: which addresses have one of the selected prefixes as their longest one.
 *
 * Invariant: the intervals of a result rise, do not overlap and do not touch.
 * Does not know: pods and nodes, which win over every prefix.
 */
import { formatAddress, parsePrefix, type Prefix } from '@tandem/core';
import { FAMILIES, type Family } from './family.js';

export interface Interval {
  /** 128 bits, IPv4 as IPv4-mapped. */
  readonly first: bigint;
  readonly last: bigint;
}

/** Between two boundaries one prefix, or none, is the longest. */
interface Segment extends Interval {
  /** Index of the prefix; −1: the world's. */
  readonly row: number;
}

const V4_MAPPED = 0xffff_0000_0000n;
const WHOLE: Readonly<Record<Family, Interval>> = {
  4: { first: V4_MAPPED, last: V4_MAPPED | 0xffff_ffffn },
  6: { first: 0n, last: (1n << 128n) - 1n },
};
const ADDRESS_BYTES = 16;

/** Every prefix that policies name, cut at each other's boundaries once, so that each selection is one walk. */
export class PrefixSpace {
  private readonly segments: Readonly<Record<Family, readonly Segment[]>>;

  /** Canonical prefixes; a row is an index into them. */
  constructor(cidrs: readonly string[]) {
    const prefixes = cidrs.map((cidr) => parsePrefix(cidr)!);
    this.segments = { 4: segmentsOf(prefixes, 4), 6: segmentsOf(prefixes, 6) };
  }

  /** Where one of these rows is the longest prefix; row −1 is the world: no prefix at all. */
  select(rows: ReadonlySet<number>, family: Family): readonly Interval[] {
    const found: { first: bigint; last: bigint }[] = [];
    for (const { row, first, last } of this.segments[family]) {
      if (!rows.has(row)) continue;
      const before = found.at(-1);
      if (before !== undefined && before.last + 1n === first) before.last = last;
      else found.push({ first, last });
    }
    return found;
  }
}

export function isWholeFamily(intervals: readonly Interval[], family: Family): boolean {
  return intervals.length === 1 && intervals[0].first === WHOLE[family].first && intervals[0].last === WHOLE[family].last;
}

/** As an element of a set. */
export function intervalText({ first, last }: Interval): string {
  return first === last ? textOf(first) : `${textOf(first)}-${textOf(last)}`;
}

/** `cidrs` without overlaps, for a set of intervals. */
export function unionOf(cidrs: readonly string[]): ReadonlyMap<Family, readonly Interval[]> {
  const space = new PrefixSpace(cidrs);
  const rows = new Set(cidrs.keys());
  return new Map(FAMILIES.map((family) => [family, space.select(rows, family)]));
}

/** A walk over the prefixes by where they begin, shorter ones first, with the stack of those that are open. */
function segmentsOf(prefixes: readonly Prefix[], family: Family): Segment[] {
  const sorted = prefixes.map((prefix, row) => ({ prefix, row })).filter(({ prefix }) => prefix.family === family);
  sorted.sort((a, b) => (a.prefix.first < b.prefix.first ? -1 : a.prefix.first > b.prefix.first ? 1 : a.prefix.length - b.prefix.length));
  const segments: Segment[] = [];
  const open: { readonly last: bigint; readonly row: number }[] = [{ last: WHOLE[family].last, row: -1 }];
  let next = WHOLE[family].first;
  const until = (last: bigint): void => {
    if (next <= last) segments.push({ first: next, last, row: open[open.length - 1].row });
    if (last + 1n > next) next = last + 1n;
  };
  const close = (before: bigint): void => {
    while (open.length > 1 && open[open.length - 1].last < before) {
      until(open[open.length - 1].last);
      open.pop();
    }
  };
  for (const { prefix, row } of sorted) {
    close(prefix.first);
    until(prefix.first - 1n);
    open.push({ last: prefix.last, row });
  }
  close(WHOLE[family].last + 1n);
  until(WHOLE[family].last);
  return segments;
}

function textOf(value: bigint): string {
  const bytes = new Uint8Array(ADDRESS_BYTES);
  for (let at = bytes.length - 1, rest = value; at >= 0; at--, rest >>= 8n) bytes[at] = Number(rest & 0xffn);
  return formatAddress(bytes);
}
