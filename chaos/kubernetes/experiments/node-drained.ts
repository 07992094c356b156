import { ROLES } from '#harness/pair.js';
import { GOES_ON, STEADY } from '../lib/experiment.js';
import type { Experiment } from '../lib/experiment.js';
import type { Stage } from '../lib/stage.js';
import { staysInDrain } from '../lib/target.js';
import type { PodView, Target } from '../lib/target.js';

const DRAIN_SECONDS = 60;

export const nodeDrained: Experiment = {
  name: 'node-drained',
  hypothesis: 'Draining a node leaves both members where they are; pods that are still there are served to the end.',
  steadyState: STEADY,
  fault: 'kubectl drain of the node of the pod that asks, for pods that the drain\'s selector names, the members among them; DaemonSets are ignored.',
  expected: GOES_ON,
  abort: { afterSeconds: 180, lostMost: 3_000 },
  run: async (stage) => {
    await drained(stage);
    await stage.goesOn('on a drained node');
  },
  undo: async (stage) => {
    await stage.target.kubectl('uncordon', stage.target.options.node);
    await stage.whole();
  },
};

/** @throws Error before anything is done if the selector keeps a member out, or names nothing that a drain evicts: the proofs could not fail then. */
export async function drained(stage: Stage): Promise<void> {
  const { target } = stage;
  const { node } = target.options;
  const members = await membersOf(target);
  const named = await target.podsToDrain();
  const kept = members.filter(({ metadata }) => !named.some((pod) => pod.metadata.uid === metadata.uid));
  if (members.length !== ROLES.length || kept.length > 0) {
    throw new Error(`"drainSelector" must name the pods of both members on ${node}; there are ${namesOf(members)}, and it leaves out ${namesOf(kept)}`);
  }
  const evicted = named.filter((pod) => !staysInDrain(pod));
  if (evicted.length === 0) throw new Error(`"drainSelector" names no pod on ${node} that a drain evicts`);
  stage.fault(`drain of ${node}`);
  await target.kubectl('drain', node, '--ignore-daemonsets', '--force', '--delete-emptydir-data', `--pod-selector=${target.options.drainSelector}`, `--timeout=${String(DRAIN_SECONDS)}s`);
  const left = new Set((await target.podsToDrain()).map(({ metadata }) => metadata.uid));
  stage.prove('what the drain evicts is gone', !evicted.some(({ metadata }) => left.has(metadata.uid)), namesOf(evicted));
  const after = await membersOf(target);
  const isSame = after.length === members.length && members.every(({ metadata: { uid } }) => after.some(({ metadata }) => metadata.uid === uid && metadata.deletionTimestamp === undefined));
  stage.prove('both members of the node, which the drain looked at, are the same pods as before', isSame, namesOf(after));
}

/** Those of the node that is drained. */
async function membersOf(target: Target): Promise<readonly PodView[]> {
  const pods = await Promise.all(ROLES.map((role) => target.pods(role)));
  return pods.flat().filter(({ spec }) => spec.nodeName === target.options.node);
}

function namesOf(pods: readonly PodView[]): string {
  return pods.length === 0 ? 'none' : pods.map(({ metadata }) => metadata.name).join(', ');
}
