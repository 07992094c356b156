import { NEVER_TWICE, NOT_DELAYED, NOTHING_LOST } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';

const STOP_MS_LEAST = 10;
const STOP_MS_SPREAD = 140;
const PAUSE_MS_SPREAD = 120;

export const stopContStorm: Drill = {
  name: 'stop-cont-storm',
  hypothesis: 'Stops of random length, many of them shorter than it takes to notice, lose nothing: a false alarm is harmless.',
  steadyState: 'Both members answer; no query is lost, answered twice or answered wrongly.',
  fault: 'Random stops of 10 to 150 ms (--repeat: how many) of either member, never of both at once.',
  expected: [...NOTHING_LOST, NEVER_TWICE, NOT_DELAYED],
  abort: { afterSeconds: 60, lostMost: 5_000 },
  repeat: 40,
  run: async (stage) => {
    const before = await Promise.all([stage.metric('agent', 'takeovers'), stage.metric('dns-proxy', 'takeovers')]);
    for (let time = 0; time < stage.options.repeat; time++) {
      const role = stage.random() < 0.5 ? 'agent' : 'dns-proxy';
      await stage.hang(role, Math.round(STOP_MS_LEAST + stage.random() * STOP_MS_SPREAD));
      await stage.calm(Math.round(stage.random() * PAUSE_MS_SPREAD));
    }
    await stage.redundant();
    const after = await Promise.all([stage.metric('agent', 'takeovers'), stage.metric('dns-proxy', 'takeovers')]);
    stage.prove('agent was answered for', after[1] > before[1], `${String(after[1] - before[1])} times`);
    stage.prove('dns-proxy was answered for', after[0] > before[0], `${String(after[0] - before[0])} times`);
  },
};
