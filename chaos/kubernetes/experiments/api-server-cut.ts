import { GOES_ON, STEADY } from '../lib/experiment.js';
import type { Experiment } from '../lib/experiment.js';

const CUT_MS = 10_000;

export const apiServerCut: Experiment = {
  name: 'api-server-cut',
  hypothesis: 'While a node does not reach the API server, its pods are served by the policy that it knows, new names too.',
  steadyState: STEADY,
  fault: `The node of the pod that asks is cut off from the API server for ${String(CUT_MS / 1_000)} s and longer.`,
  expected: GOES_ON,
  abort: { afterSeconds: 240, lostMost: 3_000 },
  needs: ['cut'],
  run: async (stage) => {
    const { cut } = stage.target.options;
    stage.fault('the node is cut off');
    await stage.target.must(cut!.off);
    stage.prove('the node does not reach the API server', !(await stage.target.succeeds(cut!.reaches)));
    await stage.calm(CUT_MS);
    await stage.goesOn('while it is cut off');
  },
  undo: async (stage) => {
    const { cut } = stage.target.options;
    await stage.target.must(cut!.on);
    stage.prove('the node reaches it again', await stage.target.succeeds(cut!.reaches));
    await stage.whole();
  },
};
