import { availableParallelism } from 'node:os';
import t from 'tap';
import { type Outcome, runPool } from './pool.js';

const SEEDS = 500;
const SEEDS_MAX = 2 ** 32 - 1 - SEEDS;
const WORKERS_MAX = 2;
/** Some twenty seconds on two idle cores; a busy machine takes longer. */
const TIMEOUT_MS = 300_000;

t.setTimeout(TIMEOUT_MS);

t.test('seeds that nobody has seen before keep every promise', async (t) => {
  const from = Math.floor(Math.random() * SEEDS_MAX);
  t.comment(`seeds ${from} to ${from + SEEDS - 1}; again: npm run sim -- --seeds ${SEEDS} --from ${from}`);
  const failures: Outcome[] = [];
  let ran = 0;
  await runPool({
    from,
    seeds: SEEDS,
    workers: Math.min(WORKERS_MAX, availableParallelism()),
    plant: null,
    onOutcome: (outcome) => {
      ran++;
      if (outcome.failure !== null) failures.push(outcome);
      return true;
    },
  });
  t.equal(ran, SEEDS);
  t.strictSame(failures.map(({ seed, failure }) => `seed ${seed}: ${failure}`), []);
});
