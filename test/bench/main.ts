/**
 * `npm run bench`: one member of the pair against the floor, a relay that does nothing else, in one interleaved run.
 * What is measured is pinned to one core, generator and upstream to the other. Absolute figures drift with the machine's
 * load; the ratio of one round does not, so its median is the result. CPU time per query is the sum over all threads.
 *
 * Options: --member agent|dns-proxy (default agent), --rounds N (5), --seconds N a measurement (2).
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ownAddress } from '../harness/address.js';
import { baseManifests, CLIENT_A, dnsPolicy } from '../harness/manifests.js';
import { generate, startNative } from '../harness/native.js';
import type { Load } from '../harness/native.js';
import { formatServer, Pair, ROLES } from '../harness/pair.js';
import type { Role } from '../harness/pair.js';
import { repositoryRoot } from '../harness/repository.js';
import { cpuNs, LOAD_CPU, MEASURED_CPU, pinnedTo, residentMb } from './cpu.js';
import { showSpread, spreadOf } from './statistics.js';
import type { Spread } from './statistics.js';

const PATTERNS = 100;
const WARM_UP_SECONDS = 2;
const LATENCY_QPS = 5_000;
const WINDOW = 256;

interface Contestant {
  readonly name: string;
  readonly pid: number;
  readonly server: string;
  readonly refuses: boolean;
}

interface Measurement {
  readonly load: Load;
  readonly cpuUsPerQuery: number;
}

interface Row {
  readonly name: string;
  readonly qps: Spread;
  readonly cpuUsPerQuery: Spread;
  /** At a fixed low rate, microseconds. */
  readonly p50Us: Spread;
  readonly p99Us: Spread;
  readonly lost: number;
  readonly wrong: number;
  readonly residentMb: number;
}

interface Plan {
  readonly member: Role;
  readonly rounds: number;
  readonly seconds: number;
}

function planOf(args: string[]): Plan {
  const { values } = parseArgs({ args, options: { member: { type: 'string', default: 'agent' }, rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '2' } } });
  const member = ROLES.find((role) => role === values.member);
  const [rounds, seconds] = [Number(values.rounds), Number(values.seconds)];
  if (member === undefined || !Number.isInteger(rounds) || rounds < 1 || rounds > 100 || !Number.isInteger(seconds) || seconds < 1 || seconds > 600) {
    throw new Error('--member agent|dns-proxy, --rounds 1 to 100, --seconds 1 to 600');
  }
  return { member, rounds, seconds };
}

async function measure(contestant: Contestant, args: readonly string[]): Promise<Measurement> {
  const before = cpuNs(contestant.pid);
  const load = await generate(['--server', contestant.server, '--bind', CLIENT_A, '--window', String(WINDOW), ...args], pinnedTo(LOAD_CPU));
  return { load, cpuUsPerQuery: (cpuNs(contestant.pid) - before) / 1e3 / Math.max(1, load.answered) };
}

function manifestsFor(dnsServer: string): Record<string, object> {
  const patterns = Array.from({ length: PATTERNS - 1 }, (_, index) => `*.zone-${String(index)}.example`);
  return { ...baseManifests(dnsServer), 'policy-a.json': dnsPolicy('policy-a', { app: 'a' }, [...patterns, '*.bench.test'], ['*.bench.test']) };
}

/** Every round measures all, each time in the other direction, so that drift hits all alike. */
async function interleave(contestants: readonly Contestant[], plan: Plan): Promise<Map<string, { full: Measurement[]; slow: Measurement[]; refused: Measurement[] }>> {
  const results = new Map(contestants.map(({ name }) => [name, { full: [] as Measurement[], slow: [] as Measurement[], refused: [] as Measurement[] }]));
  const seconds = ['--seconds', String(plan.seconds)];
  for (let round = 0; round < plan.rounds; round++) {
    for (const contestant of round % 2 === 0 ? contestants : [...contestants].reverse()) {
      const result = results.get(contestant.name)!;
      const seed = ['--seed', String(round + 1)];
      result.full.push(await measure(contestant, [...seconds, ...seed]));
      result.slow.push(await measure(contestant, [...seconds, ...seed, '--rate', String(LATENCY_QPS)]));
      if (contestant.refuses) result.refused.push(await measure(contestant, [...seconds, ...seed, '--suffix', 'denied.test']));
    }
  }
  return results;
}

function rowOf(contestant: Contestant, result: { full: Measurement[]; slow: Measurement[] }): Row {
  const pick = (list: readonly Measurement[], value: (one: Measurement) => number): Spread => spreadOf(list.map(value));
  const all = [...result.full, ...result.slow];
  return {
    name: contestant.name,
    qps: pick(result.full, ({ load }) => load.qps),
    cpuUsPerQuery: pick(result.full, (one) => one.cpuUsPerQuery),
    p50Us: pick(result.slow, ({ load }) => load.p50Us),
    p99Us: pick(result.slow, ({ load }) => load.p99Us),
    lost: all.reduce((sum, { load }) => sum + load.lost, 0),
    wrong: all.reduce((sum, { load }) => sum + load.wrong + load.failed + load.refused, 0),
    residentMb: residentMb(contestant.pid),
  };
}

function show(rows: readonly Row[]): void {
  const table = rows.map((row) => [
    row.name, showSpread(row.qps, 0), showSpread(row.cpuUsPerQuery, 2), showSpread(row.p50Us, 0), showSpread(row.p99Us, 0),
    String(row.lost), String(row.wrong), row.residentMb.toFixed(0),
  ]);
  const head = ['', 'queries/s', 'CPU µs/query', `p50 µs at ${String(LATENCY_QPS)}/s`, 'p99 µs', 'lost', 'wrong', 'RSS MB'];
  const widths = head.map((title, column) => Math.max(title.length, ...table.map((row) => row[column].length)));
  for (const row of [head, ...table]) process.stdout.write(`${row.map((cell, column) => cell.padEnd(widths[column])).join('  ').trimEnd()}\n`);
}

async function main(): Promise<number> {
  const plan = planOf(process.argv.slice(2));
  const stops: (() => Promise<unknown>)[] = [];
  try {
    const upstream = await startNative('upstream', ['--listen', `${ownAddress}:0`], pinnedTo(LOAD_CPU));
    stops.push(() => upstream.child.stop());
    const relay = await startNative('relay', ['--listen', `${ownAddress}:0`, '--upstream', `${ownAddress}:${String(upstream.port)}`], pinnedTo(MEASURED_CPU));
    stops.push(() => relay.child.stop());
    const pair = await Pair.start({
      upstreams: [{ address: ownAddress, port: upstream.port }], manifests: manifestsFor(ownAddress), roles: plan.member === 'agent' ? ['agent'] : ROLES,
      prefix: pinnedTo(MEASURED_CPU),
    });
    stops.push(() => pair.stop());
    // dns-proxy gets its policy from an agent; once it has it, it is measured alone.
    if (plan.member === 'dns-proxy') await pair.member('agent').stop();
    const floor: Contestant = { name: 'relay', pid: relay.child.pid, server: `${ownAddress}:${String(relay.port)}`, refuses: false };
    const member: Contestant = { name: plan.member, pid: pair.member(plan.member).pid, server: formatServer(pair.server), refuses: true };
    for (const one of [floor, member]) await measure(one, ['--seconds', String(WARM_UP_SECONDS)]);

    const results = await interleave([floor, member], plan);
    const [floorRuns, memberRuns] = [results.get(floor.name)!, results.get(member.name)!];
    const rows = [rowOf(floor, floorRuns), rowOf(member, memberRuns)];
    const ratios = {
      queriesPerSecond: spreadOf(memberRuns.full.map(({ load }, round) => load.qps / floorRuns.full[round].load.qps)),
      cpuPerQuery: spreadOf(memberRuns.full.map(({ cpuUsPerQuery }, round) => floorRuns.full[round].cpuUsPerQuery / cpuUsPerQuery)),
    };
    const refused = { qps: spreadOf(memberRuns.refused.map(({ load }) => load.qps)), cpuUsPerQuery: spreadOf(memberRuns.refused.map((one) => one.cpuUsPerQuery)) };
    show(rows);
    process.stdout.write(`\n${member.name} against the relay, median (min–max) of ${String(plan.rounds)} rounds, ${String(PATTERNS)} patterns:\n`);
    process.stdout.write(`  queries/s ${showSpread(ratios.queriesPerSecond, 3)}×, queries per CPU second ${showSpread(ratios.cpuPerQuery, 3)}×\n`);
    process.stdout.write(`  refused only: ${showSpread(refused.qps, 0)} queries/s, ${showSpread(refused.cpuUsPerQuery, 2)} µs/query\n\n`);
    const report = { when: new Date().toISOString(), machine: { model: cpus()[0]?.model, cores: cpus().length }, plan, rows, ratios, refused };
    const folder = join(repositoryRoot, 'bench-results');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${report.when.replaceAll(':', '-')}.json`), `${JSON.stringify(report, null, 2)}\n`);
    process.stdout.write(`${JSON.stringify(report)}\n`);
    return rows.every(({ lost, wrong }) => lost === 0 && wrong === 0) ? 0 : 1;
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  return 69;
});
