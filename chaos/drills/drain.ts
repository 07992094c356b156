import { NOTHING_LOST } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';
import { alternating } from '../lib/faults.js';

export const drain: Drill = {
  name: 'drain',
  hypothesis: 'A member that is asked to end hands its sockets and its work over, and ends with exit code 0; its successor gets the sockets back.',
  steadyState: 'Both members answer; no query is lost, answered twice or answered wrongly.',
  fault: 'SIGTERM to agent and dns-proxy in turn (--repeat: how many), each started again.',
  expected: NOTHING_LOST,
  abort: { afterSeconds: 60, lostMost: 5_000 },
  repeat: 4,
  run: (stage) => alternating(stage, stage.options.repeat, async (role) => {
    await stage.drain(role);
    await stage.calm();
    await stage.launch(role);
  }),
};
