/**
 * `npm run bench:journal`: what the journal costs. One member as it is, and one on a build of the addon that keeps none (private
 * memory, no state words), each alone, in one interleaved run against the same upstream; CPU time per query of each.
 *
 * Options: --rounds N (9), --seconds N a measurement (2).
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ownAddress } from '../harness/address.js';
import { run } from '../harness/child.js';
import { baseManifests, CLIENT_A, dnsPolicy } from '../harness/manifests.js';
import { generate, startNative } from '../harness/native.js';
import { formatServer, Pair } from '../harness/pair.js';
import { repositoryRoot } from '../harness/repository.js';
import { cpuNs, LOAD_CPU, MEASURED_CPU, pinnedTo } from './cpu.js';
import { showSpread, spreadOf } from './statistics.js';

const BUILD_DEADLINE_MS = 300_000;
const WINDOW = 256;
const WARM_UP_SECONDS = 2;

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '9' }, seconds: { type: 'string', default: '2' } } });
const [rounds, seconds] = [Number(values.rounds), Number(values.seconds)];

const addon = join(repositoryRoot, 'packages/node-reuseport');
const built = await run(join(addon, 'tools/build'), ['plain'], BUILD_DEADLINE_MS);
if (built.code !== 0) throw new Error(built.output);

const stops: (() => Promise<unknown>)[] = [];
try {
  const upstream = await startNative('upstream', ['--listen', `${ownAddress}:0`], pinnedTo(LOAD_CPU));
  stops.push(() => upstream.child.stop());
  const memberOf = async (environment: Record<string, string>): Promise<Pair> => {
    const pair = await Pair.start({
      upstreams: [{ address: ownAddress, port: upstream.port }],
      manifests: { ...baseManifests(ownAddress), 'policy-a.json': dnsPolicy('policy-a', { app: 'a' }, ['*.bench.test'], ['*.bench.test']) },
      roles: ['agent'], prefix: pinnedTo(MEASURED_CPU), environment,
    });
    stops.push(() => pair.stop());
    return pair;
  };
  const members = [await memberOf({}), await memberOf({ NODE_REUSEPORT_BINARY: join(addon, 'build/Plain/node_reuseport.node') })];
  const measure = async (pair: Pair, seed: number, duration: number): Promise<number> => {
    const { pid } = pair.member('agent');
    const before = cpuNs(pid);
    const load = await generate(
      ['--server', formatServer(pair.server), '--bind', CLIENT_A, '--window', String(WINDOW), '--seconds', String(duration), '--seed', String(seed)],
      pinnedTo(LOAD_CPU),
    );
    if (load.lost + load.wrong + load.refused > 0) throw new Error(`lost ${String(load.lost)}, wrong ${String(load.wrong + load.refused)}`);
    return (cpuNs(pid) - before) / 1e3 / load.answered;
  };
  for (const pair of members) await measure(pair, 0, WARM_UP_SECONDS);
  const costs: number[][] = [[], []];
  for (let round = 0; round < rounds; round++) {
    for (const i of round % 2 === 0 ? [0, 1] : [1, 0]) costs[i].push(await measure(members[i], round + 1, seconds));
  }
  const ratio = spreadOf(costs[0].map((cost, round) => cost / costs[1][round]));
  process.stdout.write(`CPU µs/query, median (min–max) of ${String(rounds)} pairs: with journal ${showSpread(spreadOf(costs[0]), 2)}, without ${showSpread(spreadOf(costs[1]), 2)}\n`);
  process.stdout.write(`with/without ${showSpread(ratio, 3)}\n`);
} finally {
  for (const stop of stops.reverse()) await stop();
}
