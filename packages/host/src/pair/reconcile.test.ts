import t, { type Test } from 'tap';
import { ReconcilePair } from './testing/reconcile.js';
import { within } from '../dataplane/testing/wait.js';

/** Far above what is aimed at (a second, five seconds): the figures are printed, the caches are compared. */
const DEADLINE_MS = 60_000;

function pairOf(t: Test): ReconcilePair {
  const pair = new ReconcilePair();
  t.teardown(() => pair.stop());
  return pair;
}

async function together(t: Test, pair: ReconcilePair): Promise<void> {
  const started = performance.now();
  await within('equal caches', DEADLINE_MS, pair.link().then(() => pair.settled()));
  t.comment(`${pair.agent.cache.size} mappings at both after ${(performance.now() - started).toFixed(0)} ms`);
  t.ok(pair.isEqual());
}

t.test('10,000 mappings that one learned while the other was away are in both caches', async (t) => {
  const pair = pairOf(t);
  await pair.learn('dns-proxy', 0, 10_000);
  await together(t, pair);
  t.equal(pair.agent.cache.size, 10_000);
});

t.test('so are 10,000 that one learned while the link was cut, and a clean that the other made', async (t) => {
  const pair = pairOf(t);
  await pair.learn('agent', 0, 100);
  await together(t, pair);
  await pair.cut();
  await pair.learn('agent', 1000, 10_000);
  t.equal(pair.proxy.mappings.clean('n7.example.'), 1);
  await together(t, pair);
  t.equal(pair.agent.cache.size, 10_099);
});

t.test('so are 100,000 that each learned half of', async (t) => {
  const pair = pairOf(t);
  await Promise.all([pair.learn('agent', 0, 50_000), pair.learn('dns-proxy', 50_000, 50_000)]);
  await together(t, pair);
  t.equal(pair.agent.cache.size, 100_000);
});
