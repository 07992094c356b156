/** All experiments, in the order in which they are listed. */
import { agentImageBroken } from '../experiments/agent-image-broken.js';
import { apiServerCut } from '../experiments/api-server-cut.js';
import { nodeDrained } from '../experiments/node-drained.js';
import { podsDeleted } from '../experiments/pods-deleted.js';
import { rollingUpgrade } from '../experiments/rolling-upgrade.js';
import type { Experiment } from './experiment.js';

export const EXPERIMENTS: readonly Experiment[] = [agentImageBroken, podsDeleted, nodeDrained, apiServerCut, rollingUpgrade];
