import { ONCE } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';

const SILENT_MS = 4_000;
/** Two tries of a second, and what the promise adds. */
const ANSWER_MS_MOST = 2_600;

export const upstreamSilent: Drill = {
  name: 'upstream-silent',
  hypothesis: 'When the upstream says nothing, every query is answered SERVFAIL in bounded time; when it speaks again, all is as before.',
  steadyState: 'Both members answer; no query is lost, answered twice or answered wrongly.',
  fault: `The upstream takes questions and answers none for ${String(SILENT_MS / 1_000)} s.`,
  expected: [
    { figure: 'lost', atMost: 0 }, ONCE, { figure: 'wrong', atMost: 0 }, { figure: 'refused', atMost: 0 },
    { figure: 'failed', atLeast: 1_000 }, { figure: 'worstMs', atMost: ANSWER_MS_MOST },
  ],
  abort: { afterSeconds: 40, lostMost: 5_000 },
  run: async (stage) => {
    const before = await stage.upstream.silence(true);
    stage.fault('upstream silent');
    await stage.calm(SILENT_MS);
    const after = await stage.upstream.silence(false);
    stage.heal('upstream answers again');
    stage.prove('the upstream was asked and said nothing', after.asked > before.asked, `${String(after.asked - before.asked)} questions`);
    await stage.calm(ANSWER_MS_MOST);
    await stage.bothAnswer();
    await stage.redundant();
  },
};
