/** What an experiment on a cluster is: a statement, a fault that is staged under load, and what undoes it, whatever has happened. */
import { NOTHING_LOST } from '../../lib/drill.js';
import type { Expectation, Statement } from '../../lib/drill.js';
import type { Stage } from './stage.js';

export type Need = 'other-images' | 'cut';

export interface Experiment extends Statement {
  readonly needs?: readonly Need[];
  /** Stages the fault, under load. */
  readonly run: (stage: Stage) => Promise<void>;
  /** Brings the cluster to where it was, from wherever `run` has come to. It may be called when nothing was done. */
  readonly undo: (stage: Stage) => Promise<void>;
}

/** Of what may be asked all is answered; of what may not, nothing. `wrong` are names that were answered though they are denied. */
export const GOES_ON: readonly Expectation[] = NOTHING_LOST;

export const STEADY = 'Both DaemonSets are rolled out; a pod asks, and each allowed name is answered, each denied one refused.';
