/** Two variants of one member, each alone, against the same upstream in one interleaved run: CPU time per query of each, and their ratio. */
import { parseArgs } from 'node:util';
import { ownAddress } from '../harness/address.js';
import { baseManifests, CLIENT_A, dnsPolicy } from '../harness/manifests.js';
import { generate, startNative } from '../harness/native.js';
import { formatServer, Pair } from '../harness/pair.js';
import type { PairOptions } from '../harness/pair.js';
import { cpuNs, LOAD_CPU, MEASURED_CPU, pinnedTo } from './cpu.js';
import { showSpread, spreadOf } from './statistics.js';

const WINDOW = 256;
const WARM_UP_SECONDS = 2;

export interface Variant extends Pick<PairOptions, 'flags' | 'environment'> {
  readonly name: string;
}

/** Prints the medians; `--rounds N` (9) pairs, `--seconds N` (2) a measurement. @throws Error where an answer is lost or wrong. */
export async function compare(first: Variant, second: Variant): Promise<void> {
  const { values } = parseArgs({ options: { rounds: { type: 'string', default: '9' }, seconds: { type: 'string', default: '2' } } });
  const [rounds, seconds] = [Number(values.rounds), Number(values.seconds)];
  const stops: (() => Promise<unknown>)[] = [];
  try {
    const upstream = await startNative('upstream', ['--listen', `${ownAddress}:0`], pinnedTo(LOAD_CPU));
    stops.push(() => upstream.child.stop());
    const members: Pair[] = [];
    for (const { flags = [], environment = {} } of [first, second]) {
      const pair = await Pair.start({
        upstreams: [{ address: ownAddress, port: upstream.port }],
        manifests: { ...baseManifests(ownAddress), 'policy-a.json': dnsPolicy('policy-a', { app: 'a' }, ['*.bench.test'], ['*.bench.test']) },
        roles: ['agent'], prefix: pinnedTo(MEASURED_CPU), flags, environment,
      });
      stops.push(() => pair.stop());
      members.push(pair);
    }
    for (const pair of members) await measure(pair, 0, WARM_UP_SECONDS);
    const costs: number[][] = [[], []];
    for (let round = 0; round < rounds; round++) {
      for (const i of round % 2 === 0 ? [0, 1] : [1, 0]) costs[i].push(await measure(members[i], round + 1, seconds));
    }
    const ratio = spreadOf(costs[0].map((cost, round) => cost / costs[1][round]));
    const [a, b] = costs.map((list) => showSpread(spreadOf(list), 2));
    process.stdout.write(`CPU µs/query, median (min–max) of ${String(rounds)} pairs: ${first.name} ${a}, ${second.name} ${b}\n`);
    process.stdout.write(`${first.name} / ${second.name}: ${showSpread(ratio, 3)}\n`);
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
}

async function measure(pair: Pair, seed: number, seconds: number): Promise<number> {
  const { pid } = pair.member('agent');
  const before = cpuNs(pid);
  const load = await generate(
    ['--server', formatServer(pair.server), '--bind', CLIENT_A, '--window', String(WINDOW), '--seconds', String(seconds), '--seed', String(seed)],
    pinnedTo(LOAD_CPU),
  );
  if (load.lost + load.wrong + load.refused > 0) throw new Error(`lost ${String(load.lost)}, wrong ${String(load.wrong + load.refused)}`);
  return (cpuNs(pid) - before) / 1e3 / load.answered;
}
