import { parsePrefix } from '@tandem/core';
import fc from 'fast-check';
import t from 'tap';
import type { Family } from './family.js';
import { intervalText, isWholeFamily, PrefixSpace, unionOf } from './intervals.js';

const CIDRS = ['0.0.0.0/0', '10.0.0.0/8', '10.1.0.0/16', '10.1.2.0/24', '10.1.2.3/32', '10.255.255.255/32', '255.255.255.255/32', '0.0.0.0/32', '11.0.0.0/8', '10.0.0.0/9', '10.128.0.0/9', '::/0', 'fd00::/8', 'fd00:1::/32', 'fd00:1::1/128', '::/128', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128'];
const PROBES = CIDRS.flatMap((cidr) => {
  const { first, last, family } = parsePrefix(cidr)!;
  return [first - 1n, first, last, last + 1n].map((value) => ({ value, family }));
});

/** One look at each prefix. */
function longest(cidrs: readonly string[], value: bigint, family: Family): number {
  const fitting = cidrs
    .map((cidr, row) => ({ prefix: parsePrefix(cidr)!, row }))
    .filter(({ prefix }) => prefix.family === family && value >= prefix.first && value <= prefix.last);
  return fitting.sort((a, b) => b.prefix.length - a.prefix.length).at(0)?.row ?? -1;
}

t.test('an address is in a selection exactly if its longest prefix is selected', (t) => {
  fc.assert(fc.property(
    fc.subarray(CIDRS).chain((cidrs) => fc.tuple(fc.constant(cidrs), fc.subarray([-1, ...cidrs.keys()]))),
    ([cidrs, rows]) => {
      const space = new PrefixSpace(cidrs);
      const selected = new Set(rows);
      for (const { value, family } of PROBES) {
        const whole = space.select(new Set([-1, ...cidrs.keys()]), family)[0];
        if (value < whole.first || value > whole.last) continue;
        const isIn = space.select(selected, family).some(({ first, last }) => value >= first && value <= last);
        if (isIn !== selected.has(longest(cidrs, value, family))) return false;
      }
      return true;
    },
  ));
  t.end();
});

t.test('intervals rise and do not touch', (t) => {
  fc.assert(fc.property(fc.subarray(CIDRS), fc.subarray([...CIDRS.keys()]), fc.constantFrom<Family>(4, 6), (cidrs, rows, family) => {
    const found = new PrefixSpace(cidrs).select(new Set(rows), family);
    return found.every(({ first, last }, at) => first <= last && (at === 0 || found[at - 1].last + 1n < first));
  }));
  t.end();
});

t.test('texts are what nft reads', (t) => {
  const texts = (cidrs: readonly string[], family: Family): string[] => new PrefixSpace(cidrs).select(new Set(cidrs.keys()), family).map(intervalText);
  t.strictSame(texts(['10.0.0.0/8', '10.1.0.0/16'], 4), ['10.0.0.0-10.255.255.255']);
  t.strictSame(texts(['203.0.113.7/32'], 4), ['203.0.113.7']);
  t.strictSame(texts(['2001:db8::/32'], 6), ['2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff']);
  t.ok(isWholeFamily(new PrefixSpace([]).select(new Set([-1]), 4), 4));
  t.notOk(isWholeFamily(new PrefixSpace(['10.0.0.0/8']).select(new Set([-1]), 4), 4));
  t.strictSame(unionOf(['10.0.0.0/8', '10.1.0.0/16']).get(6), []);
  t.end();
});
