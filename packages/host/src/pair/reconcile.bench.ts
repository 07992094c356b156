/**
 * How long two members take to hold the same again: `npx node packages/host/dist/pair/reconcile.bench.js`. Both run in this
 * process, over a real Unix socket and with their files, so a pair of processes is faster where there are two cores.
 */
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import process from 'node:process';
import { ReconcilePair } from './testing/reconcile.js';

const NS_PER_MS = 1e6;

interface Case {
  readonly what: string;
  /** Before the link comes up. */
  readonly prepare: (pair: ReconcilePair) => Promise<void>;
}

/** Linked once, so that each has seen the other; then apart. */
async function apart(pair: ReconcilePair): Promise<void> {
  await pair.link();
  await pair.settled();
  await pair.cut();
}

async function both(pair: ReconcilePair, count: number): Promise<void> {
  await pair.learn('agent', 0, count);
  await pair.learn('dns-proxy', 0, count);
}

const CASES: readonly Case[] = [
  { what: '10,000 learned by one while the link was cut', prepare: (pair) => apart(pair).then(() => pair.learn('agent', 0, 10_000)) },
  { what: '10,000 known by one, the other is new', prepare: (pair) => pair.learn('agent', 0, 10_000) },
  { what: '100,000 learned by one while the link was cut', prepare: (pair) => apart(pair).then(() => pair.learn('agent', 0, 100_000)) },
  { what: '100,000 known by one, the other is new', prepare: (pair) => pair.learn('dns-proxy', 0, 100_000) },
  { what: '100,000 known by both, both restarted', prepare: (pair) => both(pair, 100_000) },
  {
    what: '100,000 known by both and 100 by each, both restarted',
    prepare: async (pair) => {
      await both(pair, 100_000);
      await pair.learn('agent', 200_000, 100);
      await pair.learn('dns-proxy', 300_000, 100);
    },
  },
];

for (const { what, prepare } of CASES) {
  const pair = new ReconcilePair();
  await prepare(pair);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const started = performance.now();
  await pair.link();
  await pair.settled();
  const tookMs = performance.now() - started;
  delay.disable();
  const verdict = pair.isEqual() ? 'equal' : 'NOT EQUAL';
  process.stdout.write(`${what}: ${verdict} after ${tookMs.toFixed(0)} ms, ${pair.agent.cache.size} mappings; longest turn of the thread ${(delay.max / NS_PER_MS).toFixed(0)} ms\n`);
  await pair.stop();
}
