import { NEVER_TWICE } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';
import { stopThread } from '../lib/processes.js';
import type { Stage } from '../lib/stage.js';

const POINTS = ['steal-before-swap', 'steal-after-swap'] as const;
const HANG_MS = 200;
/** Of what the hung one owes, the query at which the thief dies. */
const STOLEN_BEFORE = 3;

export const killThief: Drill = {
  name: 'kill-thief',
  hypothesis: 'Beyond the promise, two faults at once: a member that dies while it takes queries from one that hangs leaves none unanswered; those that it had taken may be what killed it and get SERVFAIL.',
  steadyState: 'Both members answer; no query is lost, answered twice or answered wrongly.',
  fault: `agent is stopped; dns-proxy kills itself at ${POINTS.join(', then at ')} as it takes the ${String(STOLEN_BEFORE)}rd query; agent goes on ${String(HANG_MS)} ms later.`,
  expected: [
    { figure: 'lost', atMost: 0 }, NEVER_TWICE, { figure: 'wrong', atMost: 0 }, { figure: 'refused', atMost: 0 },
    { figure: 'failed', atMost: POINTS.length * STOLEN_BEFORE },
  ],
  abort: { afterSeconds: 60, lostMost: 5_000 },
  run: async (stage) => {
    await stage.drain('dns-proxy');
    for (const point of POINTS) await killThiefAt(stage, point);
    await stage.launch('dns-proxy');
    await stage.redundant();
  },
};

/** The thief dies with some queries taken and some not; the hung owner has to find out which are whose. */
async function killThiefAt(stage: Stage, point: string): Promise<void> {
  await stage.launch('dns-proxy', { environment: { TANDEM_FAULTS: `kill-at=${point}:${String(STOLEN_BEFORE)}` } });
  await stage.redundant();
  stage.fault('stop agent');
  await stopThread(stage.pair.member('agent').pid);
  const exit = await stage.ended('dns-proxy');
  stage.fault(`dns-proxy killed itself at ${point}`);
  stage.proveKilled('dns-proxy', exit);
  await stage.calm(HANG_MS);
  stage.resume('agent');
  await stage.calm();
}
