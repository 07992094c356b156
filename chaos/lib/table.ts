/** Runs as text: one row per run, then what did not hold. */
import type { Statement } from './drill.js';
import type { RunResult } from './run.js';
import type { Mark } from './stage.js';

const COLUMNS = ['run', 'sent', 'lost', 'twice', 'crossed', 'wrong', 'failed', 'refused', 'worst ms', 'in hang', 'without fault', 'converged ms', 'proofs', 'result'] as const;

export function statement(drill: Statement): string {
  return [
    `${drill.name}${drill.needs === undefined ? '' : ` (needs ${drill.needs.join(', ')})`}`, `  hypothesis    ${drill.hypothesis}`, `  steady state  ${drill.steadyState}`, `  fault         ${drill.fault}`,
    `  abort         after ${String(drill.abort.afterSeconds)} s, or when more than ${String(drill.abort.lostMost)} are lost`,
  ].join('\n');
}

export function tableOf(results: readonly RunResult[]): string {
  const rows = results.map((result, index) => {
    const held = `${String(result.proofs.filter((one) => one.holds).length)}/${String(result.proofs.length)}`;
    const { figures } = result;
    const cells = figures === null
      ? COLUMNS.slice(1, -2).map(() => '-')
      : [figures.sent, figures.lost, figures.twice, figures.crossed, figures.wrong, figures.failed, figures.refused, figures.worstMs.toFixed(1), figures.worstHungMs.toFixed(1), figures.steadyWorstMs.toFixed(1), figures.convergeMs.toFixed(0)].map(String);
    return [String(index + 1), ...cells, held, result.passed ? 'holds' : 'FAILS'];
  });
  const lines = [[...COLUMNS], ...rows];
  const widths = COLUMNS.map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  return lines.map((line) => line.map((cell, column) => cell.padStart(widths[column])).join('  ')).join('\n');
}

/** One line for each thing that is not as expected; empty when all is. */
export function complaintsOf(results: readonly RunResult[]): string[] {
  return results.flatMap((result, index) => {
    const of = `run ${String(index + 1)}: `;
    const { load } = result;
    const lost = load === null || load.lostShown.length === 0 ? [] : [`lost, wrong or answered twice, the first: ${load.lostShown.map((one) => `${one.name}${one.port === 0 ? '' : ` from port ${String(one.port)}`} at ${String(one.atMs)} ms (${one.why})`).join('; ')}`];
    const complaints = [
      ...(result.aborted === null ? [] : [result.aborted]),
      ...result.verdicts.filter((one) => !one.holds).map((one) => `expected ${one.bound}, was ${String(one.value)}`),
      ...result.proofs.filter((one) => !one.holds).map((one) => `not proven: ${one.what} (${one.detail})`),
      ...(result.proofs.length === 0 ? ['the fault is not proven to have happened'] : []),
    ];
    return [...complaints, ...(result.passed ? [] : [...lost, ...slowestOf(result)])].map((line) => of + line);
  });
}

const US_PER_MS = 1_000;
const NS_PER_MS = 1e6;
const SLOWEST_SHOWN = 3;

/** When the slowest answers were asked for, and what had been staged last by then. */
function slowestOf({ load, marks }: RunResult): string[] {
  if (load === null) return [];
  const slowest = load.bins.map((bin, index) => ({ atMs: index * load.binMs, ms: bin[4] / US_PER_MS })).sort((a, b) => b.ms - a.ms).slice(0, SLOWEST_SHOWN);
  return [`slowest: ${slowest.map(({ atMs, ms }) => `${ms.toFixed(0)} ms at ${String(atMs)} ms${markBefore(marks, BigInt(load.startNs), atMs)}`).join('; ')}`];
}

function markBefore(marks: readonly Mark[], startNs: bigint, atMs: number): string {
  const before = marks.map(({ atNs, text }) => ({ ms: Number(atNs - startNs) / NS_PER_MS, text })).findLast(({ ms }) => ms <= atMs);
  return before === undefined ? '' : ` (${(atMs - before.ms).toFixed(0)} ms after "${before.text}")`;
}
