/** Cost of one name (scanned and looked up, as per query) for 1, 100 and 10,000 patterns. Run: node packages/core/dist/policy/name-table.bench.js */
import { QueryView, nameFromString, scanName } from '@tandem/dns';
import { NameTable } from './name-table.js';
import { parsePattern } from './pattern.js';

const NAMES = 1024;
const NAME_BYTES = 64;
/** Prime, so that names come from all over the set. */
const STRIDE = 7919;
const ROUNDS = 200;
const REPEATS = 7;

const patternSets: Readonly<Record<string, (i: number) => string>> = {
  exact: (i) => `h${i}.bench.test.`,
  'one label': (i) => `*.d${i}.bench.test.`,
  mixed: (i) => [`h${i}.bench.test.`, `*.d${i}.bench.test.`, `**.z${i}.test.`, `a*.g${i}.bench.test.`][i % 4],
};
const counts = [1, 100, 10_000];
const scanned = new Uint8Array(NAMES * NAME_BYTES);
const view = new QueryView();
let sink = 0;

for (const [kind, make] of Object.entries(patternSets)) {
  const tables = counts.map((count) =>
    NameTable.compile(Array.from({ length: count }, (_, value) => ({ pattern: parsePattern(make(value), 'dns'), value }))),
  );
  const best = counts.map(() => Infinity);
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    // Interleaved: a busy machine slows all of them alike.
    tables.forEach((table, i) => {
      best[i] = Math.min(best[i], nanosecondsPerName(table, counts[i], make));
    });
  }
  const ratio = best[2] / best[0];
  process.stdout.write(
    `${kind.padEnd(10)} ${counts.map((count, i) => `${count}: ${best[i].toFixed(1)} ns`).join('  ')}  ratio ${ratio.toFixed(2)}\n`,
  );
}
process.stdout.write(`(${sink})\n`);

/** Half of the names match. */
function nanosecondsPerName(table: NameTable, count: number, make: (i: number) => string): number {
  const lengths = Array.from({ length: NAMES }, (_, i) => {
    const name = make((i * STRIDE) % count).replace('**', 'q.w').replace('*', 'w');
    const wire = nameFromString(i % 2 === 0 ? name : name.replace('test.', 'none.'));
    if (wire === null) throw new Error(name);
    scanned.set(wire, i * NAME_BYTES);
    return wire.length;
  });
  const start = process.hrtime.bigint();
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = 0; i < NAMES; i++) {
      scanName(scanned, i * NAME_BYTES, i * NAME_BYTES + lengths[i], view);
      sink += table.match(scanned, view);
    }
  }
  return Number(process.hrtime.bigint() - start) / (ROUNDS * NAMES);
}
