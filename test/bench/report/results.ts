/** A run's outcome as it stands in the JSON file, and what follows from it: medians, ratios by round, goals. */
import { readFileSync } from 'node:fs';
import type { Goal, LoadShape, Member } from '../cases.js';
import { GOALS, TANDEM } from '../cases.js';
import type { Machine } from '../machine.js';
import type { Sample } from '../measure.js';
import { spreadOf } from '../statistics.js';
import type { Spread } from '../statistics.js';

/** Grows when a field changes its meaning. */
export const FORMAT = 1;

/** The run that docs/performance.md tells of, its page, and the part of it that is written by hand; from the root. */
export const LATEST = 'test/bench/results/latest.json';
export const PAGE = 'docs/performance.md';
export const NOTES = 'docs/performance-notes.md';

/** Where others took more of the measured core than this, in the median round, figures are no measure of what was measured. */
export const DISTURBANCE_MAX = 0.05;
/** Of the measured core, that both of a goal about queries a second must use. */
const CORES_MIN = 0.9;

export interface Results {
  readonly format: typeof FORMAT;
  /** ISO 8601, UTC: when the run began. */
  readonly when: string;
  /** Of the whole run. */
  readonly tookSeconds: number;
  readonly machine: Machine;
  readonly member: Member;
  readonly rounds: number;
  readonly seconds: number;
  readonly cases: readonly CaseResult[];
}

export interface CaseResult {
  readonly id: string;
  readonly title: string;
  readonly isPinned: boolean;
  readonly load: LoadShape;
  readonly rows: readonly Row[];
}

/** One contestant; a sample for each round. */
export interface Row {
  readonly name: string;
  readonly samples: readonly Sample[];
}

export interface GoalResult {
  readonly goal: Goal;
  /** null: its case was not run. */
  readonly ratio: Spread | null;
  /** Of queries per CPU second, where the goal is about speed. */
  readonly cpuRatio: Spread | null;
  /** `undecided`: others took too much of the measured core, or what is measured did not fill it. */
  readonly outcome: 'pass' | 'short' | 'undecided' | 'not run';
}

/** @throws Error where the file holds no results of this format. */
export function readResults(path: string): Results {
  const results = JSON.parse(readFileSync(path, 'utf8')) as Partial<Results>;
  if (results.format !== FORMAT) throw new Error(`${path}: format ${String(results.format)}, this version reads ${String(FORMAT)}`);
  return results as Results;
}

export function spreadBy(row: Row, value: (sample: Sample) => number): Spread {
  return spreadOf(row.samples.map(value));
}

/** Of one round each; null where one of the two is not in the case. */
export function ratioOf(one: CaseResult, of: string, to: string, value: (sample: Sample) => number): Spread | null {
  const [above, below] = [of, to].map((name) => one.rows.find((row) => row.name === name));
  if (above === undefined || below === undefined) return null;
  return spreadOf(above.samples.map((sample, round) => value(sample) / value(below.samples[round])));
}

export function goalResults(results: Results): GoalResult[] {
  return GOALS.map((goal) => {
    const one = results.cases.find(({ id }) => id === goal.caseId);
    const ratio = one === undefined ? null : ratioOf(one, goal.of, goal.to, (sample) => sample[goal.figure]);
    if (one === undefined || ratio === null) return { goal, ratio: null, cpuRatio: null, outcome: 'not run' };
    const compared = one.rows.filter(({ name }) => name === goal.of || name === goal.to);
    const disturbance = Math.max(...compared.map((row) => spreadBy(row, (sample) => sample.disturbance).median));
    // Else something else was the limit, and queries a second say nothing of the core.
    const isFull = goal.figure !== 'qps' || compared.every((row) => spreadBy(row, (sample) => sample.cores).median >= CORES_MIN);
    const cpuRatio = goal.figure === 'qps' ? ratioOf(one, goal.to, goal.of, (sample) => sample.cpuUsPerQuery) : null;
    const isMet = (goal.atLeast === undefined || ratio.median >= goal.atLeast) && (goal.atMost === undefined || ratio.median <= goal.atMost);
    return { goal, ratio, cpuRatio, outcome: disturbance > DISTURBANCE_MAX || !isFull ? 'undecided' : isMet ? 'pass' : 'short' };
  });
}

export function boundOf({ atLeast, atMost, stretch }: Goal): string {
  const bound = atLeast === undefined ? `≤ ${String(atMost)}×` : `≥ ${atLeast.toFixed(2)}×`;
  return stretch === undefined ? bound : `${bound}, stretch ${String(stretch)}×`;
}

/** Whom ratios of a case are to: Tandem, or the first where Tandem is in it several times. */
export function referenceOf(one: CaseResult): string {
  return one.rows.some(({ name }) => name === TANDEM) ? TANDEM : one.rows[0].name;
}

/** Answers that Tandem or the relay lost or gave wrongly, by case; empty when all is well. */
export function faultsOf(results: Results, names: readonly string[]): string[] {
  return results.cases.flatMap(({ id, rows }) => rows.filter(({ name }) => !names.includes(name)).flatMap(({ name, samples }) => {
    const [lost, wrong] = [samples.reduce((sum, one) => sum + one.lost, 0), samples.reduce((sum, one) => sum + one.wrong, 0)];
    return lost + wrong === 0 ? [] : [`${id}: ${name} lost ${String(lost)} and answered ${String(wrong)} wrongly`];
  }));
}
