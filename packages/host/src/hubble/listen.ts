/**
 * Where the Observer API is dialled: a Unix socket for processes of the same user, or TCP, plain or with TLS.
 *
 * Invariant: a living process's socket is not taken from it, and a file that is no socket is left alone.
 */
import { accessSync, constants, lstatSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { AppError, formatSocketAddress, type Log, type Settings, type SocketAddress } from '@tandem/core';
import { isAnswered } from '../control/http-server.js';
import { closerOf, type Listener, listening, listenUnix, unavailable } from '../pair/listeners.js';
import { SpacedLog } from '../pair/spaced-log.js';
import { TlsFiles, type TlsFileSet } from '../pair/tls-files.js';

export const CONNECTIONS_MAX = 64;
const HANDSHAKE_WITHIN_MS = 3_000;
const REFUSED = 'a connection to the Observer API was refused';
const REMEDY = 'choose another --hubble-listen';

type OnConnection = (socket: Socket) => void;

export type HubbleListenSettings = Pick<Settings, 'hubbleListen' | 'hubbleTlsCertFile' | 'hubbleTlsKeyFile' | 'hubbleTlsClientCaFiles'>;

/** @throws AppError UNAVAILABLE when it cannot listen there, CONFIGURATION for certificates that cannot be used. */
export async function listenHubble(settings: HubbleListenSettings, log: Log, onConnection: OnConnection): Promise<Listener> {
  const { hubbleListen, hubbleTlsCertFile } = settings;
  const spaced = new SpacedLog(log);
  if (typeof hubbleListen === 'string') return listenAtPath(hubbleListen, spaced, onConnection);
  const at = hubbleListen!;
  if (hubbleTlsCertFile === null) {
    if (!isLoopback(at.address)) log.warn('the Observer API is open to all who reach its port: give --hubble-tls-cert-file, --hubble-tls-key-file and --hubble-tls-client-ca-files', { listen: formatSocketAddress(at) });
    return listenTcp(at, spaced, onConnection);
  }
  return listenTls(at, new TlsFiles(filesOf(settings), spaced), spaced, onConnection);
}

/**
 * Whether it could listen there, of what can be told without doing so; the port itself is not looked at. `isOurs`: who answers at the path
 * lets go of it before this process listens. @throws as `listenHubble`.
 */
export async function checkHubble(settings: HubbleListenSettings, log: Log, isOurs: (path: string) => boolean): Promise<void> {
  const { hubbleListen, hubbleTlsCertFile } = settings;
  if (hubbleTlsCertFile !== null) new TlsFiles(filesOf(settings), new SpacedLog(log));
  if (typeof hubbleListen !== 'string') return;
  await checkPath(hubbleListen, isOurs(hubbleListen));
  try {
    accessSync(dirname(hubbleListen), constants.W_OK | constants.X_OK);
  } catch (error) {
    throw unavailable(hubbleListen, REMEDY, error);
  }
}

async function checkPath(path: string, isOurs: boolean): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found !== undefined && !found.isSocket()) throw new AppError('UNAVAILABLE', `cannot listen at ${path}: it is there and no socket; ${REMEDY}`);
  if (found !== undefined && !isOurs && await isAnswered(path)) throw new AppError('UNAVAILABLE', `another process answers at ${path}; stop it or ${REMEDY}`);
}

async function listenAtPath(path: string, spaced: SpacedLog, onConnection: OnConnection): Promise<Listener> {
  await checkPath(path, false);
  return listenUnix({ path, connectionsMax: CONNECTIONS_MAX, refused: REFUSED, remedy: REMEDY }, onConnection, spaced);
}

async function listenTcp(at: SocketAddress, spaced: SpacedLog, onConnection: OnConnection): Promise<Listener> {
  const server = createServer({ noDelay: true }, onConnection);
  return bound(server, at, spaced);
}

async function listenTls(at: SocketAddress, files: TlsFiles, spaced: SpacedLog, onConnection: OnConnection): Promise<Listener> {
  const asksClients = files.current().options.ca !== undefined;
  const server = createTlsServer({
    ...files.current().options, requestCert: asksClients, rejectUnauthorized: asksClients, ALPNProtocols: ['h2'], handshakeTimeout: HANDSHAKE_WITHIN_MS, noDelay: true,
  });
  server.prependListener('connection', () => server.setSecureContext(files.current().options));
  server.on('secureConnection', onConnection);
  server.on('tlsClientError', (error) => spaced.say('warn', REFUSED, error.message));
  return bound(server, at, spaced);
}

async function bound(server: ReturnType<typeof createServer>, at: SocketAddress, spaced: SpacedLog): Promise<Listener> {
  server.maxConnections = CONNECTIONS_MAX;
  server.on('drop', () => spaced.say('warn', REFUSED, `there are ${CONNECTIONS_MAX} already`));
  const close = closerOf(server);
  try {
    await listening(server, () => server.listen({ host: at.address, port: at.port }));
  } catch (error) {
    throw unavailable(formatSocketAddress(at), REMEDY, error);
  }
  return { close };
}

function filesOf(settings: HubbleListenSettings): TlsFileSet {
  return {
    of: 'the Observer API',
    cert: { flag: '--hubble-tls-cert-file', path: settings.hubbleTlsCertFile! },
    key: { flag: '--hubble-tls-key-file', path: settings.hubbleTlsKeyFile! },
    authorities: settings.hubbleTlsClientCaFiles.map((path) => ({ flag: '--hubble-tls-client-ca-files', path })),
  };
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}
