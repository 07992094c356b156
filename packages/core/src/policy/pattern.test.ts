import t from 'tap';
import { QueryView, nameFromString, scanName } from '@tandem/dns';
import { NameTable } from './name-table.js';
import { admitMatchName, admitMatchPattern, asGiven, parsePattern, type PatternContext } from './pattern.js';

const ACCEPTED_NAMES: readonly (readonly [string, string])[] = [
  ['cilium.io', 'cilium.io.'],
  ['cilium.io.', 'cilium.io.'],
  ['  Cilium.IO ', 'cilium.io.'],
  ['_a-b.x', '_a-b.x.'],
  ['a', 'a.'],
  ['x'.repeat(255), `${'x'.repeat(255)}.`],
];

const REFUSED_NAMES: readonly (readonly [string, string])[] = [
  ['', 'is empty'],
  ['   ', 'is empty'],
  ['x'.repeat(256), 'has 256 characters; the limit is 255'],
  [`${'x'.repeat(255)}.`, 'has 256 characters; the limit is 255'],
  ['.cilium.io', 'begins with a dot'],
  ['.', 'begins with a dot'],
  ['a..b', 'has an empty label (two dots in a row)'],
  ['a..', 'has an empty label (two dots in a row)'],
  ['*.cilium.io', 'holds "*"; allowed are letters, digits, "-", "_" and "."'],
  ['a b', 'holds " "; allowed are letters, digits, "-", "_" and "."'],
  ['bücher.example', 'holds "ü"; allowed are letters, digits, "-", "_" and "."'],
  ['\u212aube.io', 'holds "\u212a"; allowed are letters, digits, "-", "_" and "."'],
  ['a\\.b', 'holds "\\\\"; allowed are letters, digits, "-", "_" and "."'],
];

const ACCEPTED_PATTERNS: readonly (readonly [string, string])[] = [
  ['*', '*'],
  ['**', '**'],
  ['*.', '*.'],
  ['*.Cilium.io', '*.cilium.io.'],
  ['sub*.cilium.io.', 'sub*.cilium.io.'],
  ['**.cilium.io', '**.cilium.io.'],
  [`*.${'x'.repeat(253)}`, `*.${'x'.repeat(253)}.`],
  ['*'.repeat(255), '*'.repeat(255)],
];

t.test('admitted names are trimmed, lower-cased and end in a dot', (t) => {
  for (const [given, text] of ACCEPTED_NAMES) t.same(admitMatchName(given), { ok: true, text }, given);
  t.end();
});

t.test('refused names come with their reason', (t) => {
  for (const [given, reason] of REFUSED_NAMES) t.same(admitMatchName(given), { ok: false, reason }, given);
  t.end();
});

t.test('admitted patterns may hold stars, and match-all gets no dot', (t) => {
  for (const [given, text] of ACCEPTED_PATTERNS) t.same(admitMatchPattern(given), { ok: true, text }, given);
  t.same(admitMatchPattern('*..io'), { ok: false, reason: 'has an empty label (two dots in a row)' });
  t.same(admitMatchPattern('.*'), { ok: false, reason: 'begins with a dot' });
  t.same(admitMatchPattern('a?b'), {
    ok: false,
    reason: 'holds "?"; allowed are letters, digits, "-", "_", "." and "*"',
  });
  t.end();
});

t.test('what was admitted is admitted again, as the same text: a snapshot has it so', (t) => {
  for (const [, text] of ACCEPTED_NAMES) t.same(admitMatchName(asGiven(text)), { ok: true, text }, text);
  for (const [, text] of ACCEPTED_PATTERNS) t.same(admitMatchPattern(asGiven(text)), { ok: true, text }, text);
  t.end();
});

t.test('patterns are told apart by what they cost to match', (t) => {
  t.same(parsePattern('*', 'dns'), { kind: 'any' });
  t.same(parsePattern('***.', 'dns'), { kind: 'any' });
  t.same(parsePattern('*', 'fqdn'), { kind: 'anyHost' });
  t.same(parsePattern('a.b.', 'dns'), { kind: 'exact', suffix: 'a.b' });
  t.same(parsePattern('*.a.b.', 'dns'), { kind: 'oneLabel', suffix: 'a.b' });
  t.same(parsePattern('**.a.b.', 'dns'), { kind: 'manyLabels', suffix: 'a.b' });
  t.same(parsePattern('a.**.io.', 'dns'), { kind: 'glob', labels: ['a', '*'], leadingMany: false, suffix: 'io' });
  t.same(parsePattern('**.a*.io.', 'dns'), { kind: 'glob', labels: ['a*'], leadingMany: true, suffix: 'io' });
  t.same(parsePattern(`${'x'.repeat(64)}.io.`, 'dns'), { kind: 'never' });
  t.same(parsePattern(`${'abcdefg.'.repeat(32)}`, 'dns'), { kind: 'never' });
  t.same(parsePattern(`${'abcdefg.'.repeat(31)}abcde.`, 'dns').kind, 'exact');
  t.end();
});

interface Vector {
  readonly pattern: string;
  readonly match: readonly string[];
  readonly noMatch: readonly string[];
  readonly context?: PatternContext;
}

/** All vectors of reference/cilium-semantics.md §3.1, and the edges around them. */
const VECTORS: readonly Vector[] = [
  { pattern: '*.cilium.io', match: ['www.cilium.io.', '_a-b.cilium.io.'], noMatch: ['cilium.io.', 'a.b.cilium.io.', 'w\\.w.cilium.io.', 'w\\032w.cilium.io.', 'xcilium.io.'] },
  { pattern: '*cilium.io', match: ['cilium.io.', 'subcilium.io.'], noMatch: ['www.cilium.io.', 'cilium.io.x.'] },
  { pattern: 'sub*.cilium.io', match: ['sub.cilium.io.', 'subdomain.cilium.io.', 'SUBx.Cilium.IO.'], noMatch: ['www.cilium.io.', 'cilium.io.', 'a.sub.cilium.io.', 'sub\\000.cilium.io.'] },
  { pattern: '**.cilium.io', match: ['a.cilium.io.', 'a.b.cilium.io.', 'a.b.c.d.cilium.io.'], noMatch: ['cilium.io.', 'acilium.io.', 'a\\.x.b.cilium.io.', 'b.a\\/x.cilium.io.'] },
  { pattern: 'a.**.io', match: ['a.b.io.'], noMatch: ['a.b.c.io.', 'a.io.'] },
  { pattern: '*.*.x', match: ['a.b.x.'], noMatch: ['a.x.', 'a.b.c.x.'] },
  { pattern: '*', match: ['.', 'a.', 'a.b.c.', 'a\\032b.c.', '\\255.'], noMatch: [], context: 'dns' },
  { pattern: '**', match: ['.', 'a.b.', '\\000.'], noMatch: [], context: 'dns' },
  { pattern: '***', match: ['.', 'a.b.'], noMatch: [], context: 'dns' },
  { pattern: '*.', match: ['.', 'a.b.'], noMatch: [], context: 'dns' },
  { pattern: '*', match: ['.', 'a.', 'a.b.c.'], noMatch: ['a\\032b.c.', 'c.\\255.'], context: 'fqdn' },
  { pattern: '**.', match: ['.', 'a.b.'], noMatch: ['a\\/b.'], context: 'fqdn' },
  { pattern: '**.*.x', match: ['a.b.x.', 'a.b.c.x.'], noMatch: ['a.x.', 'x.'] },
  { pattern: '*.**', match: ['a.b.'], noMatch: ['a.', 'a.b.c.', '.'] },
  { pattern: 'a*c*e.x', match: ['ace.x.', 'abcde.x.', 'acece.x.'], noMatch: ['ae.x.', 'aec.x.', 'acef.x.'] },
  { pattern: 'api.*-east.*.example.com', match: ['api.us-east.prod.example.com.', 'api.-east.p.example.com.'], noMatch: ['api.us-west.prod.example.com.', 'api.us-east.example.com.'] },
  { pattern: 'www.cilium.io', match: ['WWW.cilium.io.'], noMatch: ['cilium.io.', 'a.www.cilium.io.', 'www.cilium.io.x.'] },
  { pattern: `${'x'.repeat(64)}.io`, match: [], noMatch: ['x.io.'] },
];

t.test('patterns match exactly what Cilium matches', (t) => {
  for (const { pattern, match, noMatch, context } of VECTORS) {
    for (const kind of context === undefined ? (['dns', 'fqdn'] as const) : [context]) {
      for (const name of match) t.ok(matches(pattern, name, kind), `${kind} ${pattern} matches ${name}`);
      for (const name of noMatch) t.notOk(matches(pattern, name, kind), `${kind} ${pattern} does not match ${name}`);
    }
  }
  t.end();
});

t.test('a set of patterns answers with the lowest one that matches', (t) => {
  const texts = ['sub*.a.io.', 'x.a.io.', '*.a.io.', '**.io.', '*', 'x.a.io.'];
  const table = NameTable.compile(texts.map((text, value) => ({ pattern: parsePattern(text, 'dns'), value })));
  const cases: readonly (readonly [string, number])[] = [
    ['subx.a.io.', 0], ['x.a.io.', 1], ['y.a.io.', 2], ['z.y.a.io.', 3], ['io.', 4], ['.', 4],
  ];
  for (const [name, value] of cases) t.equal(lookUp(table, name), value, name);
  t.equal(lookUp(NameTable.compile([]), 'a.io.'), -1);
  t.end();
});

function matches(pattern: string, name: string, context: PatternContext): boolean {
  const admission = admitMatchPattern(pattern);
  if (!admission.ok) throw new Error(admission.reason);
  return lookUp(NameTable.compile([{ pattern: parsePattern(admission.text, context), value: 0 }]), name) === 0;
}

function lookUp(table: NameTable, name: string): number {
  const wire = nameFromString(name);
  if (wire === null) throw new Error(`not a name: ${name}`);
  const view = new QueryView();
  scanName(wire, 0, wire.length, view);
  return table.match(wire, view);
}
