import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Launch } from '#harness/pair.js';
import { NOTHING_LOST } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';
import { faketimeLibrary } from '../lib/needs.js';
import { mappingsOf } from '../lib/cache.js';

const STEPS = ['+86400', '-86400', '+0'] as const;
const STEP_MS = 2_500;
const CACHE_SECONDS = '1';

export const clockStep: Drill = {
  name: 'clock-step',
  hypothesis: 'A step of the wall clock, forward or back, changes nothing: all that members compare is time since boot.',
  steadyState: 'Both members answer, with a wall clock of their own; no query is lost, answered twice or answered wrongly.',
  fault: 'The wall clock that agent sees goes a day ahead, a day back and right again, by Debian\'s faketime; the machine\'s own is not touched.',
  expected: NOTHING_LOST,
  abort: { afterSeconds: 60, lostMost: 5_000 },
  needs: ['faketime'],
  launch: (stage) => {
    const file = clockFile(stage.pair.folder);
    writeFileSync(file, '+0\n');
    const environment = {
      LD_PRELOAD: faketimeLibrary()!, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_CACHE_DURATION: CACHE_SECONDS, FAKETIME_DONT_FAKE_MONOTONIC: '1', DONT_FAKE_MONOTONIC: '1',
    };
    const agent: Launch = { environment };
    return Promise.resolve({ agent });
  },
  run: async (stage) => {
    const before = new Set(await mappingsOf(stage.pair, 'agent'));
    for (const step of STEPS) {
      writeFileSync(clockFile(stage.pair.folder), `${step}\n`);
      stage.fault(`wall clock of agent at ${step} s`);
      await stage.calm(STEP_MS);
      const date = await wallClock(stage.pair.http('agent', '/metrics'));
      const offset = (date - Date.now()) / 1_000;
      stage.prove(`agent sees its clock at ${step} s`, Math.abs(offset - Number(step)) < 60, `${offset.toFixed(0)} s`);
      await stage.redundant();
      const after = new Set(await mappingsOf(stage.pair, 'agent'));
      stage.prove('no mapping is forgotten', before.size > 0 && before.isSubsetOf(after), `${String(before.difference(after).size)} of ${String(before.size)}`);
    }
  },
};

function clockFile(folder: string): string {
  return join(folder, 'wall-clock');
}

/** From the Date header. */
async function wallClock(answer: Promise<{ readonly date: string }>): Promise<number> {
  return Date.parse((await answer).date);
}
