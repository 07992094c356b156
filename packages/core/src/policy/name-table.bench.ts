/** What one name costs, scanned and looked up as for a query, under 1, 100 and 10,000 patterns: `npm run bench:micro -- --only name-table`. */
import { QueryView, nameFromString, scanName } from '@tandem/dns';
import { NameTable } from './name-table.js';
import { parsePattern } from './pattern.js';

const NAMES = 1024;
const NAME_BYTES = 64;
/** Prime, so that names come from all over the set. */
const STRIDE = 7919;

const patternSets: Readonly<Record<string, (i: number) => string>> = {
  exact: (i) => `h${i}.bench.test.`,
  'one label': (i) => `*.d${i}.bench.test.`,
  mixed: (i) => [`h${i}.bench.test.`, `*.d${i}.bench.test.`, `**.z${i}.test.`, `a*.g${i}.bench.test.`][i % 4],
};
const counts = [1, 100, 10_000];
const view = new QueryView();

/** Half of the names match. */
function looked(make: (i: number) => string, count: number): (times: number) => void {
  const table = NameTable.compile(Array.from({ length: count }, (_, value) => ({ pattern: parsePattern(make(value), 'dns'), value })));
  const scanned = new Uint8Array(NAMES * NAME_BYTES);
  const lengths = Array.from({ length: NAMES }, (_, i) => {
    const name = make((i * STRIDE) % count).replace('**', 'q.w').replace('*', 'w');
    const wire = nameFromString(i % 2 === 0 ? name : name.replace('test.', 'none.'));
    if (wire === null) throw new Error(name);
    scanned.set(wire, i * NAME_BYTES);
    return wire.length;
  });
  let next = 0;
  return (times) => {
    for (let n = 0; n < times; n++) {
      const i = next++ % NAMES;
      scanName(scanned, i * NAME_BYTES, i * NAME_BYTES + lengths[i], view);
      if ((table.match(scanned, view) >= 0) !== (i % 2 === 0)) throw new Error(`name ${i}`);
    }
  };
}

export const subjects: Readonly<Record<string, (times: number) => void>> = Object.fromEntries(
  Object.entries(patternSets).flatMap(([kind, make]) => counts.map((count) => [`${kind}, ${count} patterns`, looked(make, count)])),
);
