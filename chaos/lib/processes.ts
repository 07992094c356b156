/** What the kernel says about a process and its threads, and signals to one thread. */
import { readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { until } from '#harness/until.js';
import { runTool } from './native.js';

const DEADLINE_MS = 30_000;

/** Name of the data plane's thread in /proc, as the runtime gives it. */
const WORKER = 'WorkerThread';

/** State letter (R, S, T, …) and processor time in ticks, from /proc/…/stat. */
function statOf(path: string): { readonly state: string; readonly ticks: number } {
  const text = readFileSync(path, 'utf8');
  // The name in parentheses may hold spaces.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0], ticks: Number(fields[11]) + Number(fields[12]) };
}

export function stateOf(pid: number): string {
  return statOf(`/proc/${String(pid)}/stat`).state;
}

/** The busiest of the workers: the one that answers queries. */
export function dataPlaneThread(pid: number): number {
  const folder = `/proc/${String(pid)}/task`;
  const workers = readdirSync(folder)
    .filter((tid) => readFileSync(`${folder}/${tid}/comm`, 'utf8').trim() === WORKER)
    .map((tid) => ({ tid: Number(tid), ticks: statOf(`${folder}/${tid}/stat`).ticks }))
    .sort((a, b) => b.ticks - a.ticks);
  if (workers.length === 0) throw new Error(`process ${String(pid)} has no thread called ${WORKER}`);
  return workers[0].tid;
}

/** Stops the process by a signal to its data plane's thread, and sees to it that it stands. */
export async function stopThread(pid: number): Promise<void> {
  runTool('signal-thread', [String(pid), String(dataPlaneThread(pid)), String(constants.signals.SIGSTOP)]);
  await stopped(pid);
}

/** Resolves once the kernel says that the process is stopped. */
export async function stopped(pid: number, deadlineMs = DEADLINE_MS): Promise<void> {
  await until(`process ${String(pid)} to be stopped`, deadlineMs, () => (stateOf(pid) === 'T' ? true : null));
}
