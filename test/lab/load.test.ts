import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ownAddress } from '../harness/address.js';
import { run } from '../harness/child.js';
import { baseManifests, CLIENT_A, CLIENT_B, dnsPolicy } from '../harness/manifests.js';
import { generate } from '../harness/native.js';
import { formatServer } from '../harness/pair.js';
import { droppedAt } from './kernel-drops.js';
import { checkAlive, startLoaded, temporaryFolder } from './start.js';

const QUERIES = 100_000;
/** More than both members have slots and socket buffers for. */
const OVERLOAD_QUERIES = 300_000;
const NAMES = 10_000;
const DNSPERF_DEADLINE_MS = 120_000;

const manifests = {
  ...baseManifests(ownAddress),
  'policy-a.json': dnsPolicy('policy-a', { app: 'a' }, ['*.bench.test'], ['*.bench.test']),
  'policy-b.json': dnsPolicy('policy-b', { app: 'b' }, ['*.bench.test'], ['*.bench.test']),
};
const pair = await startLoaded(t, { manifests });
const queryFile = join(temporaryFolder(t), 'queries');
writeFileSync(queryFile, Array.from({ length: NAMES }, (_, index) => `h${String(index)}.bench.test A\nh${String(index)}.bench.test AAAA\n`).join(''));

async function dnsperf(clients: number, ...more: string[]): Promise<string> {
  const { code, output } = await run('dnsperf', [
    '-s', pair.server.address, '-p', String(pair.server.port), '-a', CLIENT_A, '-d', queryFile, '-c', String(clients), '-T', '1', '-q', '256', '-t', '5', '-O', 'suppress=timeout', ...more,
  ], DNSPERF_DEADLINE_MS);
  if (code !== 0) throw new Error(`dnsperf: exit code ${String(code)}\n${output}`);
  return output;
}

function figure(output: string, label: string): number {
  const found = new RegExp(`${label}:\\s+([\\d.]+)`).exec(output);
  if (found === null) throw new Error(`dnsperf did not say '${label}':\n${output}`);
  return Number(found[1]);
}

for (const [protocol, clients, rounds, flags] of [['UDP', 8, 5, []], ['UDP', 200, 5, []], ['TCP', 8, 1, ['-m', 'tcp']]] as const) {
  t.test(`dnsperf at full speed over ${protocol} from ${String(clients)} clients loses nothing`, async (t) => {
    const output = await dnsperf(clients, '-n', String(rounds), ...flags);
    t.equal(figure(output, 'Queries sent'), rounds * NAMES * 2);
    t.equal(figure(output, 'Queries completed'), rounds * NAMES * 2);
    t.equal(figure(output, 'Queries lost'), 0);
    t.match(output, new RegExp(`Response codes:\\s+NOERROR ${String(rounds * NAMES * 2)} \\(100\\.00%\\)`));
    t.comment(`${protocol}, ${String(clients)} clients: ${figure(output, 'Queries per second').toFixed(0)} queries/s, average latency ${(figure(output, 'Average Latency \\(s\\)') * 1_000).toFixed(2)} ms`);
  });
}

t.test('of 100,000 checked answers at full speed none is wrong, and both daemons gave them', async (t) => {
  const before = await pair.counters('answered');
  const takenBefore = await pair.counters('taken');
  const load = await generate(['--server', formatServer(pair.server), '--bind', `${CLIENT_A},${CLIENT_B}`, '--clients', '200', '--window', '400', '--count', String(QUERIES)]);
  t.match(load, { sent: QUERIES, answered: QUERIES, lost: 0, wrong: 0, refused: 0, failed: 0, unexpected: 0 });
  const [agent, proxy] = (await pair.counters('answered')).map((count, index) => count - before[index]);
  const [byAgent, byProxy] = (await pair.counters('taken')).map((count, index) => count - takenBefore[index]);
  // A member that a busy machine held up may have a query answered by its peer, and count the answer that it did not send, too.
  t.ok(agent + proxy >= QUERIES && agent + proxy <= QUERIES + byAgent + byProxy, `${String(agent + proxy)} answers counted, ${String(byAgent + byProxy)} queries taken over`);
  t.ok(agent > QUERIES / 5 && proxy > QUERIES / 5, `agent ${String(agent)}, dns-proxy ${String(proxy)}`);
  t.comment(`${load.qps.toFixed(0)} queries/s, p50 ${String(load.p50Us)} µs, p99 ${String(load.p99Us)} µs, longest ${String(load.maxUs)} µs; agent ${String(agent)}, dns-proxy ${String(proxy)}`);
});

t.test('refusals at full speed are complete, too', async (t) => {
  const load = await generate(['--server', formatServer(pair.server), '--bind', CLIENT_A, '--suffix', 'denied.test', '--clients', '200', '--window', '400', '--count', String(QUERIES)]);
  t.match(load, { sent: QUERIES, answered: QUERIES, lost: 0, wrong: 0, refused: QUERIES, failed: 0, unexpected: 0 });
  t.comment(`${load.qps.toFixed(0)} refusals/s`);
});

t.test('more queries at once than there are slots are answered or turned away, never mixed up', async (t) => {
  const sum = ([agent, proxy]: readonly [number, number]): number => agent + proxy;
  const [before, overdueBefore] = [droppedAt(pair.server), sum(await pair.counters('overdue'))];
  const load = await generate(['--server', formatServer(pair.server), '--bind', `${CLIENT_A},${CLIENT_B}`, '--clients', '64', '--window', '60000', '--count', String(OVERLOAD_QUERIES), '--timeout-ms', '15000']);
  const dropped = droppedAt(pair.server) - before;
  const overdue = sum(await pair.counters('overdue')) - overdueBefore;
  t.comment(`window 60,000: ${String(load.answered)} answered, of them ${String(load.failed)} with SERVFAIL; ${String(load.lost)} lost, ${String(dropped)} dropped by the kernel, ${String(overdue)} overdue`);
  t.match(load, { wrong: 0, refused: 0, unexpected: 0 });
  t.equal(load.answered + load.lost, load.sent);
  t.equal(load.lost, dropped + overdue, 'what a member received in time was answered; the rest the kernel dropped at full buffers, or had waited for too long');
  t.ok(load.answered - load.failed >= OVERLOAD_QUERIES / 4, `${String(load.answered - load.failed)} answers of the upstream in spite of the overload`);
  const after = await generate(['--server', formatServer(pair.server), '--bind', CLIENT_A, '--count', '20000']);
  t.match(after, { answered: 20_000, lost: 0, wrong: 0, failed: 0 }, 'and afterwards all is as before');
});

t.test('after all this both live within their memory', (t) => {
  checkAlive(t, pair, 'load');
  t.end();
});
