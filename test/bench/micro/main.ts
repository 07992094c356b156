/**
 * `npm run bench:micro`: the hot modules' micro-benchmarks against the baseline, by ratios to a fixed loop, not by times. Prints a table;
 * exit code 1 when one costs more than gate.ts allows, or is not in the baseline. A subject that looks slower is measured again before that is said.
 *
 * Options: --only NAME[,NAME…] of the files; --write-baseline after a change that is meant.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { run } from '../../harness/child.js';
import { repositoryRoot } from '../../harness/repository.js';
import { isFailure, judge, TOLERANCE } from './gate.js';
import type { Finding } from './gate.js';
import type { Timing, Timings } from './measure.js';

/** Name → compiled file; beside each lies what it measures. */
const FILES: Readonly<Record<string, string>> = {
  'scan': 'packages/dns/dist/scan.bench.js',
  'name-table': 'packages/core/dist/policy/name-table.bench.js',
  'path': 'packages/core/dist/query/path.bench.js',
  'cache': 'packages/core/dist/fqdn/cache.bench.js',
  'slot': 'packages/node-reuseport/dist/slot.bench.js',
  'flow-writer': 'packages/host/dist/flows/flow-writer.bench.js',
  'open-elements': 'packages/datapath/dist/opener/open-elements.bench.js',
};
const BASELINE = join(repositoryRoot, 'test/bench/micro/baseline.json');
/** Processes: code lies elsewhere in memory in each, and is compiled anew. The best counts. */
const PROCESSES = 3;
const MORE_PROCESSES = 4;
const DEADLINE_MS = 120_000;

/** By subject, one of each process. */
const timings = new Map<string, Timing[]>();

async function measureFile(name: string): Promise<void> {
  const { code, output, standardOutput } = await run(process.execPath, [join(import.meta.dirname, 'measure.js'), join(repositoryRoot, FILES[name])], DEADLINE_MS);
  if (code !== 0) throw new Error(`${name} ended with ${String(code)}:\n${output}`);
  for (const [subject, timing] of Object.entries(JSON.parse(standardOutput) as Timings)) {
    timings.set(`${name}: ${subject}`, [...timings.get(`${name}: ${subject}`) ?? [], timing]);
  }
}

function findings(baseline: Readonly<Record<string, number>>, names: readonly string[]): Finding[] {
  const ofNames = Object.fromEntries(Object.entries(baseline).filter(([subject]) => names.includes(fileOf(subject))));
  return judge(ofNames, Object.fromEntries([...timings].map(([subject, list]) => [subject, leastRatio(list)])));
}

function leastRatio(list: readonly Timing[]): number {
  return Math.min(...list.map(({ ratio }) => ratio));
}

function fileOf(subject: string): string {
  return subject.slice(0, subject.indexOf(':'));
}

function nanosecondsOf(subject: string): string {
  const list = timings.get(subject);
  return list === undefined ? '' : Math.min(...list.map(({ nanoseconds }) => nanoseconds)).toFixed(1);
}

function namesOf(only: readonly string[] | undefined): string[] {
  const names = only?.flatMap((list) => list.split(',')) ?? Object.keys(FILES);
  const unknown = names.filter((name) => !(name in FILES));
  if (unknown.length > 0) throw new Error(`--only ${unknown.join(',')}: must be of ${Object.keys(FILES).join(', ')}`);
  return names;
}

function show(found: readonly Finding[]): void {
  const rows = found.map(({ subject, baseline, ratio, verdict }) => [
    subject, nanosecondsOf(subject), ratio?.toFixed(2) ?? '', baseline?.toFixed(2) ?? '', baseline === null || ratio === null ? '' : `${(ratio / baseline).toFixed(2)}×`, verdict,
  ]);
  const head = ['', 'ns', 'ratio', 'baseline', 'change', ''];
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column].length)));
  for (const row of [head, ...rows]) process.stdout.write(`${row.map((cell, i) => (i === 0 || i === 5 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ').trimEnd()}\n`);
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { 'only': { type: 'string', multiple: true }, 'write-baseline': { type: 'boolean' } } });
  const names = namesOf(values.only);
  const baseline = JSON.parse(readFileSync(BASELINE, 'utf8')) as Record<string, number>;
  for (let i = 0; i < PROCESSES; i++) for (const name of names) await measureFile(name);
  if (values['write-baseline'] === true) {
    const kept = Object.entries(baseline).filter(([subject]) => !names.includes(fileOf(subject)));
    const written = [...kept, ...[...timings].map(([subject, list]): [string, number] => [subject, Number(leastRatio(list).toPrecision(3))])];
    writeFileSync(BASELINE, `${JSON.stringify(Object.fromEntries(written.sort(([a], [b]) => (a < b ? -1 : 1))), null, 2)}\n`);
    show(findings(Object.fromEntries(written), names));
    return 0;
  }
  for (let i = 0; i < MORE_PROCESSES; i++) {
    const doubtful = new Set(findings(baseline, names).filter(({ verdict }) => verdict === 'slower').map(({ subject }) => fileOf(subject)));
    for (const name of doubtful) await measureFile(name);
  }
  const found = findings(baseline, names);
  show(found);
  const failures = found.filter(isFailure);
  process.stdout.write(failures.length === 0 ? `\nNone costs more than ${String(TOLERANCE)}× its baseline.\n` : `\n${String(failures.length)} of ${String(found.length)}: see above; --write-baseline if it is meant.\n`);
  return failures.length === 0 ? 0 : 1;
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`bench:micro: ${error instanceof Error ? error.message : String(error)}\n`);
  return 64;
});
