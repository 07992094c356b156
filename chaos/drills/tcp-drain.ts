import { NOTHING_LOST, TCP_FLAGS } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';
import { alternating } from '../lib/faults.js';

export const tcpDrain: Drill = {
  name: 'tcp-drain',
  hypothesis: 'A member that is asked to end leaves no TCP connection without its answers.',
  steadyState: 'Both members answer on new connections, some with split writes, some with four queries at once.',
  fault: 'SIGTERM to agent and dns-proxy in turn (--repeat: how many), each started again.',
  expected: NOTHING_LOST,
  abort: { afterSeconds: 60, lostMost: 2_000 },
  protocol: 'tcp',
  flags: TCP_FLAGS,
  repeat: 4,
  run: (stage) => alternating(stage, stage.options.repeat, async (role) => {
    await stage.drain(role);
    await stage.calm();
    await stage.launch(role);
  }),
};
