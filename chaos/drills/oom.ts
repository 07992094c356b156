import { Child } from '#harness/child.js';
import { until } from '#harness/until.js';
import { Cgroup } from '../lib/cgroup.js';
import { NOTHING_LOST } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';
import { nativeTool } from '../lib/native.js';

const ROOM_BYTES = 8 << 20;
const HOG_MEGABYTES = 32;
const DEADLINE_MS = 10_000;

export const oom: Drill = {
  name: 'oom',
  hypothesis: 'A member that the kernel kills for want of memory is replaced like any other that is killed.',
  steadyState: 'Both members answer; no query is lost, answered twice or answered wrongly.',
  fault: 'agent runs in a cgroup whose memory a neighbour in it eats up; the kernel kills agent.',
  expected: NOTHING_LOST,
  abort: { afterSeconds: 60, lostMost: 5_000 },
  needs: ['root', 'cgroup-memory'],
  run: async (stage) => {
    const group = Cgroup.create('memory');
    let hog: Child | null = null;
    try {
      await stage.drain('agent');
      // Memory counts for the cgroup in which it was first touched: so agent starts there, as the one to be killed first.
      await stage.launch('agent', { prefix: ['sh', '-c', 'echo $$ > "$0" && echo 1000 > /proc/self/oom_score_adj && exec "$@"', group.procs] });
      await stage.redundant();
      await stage.calm();
      await stage.answeredFor('agent', async () => {
        group.limitMemory(group.memoryBytes + ROOM_BYTES);
        stage.fault('a neighbour of agent takes the memory of their cgroup');
        hog = new Child(nativeTool('hog'), [group.procs, String(HOG_MEGABYTES)]);
        const exit = await stage.ended('agent');
        stage.proveKilled('agent', exit);
        stage.prove('the kernel killed it for want of memory', group.oomKills >= 1, `${String(group.oomKills)} kills`);
        await stage.calm();
      });
      await until('the neighbour to have its memory', DEADLINE_MS, () => (hog!.standardOutput.includes('ready') ? true : null));
      await stage.launch('agent');
      await stage.redundant();
    } finally {
      await (hog as Child | null)?.stop();
      group.remove();
    }
  },
};
