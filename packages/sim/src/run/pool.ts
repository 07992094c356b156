/** Many seeds over several processes: each takes the next chunk when it is done with one. */
import { fork } from 'node:child_process';
import type { SeedResult } from './seed.js';

/** A run makes much that dies at once. The processes take all cores: threads that collect garbage would only get in their way. */
const EXEC_ARGV = ['--max-semi-space-size=64', '--single-threaded-gc'];
/** Seeds that a process is given at once. */
const CHUNK = 20;

/** What crosses between processes. */
export type Outcome = Pick<SeedResult, 'seed' | 'hash' | 'queries' | 'memberFaults' | 'otherFaults' | 'excused' | 'worstMs' | 'failure'>;

export interface Order {
  readonly seeds: readonly number[];
  readonly plant: string | null;
}

export interface PoolOptions {
  readonly from: number;
  readonly seeds: number;
  readonly workers: number;
  readonly plant: string | null;
  /** Called with each outcome; false ends the run. */
  readonly onOutcome: (outcome: Outcome) => boolean;
}

/** Resolves when every seed ran, or the run was ended. Rejects when a process dies. */
export function runPool(options: PoolOptions): Promise<void> {
  let next = options.from;
  const end = options.from + options.seeds;
  let isEnded = false;
  const worker = new URL('./pool-worker.js', import.meta.url);
  const one = (): Promise<void> => new Promise((resolve, reject) => {
    const child = fork(worker, { execArgv: EXEC_ARGV });
    const order = (): void => {
      if (next >= end || isEnded) {
        child.disconnect();
        return;
      }
      const seeds = Array.from({ length: Math.min(CHUNK, end - next) }, (_, i) => next + i);
      next += seeds.length;
      child.send({ seeds, plant: options.plant } satisfies Order);
    };
    child.on('message', (message: Outcome | 'done') => {
      if (message === 'done') order();
      else if (!isEnded && !options.onOutcome(message)) isEnded = true;
    });
    child.on('error', reject);
    child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`a process of the simulation ended with code ${code}`))));
    order();
  });
  return Promise.all(Array.from({ length: options.workers }, one)).then(() => undefined);
}
