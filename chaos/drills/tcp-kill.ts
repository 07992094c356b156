import { NOTHING_LOST, TCP_FLAGS } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';
import { alternating, underKill } from '../lib/faults.js';

export const tcpKill: Drill = {
  name: 'tcp-kill',
  hypothesis: 'Established TCP connections outlive the member that accepted them: its peer answers the queries in them, also those that were half written.',
  steadyState: 'Both members answer on new connections, some with split writes, some with four queries at once.',
  fault: 'SIGKILL to agent and dns-proxy in turn (--repeat: how many), each started again.',
  expected: NOTHING_LOST,
  expectedOfControl: [{ figure: 'lost', atLeast: 1 }],
  abort: { afterSeconds: 60, lostMost: 2_000 },
  protocol: 'tcp',
  flags: TCP_FLAGS,
  repeat: 4,
  run: (stage) => alternating(stage, stage.options.repeat, (role) => underKill(stage, role)),
};
