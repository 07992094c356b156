import { NEVER_TWICE, NOT_DELAYED, NOTHING_LOST } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';
import { hangOften } from '../lib/faults.js';

export const hangAgent: Drill = {
  name: 'hang-agent',
  hypothesis: 'A member that stands still is noticed within three ticks of 10 ms and answered for; when it goes on, it answers nothing a second time.',
  steadyState: 'Both members answer; no query is lost, answered twice or answered wrongly.',
  fault: 'SIGSTOP for 400 ms, sent to the data plane\'s thread of agent (--repeat: how often); then agent is started with stops planted at code points (after-receive, mid-batch, before-send, after-send).',
  expected: [...NOTHING_LOST, NEVER_TWICE, NOT_DELAYED],
  abort: { afterSeconds: 60, lostMost: 5_000 },
  repeat: 3,
  run: (stage) => hangOften(stage, 'agent'),
};
