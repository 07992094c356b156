import { ROLES } from '#harness/pair.js';
import { GOES_ON, STEADY } from '../lib/experiment.js';
import type { Experiment } from '../lib/experiment.js';

const TIMES = 3;

export const podsDeleted: Experiment = {
  name: 'pods-deleted',
  hypothesis: 'Pods of either member may be deleted on every node, again and again, also those of both at once: no query notices.',
  steadyState: STEADY,
  fault: `All pods of the agent are deleted, then all of dns-proxy, ${String(TIMES)} times in turn; then those of both.`,
  expected: GOES_ON,
  abort: { afterSeconds: 300, lostMost: 3_000 },
  run: async (stage) => {
    for (let time = 0; time < TIMES; time++) {
      for (const role of ROLES) {
        const before = new Set((await stage.target.pods(role)).map(({ metadata }) => metadata.uid));
        stage.fault(`pods of ${role} deleted`);
        await stage.deletePods(role);
        const after = await stage.podsSoon(role, 'other pods', (pods) => pods.length >= before.size && pods.every(({ metadata }) => !before.has(metadata.uid)));
        await stage.whole();
        stage.prove(`pods of ${role} were replaced`, true, after.map(({ metadata }) => metadata.name).join(', '));
      }
    }
    stage.fault('pods of both deleted');
    await Promise.all(ROLES.map((role) => stage.deletePods(role)));
    await Promise.all(ROLES.map((role) => stage.podsSoon(role, 'no pod that is ending', (pods) => pods.length > 0 && pods.every(({ metadata }) => metadata.deletionTimestamp === undefined))));
    await stage.whole();
    await stage.goesOn('afterwards');
  },
  undo: (stage) => stage.whole(),
};
