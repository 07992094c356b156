import { ROLES } from '#harness/pair.js';
import { NOTHING_LOST } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';
import { passesOf } from '../lib/faults.js';
import type { Stage } from '../lib/stage.js';

const POINTS = ['before-receive', 'after-receive', 'mid-batch', 'after-take', 'before-send', 'after-send'] as const;

export const killAtCodePoints: Drill = {
  name: 'kill-at-code-points',
  hypothesis: 'There is no instruction between a system call and its bookkeeping at which a death loses a query.',
  steadyState: 'Both members answer; no query is lost, answered twice or answered wrongly.',
  fault: 'Each member in turn kills itself at before-receive, after-receive, mid-batch, after-take, before-send and after-send; each is started again with the next one planted.',
  expected: NOTHING_LOST,
  abort: { afterSeconds: 180, lostMost: 5_000 },
  run: async (stage) => {
    for (const role of ROLES) {
      await stage.drain(role);
      for (const point of POINTS) await killAt(stage, role, point);
      await stage.launch(role);
      await stage.redundant();
    }
  },
};

async function killAt(stage: Stage, role: 'agent' | 'dns-proxy', point: string): Promise<void> {
  await stage.launch(role, { environment: { TANDEM_FAULTS: `kill-at=${point}:${String(2 * passesOf(stage))}` } });
  await stage.redundant();
  await stage.answeredFor(role, async () => {
    const exit = await stage.ended(role);
    stage.fault(`${role} killed itself at ${point}`);
    stage.proveKilled(role, exit);
    await stage.calm();
  });
}
