/**
 * The start of a member while another of its role is still alive, as during a surge: its sockets are asked for, it is waited
 * until it has let go of everything else, and the start then goes on as any other. Queries wait in the sockets meanwhile, or the
 * peer reads them; none is lost.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { AppError, type Settings } from '@tandem/core';
import { closeFd, layoutVersion, localAddress } from 'node-reuseport';
import { apiSocketPath } from '../control/paths.js';
import { isAnswered } from '../control/http-server.js';
import { dialHandover } from './handover-dial.js';
import { HANDOVER_PROTOCOL, receiveHandover, sendHandover } from './handover-messages.js';
import { listenersOf } from './incoming.js';
import type { Listener } from './listeners.js';

const LOOK_EVERY_MS = 10;
const LEGACY_WITHIN_MS = 1_000;
/** It answers what is under way first. */
const GONE_WITHIN_MS = 10_000;

export interface Legacy {
  readonly listeners: readonly Listener[];
  readonly httpFd: number | null;
}

/** What a living member of our role leaves us; null where there is none. @throws AppError UNAVAILABLE when it does not let go. */
export async function succeed(settings: Settings): Promise<Legacy | null> {
  const { runDir, role } = settings;
  const path = apiSocketPath(runDir, role);
  if (!(await isAnswered(path))) return null;
  const refused = (why: string): AppError => new AppError('UNAVAILABLE', `another ${role} answers at ${path} and ${why}; stop it or choose another --run-dir`);
  // It may answer its API and have no data plane (yet).
  const fd = dialHandover(runDir, role, () => undefined);
  if (fd === null) throw refused('cannot be succeeded');
  try {
    sendHandover(fd, { kind: 'hello', protocol: HANDOVER_PROTOCOL, role, layout: layoutVersion, listen: [] });
    const legacy = await legacyFrom(fd, settings);
    if (legacy === null) throw refused('gives nothing away');
    for (let waitedMs = 0; await isAnswered(path); waitedMs += LOOK_EVERY_MS) {
      if (waitedMs >= GONE_WITHIN_MS) throw refused('does not end');
      await pause(LOOK_EVERY_MS);
    }
    return legacy;
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

async function legacyFrom(fd: number, settings: Settings): Promise<Legacy | null> {
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
      const listeners = listenersOf(message.listen, fds.slice(0, sockets), message.listen);
      return { listeners: listeners ?? [], httpFd: httpFdFor(settings, fds[sockets]) };
    }
    await pause(LOOK_EVERY_MS);
  }
  return null;
}
