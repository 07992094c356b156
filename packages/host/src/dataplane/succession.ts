/**
 * The start of a member while another of its role is still alive, as during a surge: its sockets are asked for, it is waited
 * until it has let go of everything else, and the start then goes on as any other. Queries wait in the sockets meanwhile, or the
 * peer reads them; none is lost.
 *
 * Each of its workers is asked for its own sockets, worker 0 last: only that ends it. So a successor that gets no further has taken nothing
 * away, and one that goes on has the sockets of all.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { AppError, type Settings, WORKERS_MAX } from '@tandem/core';
import { closeFd, layoutVersion, listenersPerMember, localAddress } from 'node-reuseport';
import { apiSocketPath } from '../control/paths.js';
import { isAnswered } from '../control/http-server.js';
import { dialHandover } from './handover-dial.js';
import { HANDOVER_PROTOCOL, receiveHandover, sendHandover } from './handover-messages.js';
import { listenersOf } from './incoming.js';
import { closeListener, type Listener } from './listeners.js';

const LOOK_EVERY_MS = 10;
const LEGACY_WITHIN_MS = 1_000;
/** It answers what is under way first. */
const GONE_WITHIN_MS = 10_000;

export interface Legacy {
  /** By its worker. */
  readonly listeners: readonly (readonly Listener[])[];
  readonly httpFd: number | null;
}

/** What a living member of our role leaves us; null where there is none. @throws AppError UNAVAILABLE when it does not let go. */
export async function succeed(settings: Settings): Promise<Legacy | null> {
  const { runDir, role } = settings;
  const path = apiSocketPath(runDir, role);
  if (!(await isAnswered(path))) return null;
  const refused = (why: string): AppError => new AppError('UNAVAILABLE', `another ${role} answers at ${path} and ${why}; stop it or choose another --run-dir`);
  const others: (readonly Listener[])[] = [];
  try {
    for (let worker = WORKERS_MAX - 1; worker > 0; worker--) {
      const left = await ask(settings, worker);
      if (left === null) throw refused('gives nothing away');
      if (left !== 'nobody') others.unshift(left.listeners);
    }
    if (!hasRoom(settings, [settings.listen, ...others])) throw refused(`has more workers than --workers ${settings.workers} can read the sockets of`);
    // It may answer its API and have no data plane (yet).
    const left = await ask(settings, 0);
    if (left === 'nobody') throw refused('cannot be succeeded');
    if (left === null) throw refused('gives nothing away');
    await gone(path, () => refused('does not end'));
    return { listeners: [left.listeners, ...others], httpFd: left.httpFd };
  } catch (error) {
    others.flat().forEach(closeListener);
    throw error;
  }
}

async function gone(path: string, error: () => AppError): Promise<void> {
  for (let waitedMs = 0; await isAnswered(path); waitedMs += LOOK_EVERY_MS) {
    if (waitedMs >= GONE_WITHIN_MS) throw error();
    await pause(LOOK_EVERY_MS);
  }
}

/** Whether each of our workers can read what falls to it, by the number of sockets of each of the predecessor's. */
function hasRoom({ workers }: Settings, legacy: readonly (readonly unknown[])[]): boolean {
  const numbers = legacy.reduce<number[]>((sums, { length }, worker) => {
    sums[worker % workers] += length;
    return sums;
  }, Array.from({ length: workers }, () => 0));
  return Math.max(...numbers) <= listenersPerMember;
}

interface Left {
  readonly listeners: readonly Listener[];
  readonly httpFd: number | null;
}

/** What the predecessor's worker with that number leaves us; null: it does not answer. */
async function ask(settings: Settings, worker: number): Promise<Left | 'nobody' | null> {
  const { runDir, role } = settings;
  const fd = dialHandover({ runDir, worker }, role, () => undefined);
  if (fd === null) return 'nobody';
  try {
    sendHandover(fd, { kind: 'hello', protocol: HANDOVER_PROTOCOL, role, layout: layoutVersion, listen: [] });
    return await legacyFrom(fd, settings);
  } finally {
    closeFd(fd);
  }
}

/** The predecessor's HTTP socket, if it listens where we are to listen. */
function httpFdFor({ httpListen }: Settings, fd: number | undefined): number | null {
  if (fd === undefined) return null;
  const at = localAddress(fd);
  if (at.address === httpListen.address && (httpListen.port === 0 || at.port === httpListen.port)) return fd;
  closeFd(fd);
  return null;
}

async function legacyFrom(fd: number, settings: Settings): Promise<Left | null> {
  for (let waitedMs = 0; waitedMs < LEGACY_WITHIN_MS; waitedMs += LOOK_EVERY_MS) {
    const received = receiveHandover(fd);
    if (received === 'end') return null;
    if (received !== 'none') {
      const { message, fds } = received;
      if (message.kind !== 'legacy') {
        for (const each of fds) closeFd(each);
        return null;
      }
      const sockets = 2 * message.listen.length;
      return { listeners: listenersOf(message.listen, fds.slice(0, sockets)), httpFd: httpFdFor(settings, fds[sockets]) };
    }
    await pause(LOOK_EVERY_MS);
  }
  return null;
}
