/** One process of the pool: runs the seeds that it is told to. */
import type { Order, Outcome } from './pool.js';
import type { PlantName } from './plants.js';
import { runSeed } from './seed.js';

process.on('message', ({ seeds, plant }: Order) => {
  for (const each of seeds) {
    const { seed, hash, queries, memberFaults, otherFaults, excused, worstMs, failure } = runSeed(each, { plant: plant as PlantName | null });
    process.send!({ seed, hash, queries, memberFaults, otherFaults, excused, worstMs, failure } satisfies Outcome);
  }
  process.send!('done');
});
