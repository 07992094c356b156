/**
 * A run: case after case; in each, every round measures all contestants, each time in the other direction, so that drift of the machine
 * hits all alike. Absolute figures drift with the machine's load; the ratio of two contestants in one round does not.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { ownAddress } from '../harness/address.js';
import { startNative } from '../harness/native.js';
import type { Case, Entry } from './cases.js';
import { startContestant } from './contestants.js';
import type { Contestant, Setting } from './contestants.js';
import { LOAD_CPU, pinnedTo } from './cpu.js';
import { measure } from './measure.js';
import type { Sample } from './measure.js';
import type { Plan } from './options.js';
import type { CaseResult } from './report/results.js';

/** Until code is compiled: a member that has just started takes two to three times the time a query. */
const WARM_UP_SECONDS = 5;
const WARM_UP_WINDOW = 1_000;
/**
 * Before each measurement. What a member learned more than half a minute ago is learned again when it is asked for; with nine contestants in
 * turn all names would fall due in every measurement, where under steady load a thirtieth of them does in a second.
 */
const REFRESH_SECONDS = 1;
const SETTLE_MS = 500;

export async function runCases(plan: Plan, say: (line: string) => void): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  for (const one of plan.cases) {
    say(`${one.id} (${String(results.length + 1)} of ${String(plan.cases.length)}): ${one.entries.map(({ name }) => name).join(', ')}`);
    results.push(await runCase(one, plan));
  }
  return results;
}

async function runCase(one: Case, plan: Plan): Promise<CaseResult> {
  const stops: (() => Promise<unknown>)[] = [];
  try {
    const upstream = await startNative('upstream', ['--listen', `${ownAddress}:0`], one.isPinned ? pinnedTo(LOAD_CPU) : []);
    stops.push(() => upstream.child.stop());
    const setting: Setting = { upstream: { address: ownAddress, port: upstream.port }, load: one.load, isPinned: one.isPinned };
    const contestants: Contestant[] = [];
    for (const entry of one.entries) contestants.push(await started(entry, setting, stops));
    const { load, isPinned } = one;
    // As fast as it goes, so that all names are known and all code is compiled; then as it will be measured: at a light load other code is hot.
    const warmUp = { ...load, rateQps: null, window: Math.min(load.window, WARM_UP_WINDOW), hasNewNames: false };
    for (const contestant of contestants) {
      await measure(contestant, { load: warmUp, isPinned, seconds: WARM_UP_SECONDS, seed: 0 });
      if (load.rateQps !== null) await measure(contestant, { load, isPinned, seconds: WARM_UP_SECONDS, seed: 0 });
    }
    const samples = new Map(contestants.map(({ name }) => [name, [] as Sample[]]));
    for (let round = 0; round < plan.rounds; round++) {
      for (const contestant of round % 2 === 0 ? contestants : [...contestants].reverse()) {
        await measure(contestant, { load: warmUp, isPinned, seconds: REFRESH_SECONDS, seed: round + 1 });
        await pause(SETTLE_MS);
        samples.get(contestant.name)!.push(await measure(contestant, { load, isPinned, seconds: plan.seconds, seed: round + 1 }));
      }
    }
    return { id: one.id, title: one.title, isPinned, load, rows: [...samples].map(([name, list]) => ({ name, samples: list })) };
  } finally {
    await Promise.all(stops.map((stop) => stop()));
  }
}

async function started(entry: Entry, setting: Setting, stops: (() => Promise<unknown>)[]): Promise<Contestant> {
  const contestant = await startContestant(entry, setting);
  stops.push(() => contestant.stop());
  return contestant;
}
