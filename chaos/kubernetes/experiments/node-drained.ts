import { ROLES } from '#harness/pair.js';
import { GOES_ON, STEADY } from '../lib/experiment.js';
import type { Experiment } from '../lib/experiment.js';

const DRAIN_SECONDS = 60;

export const nodeDrained: Experiment = {
  name: 'node-drained',
  hypothesis: 'Draining a node leaves both members where they are; pods that are still there are served to the end.',
  steadyState: STEADY,
  fault: 'kubectl drain of the node of the pod that asks, for pods that the drain\'s selector names; DaemonSets stay.',
  expected: GOES_ON,
  abort: { afterSeconds: 180, lostMost: 3_000 },
  run: async (stage) => {
    const { node, drainSelector } = stage.target.options;
    const uids = async (): Promise<string> => {
      const pods = await Promise.all(ROLES.map((role) => stage.target.pods(role)));
      return pods.flat().map(({ metadata }) => metadata.uid).sort().join(' ');
    };
    const before = await uids();
    stage.fault(`drain of ${node}`);
    const said = await stage.target.kubectl('drain', node, '--ignore-daemonsets', '--force', `--pod-selector=${drainSelector}`, `--timeout=${String(DRAIN_SECONDS)}s`);
    stage.prove('the node is drained', /evict|drained/.test(said), said.trim().split('\n').at(-1));
    stage.prove('both members are the same pods as before', await uids() === before);
    await stage.goesOn('on a drained node');
  },
  undo: async (stage) => {
    await stage.target.kubectl('uncordon', stage.target.options.node);
    await stage.whole();
  },
};
