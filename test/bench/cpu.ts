/**
 * Processor time of a process, from the scheduler's own account in nanoseconds. (Samples by tick, as `times` gives them,
 * miss short bursts.)
 */
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** Nanoseconds that all threads of the process have run so far. Threads that have ended are not in the sum. */
export function cpuNs(pid: number): number {
  const tasks = `/proc/${String(pid)}/task`;
  return readdirSync(tasks).reduce((sum, thread) => sum + Number(readFileSync(`${tasks}/${thread}/schedstat`, 'utf8').split(' ')[0]), 0);
}

/** Nanoseconds that a processor has not been idle so far, time that the hypervisor gave to others included; in steps of a tick. */
export function busyNs(cpu: number): number {
  const line = new RegExp(`^cpu${String(cpu)} (.*)$`, 'm').exec(readFileSync('/proc/stat', 'utf8'));
  if (line === null) throw new Error(`no processor ${String(cpu)} in /proc/stat`);
  const [user, nice, system, , , interrupt, softInterrupt, stolen] = line[1].split(' ').map(Number);
  return (user + nice + system + interrupt + softInterrupt + stolen) * TICK_NS;
}

/** Resident set in MB (10^6 bytes). */
export function residentMb(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'));
  if (line === null) throw new Error(`process ${String(pid)} has no resident set`);
  return Number(line[1]) * 1024 / 1e6;
}

/** USER_HZ is 100 on every architecture that Tandem runs on. */
const TICK_NS = 1e7;

export const MEASURED_CPU = 0;
export const LOAD_CPU = 1;

/** Pinning needs a core for what is measured and one for the load. */
export function pinnedTo(cpu: number): string[] {
  return availableParallelism() >= 2 ? ['taskset', '-c', String(cpu)] : [];
}
