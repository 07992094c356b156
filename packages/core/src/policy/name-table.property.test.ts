import fc from 'fast-check';
import t from 'tap';
import { QueryView, nameToString, scanName } from '@tandem/dns';
import { NameTable } from './name-table.js';
import { isMatchAll, parsePattern, type PatternContext } from './pattern.js';

/** Names × patterns compared with the oracle: at least 100,000, as runs × names per run. */
const RUNS = 4000;
const NAMES_PER_RUN = 30;

/** Few letters, so that random patterns and names meet. */
const letter = fc.constantFrom('a', 'b', 'A', '-', '_', '1');
const oddByte = fc.constantFrom(0, 0x20, 0x2e, 0x2f, 0x2a, 0x5c, 0x7f, 0xff, 0xc3);
const labelText = fc.string({ unit: letter, minLength: 1, maxLength: 3 });
const patternLabel = fc.oneof(
  { weight: 5, arbitrary: labelText },
  { weight: 2, arbitrary: fc.constantFrom('*', '**', '***') },
  { weight: 3, arbitrary: fc.array(fc.oneof(letter, fc.constant('*')), { minLength: 1, maxLength: 5 }).map((parts) => parts.join('')) },
);
const patternText = fc
  .tuple(fc.array(patternLabel, { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([labels, dot]) => labels.join('.').toLowerCase() + (dot || !isMatchAll(labels.join('.')) ? '.' : ''));
const wireLabel = fc.oneof(
  { weight: 8, arbitrary: labelText.map((text) => [...text].map((one) => one.charCodeAt(0))) },
  { weight: 1, arbitrary: fc.array(fc.oneof(oddByte, letter.map((one) => one.charCodeAt(0))), { minLength: 1, maxLength: 4 }) },
);
const freeName = fc.array(wireLabel, { maxLength: 5 });

t.test('a name table gives the verdict of one regular expression per pattern', (t) => {
  let compared = 0;
  fc.assert(
    fc.property(
      fc.array(patternText, { minLength: 1, maxLength: 12 }),
      fc.constantFrom<PatternContext>('dns', 'fqdn'),
      fc.array(freeName, { minLength: NAMES_PER_RUN, maxLength: NAMES_PER_RUN }),
      fc.nat(40),
      (patterns, context, names, offset) => {
        const table = NameTable.compile(patterns.map((text, value) => ({ pattern: parsePattern(text, context), value })));
        const oracles = patterns.map((text) => oracle(text, context));
        const view = new QueryView();
        // Names that lean on the patterns: each star replaced by something, or the bare text.
        const derived = patterns.map((text) => text.replace(/\*+\.?/g, (stars) => (stars.endsWith('.') ? 'ab.a.' : 'B')).split('.').filter((one) => one !== ''));
        const all = [...names, ...derived.map((labels) => labels.map((one) => [...one].map((c) => c.charCodeAt(0))))];
        for (const labels of all) {
          const wire = Uint8Array.from([...new Array<number>(offset).fill(0xee), ...labels.flatMap((one) => [one.length, ...one]), 0]);
          scanName(wire, offset, wire.length, view);
          const text = presentation(labels);
          const expected = oracles.findIndex((test) => test(text));
          compared++;
          if (table.match(wire, view) !== expected) {
            throw new Error(`${JSON.stringify(patterns)} ${context} ${nameToString(wire, offset, offset)}: expected ${expected}, got ${table.match(wire, view)}`);
          }
        }
      },
    ),
    { numRuns: RUNS },
  );
  t.ok(compared >= 100_000, `${compared} names compared`);
  t.end();
});

/** Deliberately dumb: the pattern as one regular expression over the text of the name. */
function oracle(pattern: string, context: PatternContext): (name: string) => boolean {
  const bare = pattern.replace(/\.$/, '');
  if (/^\*+$/.test(bare)) {
    if (context === 'dns') return () => true;
    return (name) => /^(([-a-zA-Z0-9_]+[.])+|[.])$/.test(name);
  }
  let rest = pattern.endsWith('.') ? pattern : `${pattern}.`;
  let source = '';
  const leading = /^\*\*+[.]/.exec(rest);
  if (leading !== null) {
    source = '([-a-zA-Z0-9_]+[.])+';
    rest = rest.slice(leading[0].length);
  }
  source += rest.replace(/\./g, '[.]').replace(/\*+/g, '[-a-zA-Z0-9_]*');
  const expression = new RegExp(`^${source}$`);
  return (name) => expression.test(name);
}

/** Lower case, with its final dot; bytes that a text could not hold plainly are escaped, so no wildcard matches them. */
function presentation(labels: readonly (readonly number[])[]): string {
  if (labels.length === 0) return '.';
  const text = (byte: number): string => {
    const one = String.fromCharCode(byte).toLowerCase();
    return /[-a-z0-9_]/.test(one) && byte < 0x80 ? one : `\\${String(byte).padStart(3, '0')}`;
  };
  return labels.map((label) => `${label.map(text).join('')}.`).join('');
}
