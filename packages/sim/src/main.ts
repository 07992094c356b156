/**
 * `npm run sim`: seeds, many or one.
 *
 *   npm run sim -- --seeds N [--from S] [--workers W] [--plant NAME]
 *   npm run sim -- --seed S [--trace] [--plant NAME]
 *
 * Exit codes: 0 every promise kept, 1 one was broken, 64 usage.
 */
import { parseArgs } from 'node:util';
import { PLANTS, type PlantName } from './run/plants.js';
import { type Outcome, runPool } from './run/pool.js';
import { runSeed } from './run/seed.js';
import { Trace } from './run/trace.js';

const DEFAULT_SEEDS = 200;
const SEEDS_MAX = 10_000_000;
const SEED_MAX = 2 ** 32 - 1;
const WORKERS = 2;
const WORKERS_MAX = 64;
const FAILURES_SHOWN = 5;
const EXIT_USAGE = 64;

class Usage extends Error {}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function number(name: string, text: string | undefined, range: { readonly min: number; readonly max: number; readonly default: number }): number {
  if (text === undefined) return range.default;
  const value = Number(text);
  if (Number.isInteger(value) && value >= range.min && value <= range.max) return value;
  throw new Usage(`--${name} ${text}: allowed is a whole number from ${range.min} to ${range.max}`);
}

function plantNamed(text: string | undefined): PlantName | null {
  if (text === undefined) return null;
  if (Object.hasOwn(PLANTS, text)) return text as PlantName;
  throw new Usage(`--plant ${text}: there is no such defect; known are ${Object.keys(PLANTS).join(', ')}`);
}

/** Runs one seed and tells its story, whole or as far as it explains the failure. */
function showSeed(seed: number, plant: PlantName | null, isWhole: boolean): boolean {
  const trace = new Trace();
  const result = runSeed(seed, { plant, onEvent: trace.listener });
  if (isWhole) for (const line of trace.all()) say(line);
  else if (result.failure !== null) for (const line of trace.shortest(result.failure)) say(line);
  const { hash, queries, memberFaults, otherFaults, worstMs } = result;
  say(`seed ${seed}: ${queries} queries, ${memberFaults} member faults, ${otherFaults} others, slowest answer ${worstMs.toFixed(0)} ms, transcript ${hash}`);
  say(result.failure === null ? 'every promise kept' : `BROKEN: ${result.failure}`);
  return result.failure === null;
}

async function runMany(options: { from: number; seeds: number; workers: number; plant: PlantName | null }): Promise<boolean> {
  const startedMs = performance.now();
  const failures: Outcome[] = [];
  let ran = 0;
  const sums = { queries: 0, memberFaults: 0, otherFaults: 0, excused: 0 };
  await runPool({
    ...options,
    onOutcome: (outcome) => {
      ran++;
      sums.queries += outcome.queries;
      sums.memberFaults += outcome.memberFaults;
      sums.otherFaults += outcome.otherFaults;
      sums.excused += outcome.excused;
      if (outcome.failure !== null) failures.push(outcome);
      return failures.length < FAILURES_SHOWN;
    },
  });
  for (const { seed } of failures.sort((a, b) => a.seed - b.seed)) {
    say('');
    showSeed(seed, options.plant, false);
    say(`again: npm run sim -- --seed ${seed} --trace${options.plant === null ? '' : ` --plant ${options.plant}`}`);
  }
  const seconds = (performance.now() - startedMs) / 1000;
  say(`${ran} seeds from ${options.from} in ${seconds.toFixed(1)} s (${(ran / seconds).toFixed(1)} seeds/s, ${options.workers} processes): ` +
    `${sums.queries} queries, ${sums.memberFaults} member faults, ${sums.otherFaults} others, ${sums.excused} excused duplicates, ${failures.length} failures`);
  return failures.length === 0;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string' },
      from: { type: 'string' },
      seed: { type: 'string' },
      workers: { type: 'string' },
      plant: { type: 'string' },
      trace: { type: 'boolean' },
    },
  });
  const plant = plantNamed(values.plant);
  if (values.seed !== undefined) {
    return showSeed(number('seed', values.seed, { min: 0, max: SEED_MAX, default: 0 }), plant, values.trace === true) ? 0 : 1;
  }
  const isKept = await runMany({
    from: number('from', values.from, { min: 0, max: SEED_MAX, default: 1 }),
    seeds: number('seeds', values.seeds, { min: 1, max: SEEDS_MAX, default: DEFAULT_SEEDS }),
    workers: number('workers', values.workers, { min: 1, max: WORKERS_MAX, default: WORKERS }),
    plant,
  });
  return isKept ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  const isUsage = error instanceof Usage || (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS'));
  if (!isUsage) throw error;
  process.stderr.write(`sim: ${(error).message}\n`);
  process.exitCode = EXIT_USAGE;
}
