/** The command line of the drills: options, and which runs follow from them. */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { DRILLS } from './catalogue.js';
import { boundText } from './drill.js';
import type { Drill } from './drill.js';
import { buildTools } from './native.js';
import { missingNeed } from './needs.js';
import { reportOf } from './report.js';
import { runOnce } from './run.js';
import type { RunResult } from './run.js';
import { complaintsOf, statement, tableOf } from './table.js';

export const EXIT = { ok: 0, failed: 1, usage: 64, unavailable: 69 } as const;

const USAGE = `usage: tandem drill --list [-o table|json]
       tandem drill NAME [--runs N] [--rate N] [--upstream-delay MS] [--slots N] [--repeat N] [--seed N] [--control] [-o table|json] [--report FILE.html]
`;

const DEFAULT_RATE = { udp: 5_000, tcp: 400 } as const;
const DEFAULT_UPSTREAM_DELAY_MS = 5;

/** Smallest and largest allowed. */
const RANGES = {
  runs: [1, 100], rate: [1, 100_000], 'upstream-delay': [0, 2_000], slots: [64, 32_767], repeat: [1, 1_000], seed: [0, 2 ** 31 - 1],
} as const;

type NumberOption = keyof typeof RANGES;

class UsageError extends Error {}

interface Plan {
  readonly drill: Drill;
  readonly runs: number;
  readonly rate: number;
  readonly upstreamDelayMs: number;
  readonly slots: number | null;
  readonly repeat: number;
  readonly seed: number;
  readonly isControl: boolean;
  readonly isJson: boolean;
  readonly report: string | null;
}

const OPTIONS = {
  list: { type: 'boolean', default: false }, runs: { type: 'string' }, rate: { type: 'string' }, 'upstream-delay': { type: 'string' }, slots: { type: 'string' },
  repeat: { type: 'string' }, seed: { type: 'string' }, control: { type: 'boolean', default: false }, output: { type: 'string', short: 'o', default: 'table' }, report: { type: 'string' },
} as const;

export async function runMain(argv: readonly string[]): Promise<number> {
  try {
    const { values, positionals } = parse(argv);
    if (values.output !== 'table' && values.output !== 'json') throw new UsageError('--output is table or json');
    if (values.list) {
      process.stdout.write(listText(values.output === 'json'));
      return EXIT.ok;
    }
    return await runPlan(planOf(values, positionals));
  } catch (error) {
    process.stderr.write(`drill: ${error instanceof Error ? error.message : String(error)}\n${error instanceof UsageError ? USAGE : ''}`);
    return error instanceof UsageError ? EXIT.usage : EXIT.unavailable;
  }
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], allowPositionals: true, options: OPTIONS });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function planOf(values: ReturnType<typeof parse>['values'], positionals: readonly string[]): Plan {
  const drill = DRILLS.find(({ name }) => name === positionals[0]);
  if (positionals.length !== 1) throw new UsageError('the name of one drill is expected');
  if (drill === undefined) throw new UsageError(`there is no drill ${JSON.stringify(positionals[0])}; there are ${DRILLS.map(({ name }) => name).join(', ')}`);
  if (values.control && drill.expectedOfControl === undefined) throw new UsageError(`${drill.name} has no control run`);
  if (values.repeat !== undefined && drill.repeat === undefined) throw new UsageError(`${drill.name} stages its fault once`);
  const number = (name: NumberOption, fallback: number): number => numberOf(name, values[name], fallback);
  return {
    drill,
    runs: number('runs', 1),
    rate: number('rate', drill.rate ?? DEFAULT_RATE[drill.protocol ?? 'udp']),
    upstreamDelayMs: number('upstream-delay', drill.upstreamDelayMs ?? DEFAULT_UPSTREAM_DELAY_MS),
    slots: values.slots === undefined ? null : number('slots', 0),
    repeat: number('repeat', drill.repeat ?? 1),
    seed: number('seed', 1),
    isControl: values.control,
    isJson: values.output === 'json',
    report: values.report ?? null,
  };
}

function numberOf(name: NumberOption, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  const [least, most] = RANGES[name];
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < least || number > most) throw new UsageError(`--${name} must be a whole number from ${String(least)} to ${String(most)}, not ${JSON.stringify(text)}`);
  return number;
}

/** What `--list -o json` gives for each drill, and the report's head. */
export function statementView({ name, hypothesis, steadyState, fault, expected, expectedOfControl, abort, needs, repeat }: Drill): object {
  return {
    name, hypothesis, steadyState, fault, expected: expected.map(boundText), expectedOfControl: expectedOfControl?.map(boundText) ?? null, abort, needs: needs ?? [],
    repeat: repeat ?? null,
  };
}

function listText(isJson: boolean): string {
  if (isJson) return `${JSON.stringify(DRILLS.map(statementView), null, 2)}\n`;
  return DRILLS.map((drill) => `${statement(drill)}\n  expected      ${drill.expected.map(boundText).join(', ')}\n`).join('\n');
}

async function runPlan(plan: Plan): Promise<number> {
  const { drill } = plan;
  const missing = missingNeed(drill);
  if (missing !== null) {
    process.stderr.write(`drill: ${drill.name}: ${missing}\n`);
    return EXIT.unavailable;
  }
  buildTools();
  const say = (text: string): void => {
    if (!plan.isJson) process.stdout.write(`${text}\n`);
  };
  say(`${statement(drill)}\n`);
  const results: RunResult[] = [];
  for (let run = 0; run < plan.runs; run++) {
    const { rate, upstreamDelayMs, slots, isControl, repeat } = plan;
    results.push(await runOnce(drill, { rate, upstreamDelayMs, slots, isControl, repeat, seed: plan.seed + run }));
  }
  say(tableOf(results));
  for (const line of complaintsOf(results)) say(`  ${line}`);
  const passed = results.every((one) => one.passed);
  process.stdout.write(`${JSON.stringify(plan.isJson ? fullView(plan, results) : shortView(plan, results), null, plan.isJson ? 2 : 0)}\n`);
  if (plan.report !== null) writeFileSync(plan.report, reportOf(drill, results));
  return passed ? EXIT.ok : EXIT.failed;
}

function shortView({ drill, rate, upstreamDelayMs, slots, isControl, repeat }: Plan, results: readonly RunResult[]): object {
  return {
    drill: drill.name, rate, upstreamDelayMs, slots, isControl, repeat, passed: results.every((one) => one.passed),
    runs: results.map(({ figures, passed, options }) => ({ passed, seed: options.seed, ...figures })),
  };
}

function fullView(plan: Plan, results: readonly RunResult[]): object {
  return {
    ...shortView(plan, results), statement: statementView(plan.drill),
    runs: results.map(({ options, figures, verdicts, proofs, aborted, passed, load }) => ({
      passed, options, figures, verdicts, proofs, aborted, lostShown: load?.lostShown ?? [],
      percentilesUs: load === null ? null : { p50: load.p50Us, p99: load.p99Us, p999: load.p999Us },
    })),
  };
}
