import { Cgroup } from '../lib/cgroup.js';
import { NEVER_TWICE, NOT_DELAYED, NOTHING_LOST } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';

const QUOTA_PERCENT = 2;
const STARVED_MS = 5_000;

export const starve: Drill = {
  name: 'starve',
  hypothesis: 'A member that gets next to no processor time is answered for whenever its heartbeat is late, and delays nothing.',
  steadyState: 'Both members answer; no query is lost, answered twice or answered wrongly.',
  fault: `agent is held to ${String(QUOTA_PERCENT)} % of a processor by its cgroup for ${String(STARVED_MS / 1_000)} s.`,
  expected: [...NOTHING_LOST, NEVER_TWICE, NOT_DELAYED],
  abort: { afterSeconds: 40, lostMost: 5_000 },
  needs: ['root', 'cgroup-cpu'],
  run: async (stage) => {
    const group = Cgroup.create('cpu');
    try {
      await stage.answeredFor('agent', async () => {
        group.add(stage.pair.member('agent').pid);
        stage.fault(`agent held to ${String(QUOTA_PERCENT)} % of a processor`, true);
        group.limitCpu(QUOTA_PERCENT);
        await stage.calm(STARVED_MS);
        stage.prove('agent was throttled', group.throttled > 0, `${String(group.throttled)} periods`);
        group.unlimitCpu();
        stage.heal('agent has its processor again');
      });
      await stage.redundant();
    } finally {
      group.remove();
    }
  },
};
