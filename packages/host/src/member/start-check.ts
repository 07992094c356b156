/**
 * Does this process get what it needs of the node? Asked before a predecessor is told to leave: it would be gone when that turns out.
 *
 * Invariant: asking takes nothing from anybody. No socket listens here, and none for UDP is bound: it would be in the shared address's
 * group at once, and what it was sent lost. What the predecessor has is left out: it is handed on, or free when that one has ended. It
 * does not know whether the answer still holds a moment later.
 */
import { AppError, formatSocketAddress, type Log, parseSocketAddress, type Settings, type SocketAddress } from '@tandem/core';
import { bindSocket, closeFd, openSocket } from 'node-reuseport';
import { isAnswered } from '../control/http-server.js';
import { apiSocketPath } from '../control/paths.js';
import { portRefusal } from '../control/port-refusal.js';
import { requestUnix } from '../control/unix-request.js';
import { listenError } from '../dataplane/listen-error.js';
import { closeListener, createListener, isWildcard } from '../dataplane/listeners.js';
import { checkHubble } from '../hubble/listen.js';
import { SpacedLog } from '../pair/spaced-log.js';
import { pairTlsFiles, TlsFiles } from '../pair/tls-files.js';

const ANSWER_WITHIN_MS = 1_000;
const ANSWER_BYTES_MAX = 64 * 1024;
/** The settings that name a TCP port of a member's own. */
const OWN_PORTS = ['http-listen', 'pair-listen', 'hubble-listen', 'standalone-dns-proxy-listen'] as const;

type Places = Readonly<Record<typeof OWN_PORTS[number], SocketAddress | null>>;

/** What the predecessor has: its settings as the API tells them. Null: it does not say. */
type Former = Readonly<Record<string, unknown>> | null;

/** @throws AppError UNAVAILABLE, or CONFIGURATION for certificates that cannot be used, naming the setting, why it is not to be had, and the remedy. */
export async function checkStart(settings: Settings, log: Log): Promise<void> {
  checkSockets(settings);
  const path = apiSocketPath(settings.runDir, settings.role);
  // Without a predecessor nobody leaves, and each is told when it is opened.
  if (!(await isAnswered(path))) return;
  const former = await settingsAt(path);
  checkListen(settings, former);
  checkPorts(settings, former);
  const hasPairPort = (settings.role === 'agent' ? settings.pairListen : settings.pairConnect) !== null;
  if (hasPairPort) new TlsFiles(pairTlsFiles(settings), new SpacedLog(log));
  if (settings.enableHubble) await checkHubble(settings, log, (at) => former === null || former['hubble-listen'] === `unix:${at}`);
}

/** Can the shared addresses' sockets be made here, with the options of their mode? */
function checkSockets({ listen, mode }: Pick<Settings, 'listen' | 'mode'>): void {
  for (const address of listen) {
    try {
      closeListener(createListener(address, mode === 'transparent'));
    } catch (error) {
      throw listenRefusal(address, error);
    }
  }
}

/** Sockets for the same addresses are handed on. Of others TCP is tried: what is bound and does not listen is sent nothing. */
function checkListen({ listen, mode }: Settings, former: Former): void {
  if (JSON.stringify(former?.listen) === JSON.stringify(listen.map(formatSocketAddress))) return;
  for (const address of listen) {
    try {
      tryBind(address, { reusePort: true, ...(mode === 'transparent' ? { transparent: true } : {}) });
    } catch (error) {
      if (!isFormers(address, former, error)) throw listenRefusal(address, error);
    }
  }
}

function checkPorts(settings: Settings, former: Former): void {
  const { httpListen, pairListen, hubbleListen, standaloneProxyListen, enableHubble } = settings;
  const places: Places = {
    'http-listen': httpListen,
    'pair-listen': pairListen,
    'hubble-listen': enableHubble && typeof hubbleListen === 'object' ? hubbleListen : null,
    'standalone-dns-proxy-listen': standaloneProxyListen,
  };
  for (const name of OWN_PORTS) {
    const at = places[name];
    if (at === null || (name === 'http-listen' && former?.[name] === formatSocketAddress(at))) continue;
    try {
      // Node listens on `::` for IPv4, too.
      tryBind(at, at.family === 6 ? { v6Only: false } : {});
    } catch (error) {
      if (isFormers(at, former, error)) continue;
      const { code, message } = error as NodeJS.ErrnoException;
      throw new AppError('UNAVAILABLE', portRefusal(`--${name}`, at, code ?? message), { cause: error });
    }
  }
}

/** @throws the system's error. */
function tryBind({ address, family, port }: SocketAddress, options: { readonly reusePort?: boolean; readonly transparent?: boolean; readonly v6Only?: boolean } = {}): void {
  const fd = openSocket({ type: 'tcp', family, reuseAddress: true, ...options });
  try {
    bindSocket(fd, address, port);
  } finally {
    closeFd(fd);
  }
}

/** Whether it is the predecessor who has the address. One that does not say what it has may have any. */
function isFormers(at: SocketAddress, former: Former, error: unknown): boolean {
  if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') return false;
  if (former === null) return true;
  return OWN_PORTS.some((name) => {
    const text = former[name];
    const its = typeof text === 'string' ? parseSocketAddress(text) : null;
    return its !== null && its.port === at.port && (its.address === at.address || isWildcard(its) || isWildcard(at));
  });
}

function listenRefusal(address: SocketAddress, error: unknown): AppError {
  const { message, code } = listenError(address, error) as NodeJS.ErrnoException;
  return new AppError('UNAVAILABLE', message, { details: { errno: code ?? '' }, cause: error });
}

async function settingsAt(socketPath: string): Promise<Former> {
  try {
    const { status, text } = await requestUnix({ socketPath, method: 'GET', path: '/api/v1/settings', timeoutMs: ANSWER_WITHIN_MS, answerBytesMax: ANSWER_BYTES_MAX });
    return status === 200 ? JSON.parse(text) as Former : null;
  } catch {
    return null;
  }
}
