/** One measurement: load on one contestant, and what its processes spent on it. */
import { generate } from '../harness/native.js';
import { formatServer } from '../harness/pair.js';
import type { LoadShape } from './cases.js';
import { ALLOWED_SUFFIX, DENIED_SUFFIX, podAddresses } from './contestants.js';
import type { Contestant } from './contestants.js';
import { busyNs, cpuNs, LOAD_CPU, MEASURED_CPU, pinnedTo, residentMb } from './cpu.js';

/** Latencies are in microseconds. */
export interface Sample {
  readonly qps: number;
  /** CPU time of its processes per answer; NaN-free: without answers it is 0. */
  readonly cpuUsPerQuery: number;
  /** Cores that its processes used on average. On one core, well below 1 means that something else was the limit. */
  readonly cores: number;
  /** Part of the measured core's time that others took, or the hypervisor; 0 where nothing is pinned. */
  readonly disturbance: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
  readonly answered: number;
  readonly lost: number;
  /** Not what was asked, not what the upstream holds, refused though allowed or answered though refused, failed, twice. */
  readonly wrong: number;
  /** Open loop: due but not sent before the end, for too many answers were outstanding. */
  readonly unsent: number;
  readonly residentMb: number;
}

export interface Measurement {
  readonly load: LoadShape;
  readonly isPinned: boolean;
  readonly seconds: number;
  readonly seed: number;
}

export async function measure(contestant: Contestant, { load, isPinned, seconds, seed }: Measurement): Promise<Sample> {
  const names = {
    allowed: ['--suffix', ALLOWED_SUFFIX],
    refused: ['--suffix', '', '--denied', DENIED_SUFFIX],
    mixed: ['--suffix', ALLOWED_SUFFIX, '--denied', DENIED_SUFFIX],
  }[load.traffic];
  // Each name is asked for A and for AAAA.
  const newNames = load.hasNewNames ? ['--prefix', `n${String(seed)}x`, '--names', String(Math.ceil(load.rateQps! * seconds / 2))] : [];
  const before = cpuOf(contestant);
  const [beganNs, busyBefore] = [performance.now() * 1e6, busyNs(MEASURED_CPU)];
  const result = await generate([
    '--server', formatServer(contestant.server), '--bind', podAddresses(load).join(','), '--protocol', load.protocol,
    '--clients', String(load.clients), '--window', String(load.window), '--rate', String(load.rateQps ?? 0),
    '--seconds', String(seconds), '--seed', String(seed), ...names, ...newNames,
  ], isPinned ? pinnedTo(LOAD_CPU) : []);
  const cpu = cpuOf(contestant) - before;
  const others = (busyNs(MEASURED_CPU) - busyBefore - cpu) / (performance.now() * 1e6 - beganNs);
  return {
    qps: result.qps, cpuUsPerQuery: result.answered === 0 ? 0 : cpu / 1e3 / result.answered, cores: cpu / 1e9 / result.seconds, disturbance: isPinned ? Math.max(0, others) : 0,
    p50Us: result.p50Us, p99Us: result.p99Us, p999Us: result.p999Us, maxUs: result.maxUs,
    answered: result.answered, lost: result.lost, wrong: wrongOf(result), unsent: result.unsent,
    residentMb: contestant.pids.reduce((sum, pid) => sum + residentMb(pid), 0),
  };
}

/** Says of which kind: a run can hardly be repeated. */
function wrongOf({ wrong, refused, failed, unexpected }: Awaited<ReturnType<typeof generate>>): number {
  const sum = wrong + refused + failed + unexpected;
  if (sum > 0) process.stderr.write(`bench: ${String(wrong)} answered wrongly, ${String(refused)} refused, ${String(failed)} SERVFAIL, ${String(unexpected)} that nobody waited for\n`);
  return sum;
}

function cpuOf({ pids }: Contestant): number {
  return pids.reduce((sum, pid) => sum + cpuNs(pid), 0);
}
