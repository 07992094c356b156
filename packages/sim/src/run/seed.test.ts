import t from 'tap';
import { withoutAmbience } from '../base/ambient.js';
import { PLANTS, type PlantName } from './plants.js';
import { REGRESSIONS } from './regressions.js';
import { runSeed } from './seed.js';

/** The bound within which a planted defect must be found. */
const PLANT_SEEDS_MAX = 1000;
const QUERIES_MIN = 2000;
const FAULTS_MIN = 3;

t.test('a seed has one transcript, however often it runs', (t) => {
  for (const seed of [1, 2, 8]) {
    const first = runSeed(seed);
    runSeed(seed + 100);
    const second = runSeed(seed);
    t.equal(second.hash, first.hash, `seed ${seed}`);
    t.equal(second.events, first.events);
    t.not(runSeed(seed + 1).hash, first.hash, `seed ${seed + 1}`);
  }
  t.end();
});

t.test('a listener changes nothing', (t) => {
  t.equal(runSeed(5, { onEvent: () => undefined }).hash, runSeed(5).hash);
  t.end();
});

t.test('a seed has its queries and its faults', (t) => {
  for (const seed of [11, 12, 13]) {
    const { queries, memberFaults, otherFaults } = runSeed(seed);
    t.ok(queries >= QUERIES_MIN);
    t.ok(memberFaults + otherFaults >= FAULTS_MIN);
  }
  t.end();
});

t.test('within a run, time and chance of the machine are out of reach', (t) => {
  const uses: readonly (() => unknown)[] = [
    () => new Date(), () => Date.now(), () => Date(), () => Math.random(), () => performance.now(), () => setTimeout(() => undefined, 0),
    () => setInterval(() => undefined, 0), () => setImmediate(() => undefined),
  ];
  for (const use of uses) t.throws(() => withoutAmbience(use), /only the seed may decide/, String(use));
  t.type(Date.now(), 'number', 'afterwards they are back');
  t.type(performance.now(), 'number');
  t.end();
});

for (const { seed, reason } of REGRESSIONS) {
  t.test(`seed ${seed}: ${reason}`, (t) => {
    t.equal(runSeed(seed).failure, null);
    t.end();
  });
}

for (const name of Object.keys(PLANTS) as PlantName[]) {
  t.test(`a planted defect is found: ${PLANTS[name]}`, (t) => {
    let seed = 1;
    while (seed <= PLANT_SEEDS_MAX && runSeed(seed, { plant: name }).failure === null) seed++;
    t.ok(seed <= PLANT_SEEDS_MAX);
    t.comment(`${name}: seed ${seed}`);
    t.end();
  });
}
