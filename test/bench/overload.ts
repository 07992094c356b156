/**
 * `npm run bench:overload`: what the pair answers where three times as much is asked as it can answer. Both daemons share one core with
 * loops that do nothing else, so that one other core can ask so much. Prints a line per round: what is answered a second in a closed
 * loop, which is the capacity, then in an open one at three times that, and which part of the capacity that is.
 */
import { ownAddress } from '../harness/address.js';
import { Child } from '../harness/child.js';
import { CLIENT_A } from '../harness/manifests.js';
import { generate, type Load, startNative } from '../harness/native.js';
import { formatServer } from '../harness/pair.js';
import { startContestant, type Contestant } from './contestants.js';
import { LOAD_CPU, MEASURED_CPU, pinnedTo } from './cpu.js';
import { showSpread, spreadOf } from './statistics.js';

const ROUNDS = 6;
const FACTOR = 3;
const BUSY_LOOPS = 9;
const WARM_UP_SECONDS = 5;
const CAPACITY_SECONDS = 6;
const OVERLOAD_SECONDS = 20;
/** Should this process end without ending them. */
const LOOP_SECONDS_MAX = 600;
/** As many as resolvers of busy pods keep open together; few enough that none waits long. */
const WINDOW = 256;
const OVERLOAD_WINDOW = 1_000_000;
const CLIENTS = 64;
const LOAD = { traffic: 'allowed', family: 4, protocol: 'udp', pods: 1, clients: CLIENTS, window: WINDOW, rateQps: null, hasNewNames: false } as const;

const stops: (() => Promise<unknown>)[] = [];
try {
  const upstream = await startNative('upstream', ['--listen', `${ownAddress}:0`], pinnedTo(LOAD_CPU));
  stops.push(() => upstream.child.stop());
  const pair = await startContestant({ name: 'pair', kind: 'pair', patterns: 100 }, { upstream: { address: ownAddress, port: upstream.port }, load: LOAD, isPinned: true });
  stops.push(() => pair.stop());
  await ask(pair, ['--window', String(WINDOW), '--seconds', String(WARM_UP_SECONDS)]);
  for (let n = 0; n < BUSY_LOOPS; n++) {
    const [command, ...args] = [...pinnedTo(MEASURED_CPU), 'timeout', String(LOOP_SECONDS_MAX), 'sh', '-c', 'while :; do :; done'];
    const loop = new Child(command, args);
    stops.push(() => loop.stop());
  }
  const parts: number[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    const capacity = await ask(pair, ['--window', String(WINDOW), '--seconds', String(CAPACITY_SECONDS)]);
    const rate = Math.round(FACTOR * capacity.qps);
    const load = await ask(pair, ['--window', String(OVERLOAD_WINDOW), '--rate', String(rate), '--seconds', String(OVERLOAD_SECONDS)]);
    parts.push(load.answered / load.seconds / capacity.qps);
    process.stdout.write(`${capacity.qps.toFixed(0)} answers/s of as many questions; ${(load.answered / load.seconds).toFixed(0)} of ${(load.sent / load.seconds).toFixed(0)}/s: ` +
      `${parts.at(-1)!.toFixed(2)} of it, median after ${(load.p50Us / 1e3).toFixed(0)} ms, p99 ${(load.p99Us / 1e3).toFixed(0)} ms; ` +
      `${String(load.wrong)} wrong, ${String(load.failed)} SERVFAIL\n`);
  }
  process.stdout.write(`answered at ${String(FACTOR)} times the capacity: ${showSpread(spreadOf(parts), 2)} of it\n`);
} finally {
  await Promise.all(stops.map((stop) => stop()));
}

function ask({ server }: Contestant, args: readonly string[]): Promise<Load> {
  return generate(['--server', formatServer(server), '--bind', CLIENT_A, '--clients', String(CLIENTS), ...args], pinnedTo(LOAD_CPU));
}
