import { NOTHING_LOST } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';
import { underTellingKill } from '../lib/faults.js';

export const killAgent: Drill = {
  name: 'kill-agent',
  hypothesis: 'When agent is killed, its peer answers every query that it owed and all that wait in its sockets; started again, it gets its sockets back.',
  steadyState: 'Both members answer; no query is lost, answered twice or answered wrongly.',
  fault: 'SIGKILL to agent under load; it is started again once its peer answers alone.',
  expected: NOTHING_LOST,
  expectedOfControl: [{ figure: 'lost', atLeast: 1 }],
  abort: { afterSeconds: 30, lostMost: 5_000 },
  run: (stage) => underTellingKill(stage, 'agent'),
};
