/**
 * One run of a drill: start, steady state without a fault, the fault under load, figures and verdict. Whatever happens,
 * the processes end with it.
 */
import { rmSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { ownAddress } from '#harness/address.js';
import { baseManifests, CLIENT_A, dnsPolicy } from '#harness/manifests.js';
import { formatServer, Pair, ROLES } from '#harness/pair.js';
import type { Launch, Role } from '#harness/pair.js';
import { boundText, holds } from './drill.js';
import type { Drill, Expectation, Figures, RunOptions, Statement } from './drill.js';
import { Load } from './load.js';
import type { LoadResult } from './load.js';
import { Sampler } from './sampler.js';
import type { Sample } from './sampler.js';
import { Stage } from './stage.js';
import type { Mark, Proof } from './stage.js';
import { Upstream } from './upstream.js';

export interface RunResult {
  readonly options: RunOptions;
  readonly figures: Figures | null;
  /** Each expected figure: the bound in words, and whether it held. */
  readonly verdicts: readonly { readonly bound: string; readonly value: number; readonly holds: boolean }[];
  readonly proofs: readonly Proof[];
  readonly marks: readonly Mark[];
  readonly samples: readonly Sample[];
  readonly load: LoadResult | null;
  /** Why it was broken off; null when it was not. */
  readonly aborted: string | null;
  readonly passed: boolean;
}

const STEADY_SECONDS = 2;
/** Where the fault's worst answer is held against this one's: the longer, the fairer. */
const STEADY_SECONDS_FOR_LATENCY = 6;
/** Until the fault, and after it has healed: what came late is still seen. */
const BEFORE_MS = 500;
const AFTER_MS = 500;
const WATCH_MS = 100;
const NAMES = 2_000;
const STEADY_SEED_OFFSET = 1_000_000;
/** Ends of the members' output that an aborted run shows. */
const OUTPUT_BYTES = 6_000;

/** What ends the run's processes, called the last first. Ctrl-C ends them through the harness. */
type Stops = (() => unknown)[];

export async function runOnce(drill: Drill, options: RunOptions): Promise<RunResult> {
  const stops: Stops = [];
  const record: { -readonly [K in Exclude<keyof RunRecord, 'aborted'>]: RunRecord[K] } = { stage: null, load: null, steady: null, samples: [], crossed: 0 };
  let aborted: string | null = null;
  try {
    const stage = record.stage = await setStage(drill, options, stops);
    const plan = {
      protocol: drill.protocol ?? 'udp', server: formatServer(stage.pair.server), bind: CLIENT_A, rate: options.rate, names: drill.names ?? NAMES,
    };
    const steadySeconds = drill.expected.some(({ above }) => above === 'steadyWorstMs') ? STEADY_SECONDS_FOR_LATENCY : STEADY_SECONDS;
    const sampler = new Sampler(stage.pair);
    stops.push(() => sampler.stop());
    record.steady = await (await Load.start({ ...plan, seconds: steadySeconds, seed: options.seed + STEADY_SEED_OFFSET })).finished();
    const crossedBefore = await sampler.crossed();
    requireSteady(record.steady, crossedBefore);
    const load = await Load.start({ ...plan, seconds: drill.abort.afterSeconds, seed: options.seed });
    stops.push(() => { load.kill(); });
    await stage.bothAnswer();
    await pause(BEFORE_MS);
    await unlessAborted(drill, load, drill.run(stage));
    stage.proveTaken();
    await pause(AFTER_MS);
    record.load = await load.stop();
    record.crossed = await sampler.crossed() - crossedBefore;
    record.samples = await sampler.stop();
  } catch (error) {
    aborted = describe(error);
    if (record.stage !== null) aborted += `\n${record.stage.pair.output().slice(-OUTPUT_BYTES)}`;
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
  return judge(drill, options, { ...record, aborted });
}

async function setStage(drill: Drill, options: RunOptions, stops: Stops): Promise<Stage> {
  const upstream = await Upstream.start(ownAddress, options.upstreamDelayMs);
  stops.push(() => upstream.child.stop());
  const patterns = ['*.bench.test'];
  const pair = await Pair.start({
    upstreams: [upstream],
    manifests: { ...baseManifests(ownAddress), 'policy-a.json': dnsPolicy('policy-a', { app: 'a' }, patterns, patterns) },
    roles: [],
    flags: [...drill.flags ?? [], ...options.slots === null ? [] : ['--slots', String(options.slots)]],
    environment: options.isControl ? { TANDEM_FAULTS: 'no-steal' } : {},
  });
  // Also when the process is told to end in between.
  const remove = (): void => {
    rmSync(pair.folder, { recursive: true, force: true });
  };
  process.once('exit', remove);
  stops.push(async () => {
    await pair.stop();
    process.off('exit', remove);
  });
  const launches: Partial<Record<Role, Launch>> = {};
  const stage = new Stage({ pair, upstream, options, launches, protocol: drill.protocol ?? 'udp' });
  Object.assign(launches, await drill.launch?.(stage));
  try {
    for (const role of ROLES) pair.launch(role, [], launches[role]);
    await Promise.all(ROLES.map((role) => pair.ready(role)));
    await stage.redundant();
  } catch (error) {
    throw new Error(`the pair did not start:\n${pair.output().slice(-OUTPUT_BYTES)}`, { cause: error });
  }
  return stage;
}

function requireSteady(steady: LoadResult, crossed: number): void {
  const { sent, answered, lost, wrong, failed, refused } = steady;
  const twice = twiceOf(steady);
  if (answered === sent && lost + wrong + failed + refused === 0 && twice <= crossed) return;
  throw new Error(`no steady state, before any fault: ${JSON.stringify({ sent, answered, lost, wrong, failed, refused, twice, crossed })}`);
}

/** Rejects when the drill's abort condition comes true first. */
async function unlessAborted(drill: Drill, load: Load, run: Promise<void>): Promise<void> {
  const state = { isOver: false };
  const watch = async (): Promise<void> => {
    while (!state.isOver) {
      const { lost } = load.progress;
      if (lost > drill.abort.lostMost) throw new Error(`aborted: ${String(lost)} queries lost, more than ${String(drill.abort.lostMost)}`);
      if (load.hasEnded) throw new Error(`aborted: the fault was not over after ${String(drill.abort.afterSeconds)} s`);
      await pause(WATCH_MS);
    }
  };
  try {
    await Promise.race([run, watch()]);
  } finally {
    state.isOver = true;
    run.catch(() => undefined); // after an abort nobody waits for it
  }
}

interface RunRecord {
  readonly stage: Stage | null;
  readonly load: LoadResult | null;
  readonly steady: LoadResult | null;
  readonly samples: readonly Sample[];
  readonly crossed: number;
  readonly aborted: string | null;
}

function judge(drill: Drill, options: RunOptions, { stage, load, steady, samples, crossed, aborted }: RunRecord): RunResult {
  const figures = load === null || steady === null || stage === null ? null : figuresOf(load, steady, stage, crossed);
  return resultOf(drill, options, { figures, proofs: stage?.proofs ?? [], marks: stage?.marks ?? [], samples, load, aborted });
}

/** The verdict over what a run has found: it passes when it came to its end, each figure is as expected, and the fault is proven. */
export function resultOf(drill: Statement, options: RunOptions, found: Omit<RunResult, 'options' | 'verdicts' | 'passed'>): RunResult {
  const { figures, proofs, aborted } = found;
  const expected: readonly Expectation[] = options.isControl ? (drill.expectedOfControl ?? []) : drill.expected;
  const verdicts = figures === null ? [] : expected.map((one) => ({ bound: boundText(one), value: figures[one.figure], holds: holds(one, figures) }));
  return {
    options, ...found, verdicts,
    passed: aborted === null && verdicts.length > 0 && verdicts.every((one) => one.holds) && proofs.length > 0 && proofs.every((one) => one.holds),
  };
}

const US_PER_MS = 1_000;

/** Answers to what was answered already, or was not asked. */
function twiceOf({ twice, unexpected }: LoadResult): number {
  return twice + unexpected;
}

function figuresOf(load: LoadResult, steady: LoadResult, stage: Stage, crossed: number): Figures {
  return {
    sent: load.sent, answered: load.answered, lost: load.lost, twice: twiceOf(load), crossed, wrong: load.wrong, failed: load.failed, refused: load.refused,
    worstMs: load.worstUs / US_PER_MS, worstHungMs: worstHungUs(load, stage.marks) / US_PER_MS, steadyWorstMs: steady.worstUs / US_PER_MS, convergeMs: stage.convergeMs,
  };
}

/** A stop that a member plants itself is seen a little after it began; what was sent just before waits as well. */
const HANG_BEFORE_MS = 50;
const NS_PER_MS = 1e6;

/** Other faults of the same run, such as the start of a process on a machine with few cores, have latencies of their own. */
export function worstHungUs(load: Pick<LoadResult, 'bins' | 'binMs' | 'startNs'>, marks: readonly Mark[]): number {
  const atMs = ({ atNs }: Mark): number => Number(atNs - BigInt(load.startNs)) / NS_PER_MS;
  let worstUs = 0;
  for (const [index, mark] of marks.entries()) {
    if (!mark.isHang) continue;
    const heal = marks.slice(index).find(({ kind }) => kind === 'heal');
    const from = Math.max(0, Math.floor((atMs(mark) - HANG_BEFORE_MS) / load.binMs));
    const to = heal === undefined ? load.bins.length : Math.ceil(atMs(heal) / load.binMs);
    for (const bin of load.bins.slice(from, to)) worstUs = Math.max(worstUs, bin[4]);
  }
  return worstUs;
}

export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}\n  ${describe(error.cause)}`;
}
