import { GOES_ON, STEADY } from '../lib/experiment.js';
import type { Experiment } from '../lib/experiment.js';
import { waitsFor } from '../lib/target.js';

const BROKEN = 'tandem-agent:does-not-exist';
const WITHOUT_MS = 3_000;

export const agentImageBroken: Experiment = {
  name: 'agent-image-broken',
  hypothesis: 'While no node can start an agent, allowed names are answered, new ones too, and opened; denied ones stay denied.',
  steadyState: STEADY,
  fault: 'The agent\'s image is patched to one that does not exist, and its pods are deleted on every node.',
  expected: GOES_ON,
  abort: { afterSeconds: 240, lostMost: 3_000 },
  run: async (stage) => {
    stage.fault('the agent\'s image does not exist');
    await stage.target.setImage('agent', BROKEN);
    await stage.deletePods('agent');
    const pods = await stage.podsSoon('agent', 'none but such as wait for their image', (all) => all.length > 0 && all.every((pod) => (waitsFor(pod) ?? '').includes('ImagePull')));
    stage.prove('every agent waits for its image', true, pods.map((pod) => `${pod.metadata.name} ${waitsFor(pod) ?? ''}`).join(', '));
    await stage.goesOn('without any agent');
    await stage.calm(WITHOUT_MS);
  },
  undo: async (stage) => {
    await stage.target.setImage('agent', stage.images.agent);
    await stage.whole();
  },
};
