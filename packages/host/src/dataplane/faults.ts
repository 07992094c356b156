/**
 * Faults that drills plant in a member, from the environment variable TANDEM_FAULTS: a comma list of
 *
 *   no-steal            a dead peer's sockets are read, what it owed is not taken (a drill's control run)
 *   kill-at=POINT:N     the data plane kills its process when it passes the code point of node-reuseport the Nth time
 *   stop-at=POINT:N     the same with SIGSTOP for its thread
 *   layout=N            journals newer than layout N are not known here (as in an older release)
 *   crash-on=NAME.      the process crashes when it reads a query for this name (presentation form)
 *
 * Nothing is planted unless it is set, and what is planted is said at the start.
 */
import { AppError, type QueryPath, slotPayload, type SlotMemory } from '@tandem/core';
import { nameToString } from '@tandem/dns';
import { armKillPoint, type CodePoint, codePoints, layoutVersion, oldestLayoutVersion, signalThread } from 'node-reuseport';

const ENVIRONMENT = 'TANDEM_FAULTS';
const COUNT_MAX = 1_000_000_000;
const HEADER_BYTES = 12;

export interface Faults {
  /** As written; empty when there are none. */
  readonly text: string;
  readonly noSteal: boolean;
  readonly crashOn: string | null;
  /** The newest journal layout that is known. */
  readonly layout: number;
  readonly points: readonly { readonly point: CodePoint; readonly count: number; readonly signal: 'SIGKILL' | 'SIGSTOP' }[];
}

/** @throws AppError CONFIGURATION for what is no fault. */
export function readFaults(text: string = process.env[ENVIRONMENT] ?? ''): Faults {
  const faults = { text, noSteal: false, crashOn: null as string | null, layout: layoutVersion, points: [] as Faults['points'][number][] };
  for (const word of text.split(',').filter((part) => part !== '')) {
    const [kind, value = ''] = word.split('=');
    if (kind === 'no-steal') faults.noSteal = true;
    else if (kind === 'layout' && Number(value) >= oldestLayoutVersion && Number(value) <= layoutVersion) faults.layout = Number(value);
    else if (kind === 'crash-on' && value.endsWith('.')) faults.crashOn = value.toLowerCase();
    else if (kind === 'kill-at' || kind === 'stop-at') faults.points.push({ ...pointOf(word, value), signal: kind === 'kill-at' ? 'SIGKILL' : 'SIGSTOP' });
    else throw unknown(word);
  }
  return faults;
}

/** In the thread of the data plane, before its first query. */
export function plantFaults(faults: Faults, path: QueryPath, memory: SlotMemory): void {
  for (const { point, count, signal } of faults.points) armKillPoint(point, count, signal);
  if (faults.crashOn === null) return;
  const read = path.receive.bind(path);
  path.receive = (slot, hasPassed) => {
    const message = slotPayload(memory, slot);
    if (nameToString(memory.bytes, message, message + HEADER_BYTES) === faults.crashOn) crash();
    read(slot, hasPassed);
  };
}

/** As a fault in native code would. */
function crash(): never {
  signalThread('SIGSEGV');
  throw new Error('a thread outlived its fault');
}

function pointOf(word: string, value: string): { readonly point: CodePoint; readonly count: number } {
  const [name, times = '1'] = value.split(':');
  const point = codePoints.find((known) => known === name);
  const count = Number(times);
  if (point === undefined || !Number.isInteger(count) || count < 1 || count > COUNT_MAX) throw unknown(word);
  return { point, count };
}

function unknown(word: string): AppError {
  return new AppError(
    'CONFIGURATION',
    `${ENVIRONMENT}: ${JSON.stringify(word)} is no fault; allowed are no-steal, layout=N, kill-at=POINT:N, stop-at=POINT:N, crash-on=NAME. with POINT one of ${codePoints.join(', ')} and N from 1 to ${COUNT_MAX}`,
  );
}
