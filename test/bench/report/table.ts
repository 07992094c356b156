/** A run's results for a terminal. */
import { showSpread } from '../statistics.js';
import { boundOf, goalResults, ratioOf, referenceOf, spreadBy } from './results.js';
import type { CaseResult, Results } from './results.js';

export function tableOf(results: Results): string {
  const goals = goalResults(results).map(({ goal, ratio, cpuRatio, outcome }) => [
    goal.title, boundOf(goal), ratio === null ? '' : `${showSpread(ratio, 2)}×`, cpuRatio === null ? '' : `${showSpread(cpuRatio, 2)}×`, outcome,
  ]);
  return [
    ...results.cases.map(caseTable),
    aligned([[`median (min–max) of ${String(results.rounds)} rounds`, 'goal', 'ratio', 'by CPU time', ''], ...goals]),
  ].join('\n');
}

function caseTable(one: CaseResult): string {
  const reference = referenceOf(one);
  const head = [one.title, 'queries/s', 'CPU µs/query', 'cores', 'p50 µs', 'p99 µs', 'p99.9 µs', 'RSS MB', 'lost', 'wrong', `${reference} : it`];
  const rows = one.rows.map((row) => {
    const total = (value: 'lost' | 'wrong'): string => String(row.samples.reduce((sum, sample) => sum + sample[value], 0));
    return [
      row.name, showSpread(spreadBy(row, ({ qps }) => qps), 0), showSpread(spreadBy(row, (sample) => sample.cpuUsPerQuery), 2), spreadBy(row, ({ cores }) => cores).median.toFixed(2),
      ...(['p50Us', 'p99Us', 'p999Us'] as const).map((value) => spreadBy(row, (sample) => sample[value]).median.toFixed(0)),
      spreadBy(row, (sample) => sample.residentMb).median.toFixed(0), total('lost'), total('wrong'),
      row.name === reference ? '' : `${showSpread(ratioOf(one, reference, row.name, (sample) => (one.load.rateQps === null ? sample.qps : sample.p99Us))!, 2)}×`,
    ];
  });
  return aligned([head, ...rows]);
}

function aligned(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) => `${row.map((cell, column) => cell.padEnd(widths[column])).join('  ').trimEnd()}\n`).join('');
}
