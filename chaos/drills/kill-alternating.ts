import { NOTHING_LOST } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';
import { alternating, underKill } from '../lib/faults.js';

export const killAlternating: Drill = {
  name: 'kill-alternating',
  hypothesis: 'Kills of either side, one after the other, each once redundancy is restored, lose nothing however many they are.',
  steadyState: 'Both members answer; no query is lost, answered twice or answered wrongly.',
  fault: 'SIGKILL to agent and dns-proxy in turn (--repeat: how many), each started again.',
  expected: NOTHING_LOST,
  expectedOfControl: [{ figure: 'lost', atLeast: 1 }],
  abort: { afterSeconds: 180, lostMost: 5_000 },
  repeat: 20,
  run: (stage) => alternating(stage, stage.options.repeat, (role) => underKill(stage, role)),
};
