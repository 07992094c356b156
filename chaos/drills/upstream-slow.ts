import { NOTHING_LOST } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';

/** Below the second after which a question is asked again. */
const SLOW_MS = 800;
const SLOW_FOR_MS = 3_000;
const EXTRA_MS = 150;

export const upstreamSlow: Drill = {
  name: 'upstream-slow',
  hypothesis: 'An upstream that takes long costs its own time and nothing else: thousands of queries wait at once, none is lost or shed.',
  steadyState: 'Both members answer; no query is lost, answered twice or answered wrongly.',
  fault: `The upstream takes ${String(SLOW_MS)} ms for each answer for ${String(SLOW_FOR_MS / 1_000)} s.`,
  expected: [...NOTHING_LOST, { figure: 'worstMs', atLeast: SLOW_MS }, { figure: 'worstMs', atMost: SLOW_MS + EXTRA_MS, above: 'steadyWorstMs' }],
  abort: { afterSeconds: 40, lostMost: 5_000 },
  run: async (stage) => {
    await stage.upstream.delay(SLOW_MS);
    stage.fault(`upstream takes ${String(SLOW_MS)} ms`);
    await stage.calm(SLOW_FOR_MS);
    const waiting = await Promise.all([stage.metric('agent', 'under_way'), stage.metric('dns-proxy', 'under_way')]);
    stage.prove('queries wait in both members', waiting.every((count) => count > 100), waiting.join(' and '));
    await stage.upstream.delay(stage.options.upstreamDelayMs);
    stage.heal('upstream as before');
    await stage.calm(2 * SLOW_MS);
    await stage.redundant();
  },
};
