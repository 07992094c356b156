/**
 * One run of an experiment: the cluster whole, steady state without a fault, the fault under load, undo, figures and verdict. What was done is
 * undone whatever happens.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Figures, RunOptions } from '../../lib/drill.js';
import { describe, resultOf } from '../../lib/run.js';
import type { RunResult } from '../../lib/run.js';
import type { Experiment } from './experiment.js';
import { requireUninterrupted } from './interruption.js';
import { Probe } from './probe.js';
import type { ProbeResult } from './probe.js';
import { Stage } from './stage.js';
import type { Target } from './target.js';

const STEADY_SECONDS = 3;
/** Before the fault and after the end of its undoing: what comes late is still seen. */
const CALM_MS = 1_000;
const WATCH_MS = 200;
/** Denied names are asked for so often a second. */
const DENIED_RATE = 50;
/** For the undoing, beyond the time of the experiment itself. */
const UNDO_SECONDS = 300;

interface Pair {
  readonly allowed: ProbeResult;
  readonly denied: ProbeResult;
}

class Probes {
  private readonly probes: readonly [Probe, Probe];

  private constructor(probes: readonly [Probe, Probe]) {
    this.probes = probes;
  }

  static async start({ options }: Target, rate: number, seconds: number): Promise<Probes> {
    const { probe: command, names } = options;
    const allowed = await Probe.start({ command, names: names.allowed, rate, seconds });
    return new Probes([allowed, await Probe.start({ command, names: names.denied, rate: DENIED_RATE, seconds })]);
  }

  get lostSoFar(): number {
    return this.probes[0].lostSoFar + this.probes[1].lostSoFar;
  }

  get hasEnded(): boolean {
    return this.probes.some((one) => one.hasEnded);
  }

  async finished(): Promise<Pair> {
    const [allowed, denied] = await Promise.all(this.probes.map((one) => one.finished()));
    return { allowed, denied };
  }

  async stop(): Promise<Pair> {
    const [allowed, denied] = await Promise.all(this.probes.map((one) => one.stop()));
    return { allowed, denied };
  }

  /** Also where they run: what is ended here alone goes on in the pod. */
  async end(): Promise<void> {
    for (const one of this.probes) if (!one.hasEnded) await one.stop().catch(() => { one.kill(); });
  }
}

export async function runOnce(experiment: Experiment, target: Target, rate: number): Promise<RunResult> {
  const options: RunOptions = { rate, upstreamDelayMs: 0, slots: null, isControl: false, repeat: 1, seed: 0 };
  let stage: Stage | null = null;
  let steady: Pair | null = null;
  let load: Pair | null = null;
  let aborted: string | null = null;
  let probes: Probes | null = null;
  try {
    requireUninterrupted();
    stage = await Stage.open(target);
    await stage.whole();
    steady = await (await Probes.start(target, rate, STEADY_SECONDS)).finished();
    requireSteady(steady);
    probes = await Probes.start(target, rate, experiment.abort.afterSeconds + UNDO_SECONDS);
    await pause(CALM_MS);
    try {
      await unlessAborted(experiment, probes, stage);
    } finally {
      await experiment.undo(stage);
    }
    await pause(CALM_MS);
    load = await probes.stop();
  } catch (error) {
    aborted = describe(error);
  } finally {
    await probes?.end();
  }
  const figures = stage === null || steady === null || load === null ? null : figuresOf(load, steady, stage);
  return resultOf(experiment, options, { figures, proofs: stage?.proofs ?? [], marks: stage?.marks ?? [], samples: [], load: null, aborted });
}

function requireSteady({ allowed, denied }: Pair): void {
  const isSteady = allowed.sent > 0 && allowed.codes.NOERROR === allowed.sent && denied.sent > 0 && denied.codes.REFUSED === denied.sent;
  if (!isSteady) throw new Error(`no steady state, before any fault: ${JSON.stringify({ allowed, denied })}`);
}

/** Rejects when the abort condition comes true first. Either way the experiment does nothing more afterwards: what undoes it is alone. */
async function unlessAborted({ abort, run }: Experiment, probes: Probes, stage: Stage): Promise<void> {
  const ending = new AbortController();
  const running = run(stage.until(ending.signal));
  const state = { isOver: false };
  const started = performance.now();
  const watch = async (): Promise<void> => {
    while (!state.isOver) {
      requireUninterrupted();
      if (probes.lostSoFar > abort.lostMost) throw new Error(`aborted: ${String(probes.lostSoFar)} queries lost, more than ${String(abort.lostMost)}`);
      if (probes.hasEnded) throw new Error('aborted: dnsperf has ended');
      if (performance.now() - started > abort.afterSeconds * 1_000) throw new Error(`aborted: the fault was not over after ${String(abort.afterSeconds)} s`);
      await pause(WATCH_MS);
    }
  };
  try {
    await Promise.race([running, watch()]);
  } finally {
    state.isOver = true;
    ending.abort(new Error('the experiment is broken off'));
    await running.catch(() => undefined);
  }
}

/** `refused` and `failed` are of names that are allowed, `wrong` denied names that were not refused. */
export function figuresOf({ allowed, denied }: Pair, steady: Pair, { convergeMs }: { readonly convergeMs: number }): Figures {
  const refused = allowed.codes.REFUSED ?? 0;
  return {
    sent: allowed.sent + denied.sent, answered: allowed.answered + denied.answered, lost: allowed.lost + denied.lost, twice: allowed.unexpected + denied.unexpected, crossed: 0,
    wrong: denied.answered - (denied.codes.REFUSED ?? 0), failed: allowed.answered - (allowed.codes.NOERROR ?? 0) - refused, refused,
    worstMs: Math.max(allowed.worstMs, denied.worstMs), worstHungMs: 0, steadyWorstMs: Math.max(steady.allowed.worstMs, steady.denied.worstMs), convergeMs,
  };
}
