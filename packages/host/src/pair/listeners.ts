/**
 * Where the agent is dialled: a Unix socket for peers of the same user, and, where the settings say so, TCP with mutual TLS.
 *
 * Invariant: what is handed on is a peer whose credentials were checked on its own connection.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { checkServerIdentity, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { AppError, formatSocketAddress, type SocketAddress } from '@tandem/core';
import { peerCredentials } from 'node-reuseport';
import type { SpacedLog } from './spaced-log.js';
import { certificateNameOf, type TlsFiles } from './tls-files.js';

const PRIVATE_UMASK = 0o177;
/** During a rolling update two peers may be linked for a moment; more are a mistake. */
const CONNECTIONS_MAX = 4;
/** TCP connections that have not shown a certificate yet are counted apart: strangers can open these. */
const HANDSHAKES_MAX = 64;
const HANDSHAKE_WITHIN_MS = 3000;
const REFUSED = 'a pair link was refused';

export type OnPeer = (socket: Socket) => void;

export interface Listener {
  /** Ends its connections, too: strangers' and half-open ones are nobody else's. */
  close(): Promise<void>;
}

export interface UnixSocketOptions {
  readonly path: string;
  readonly connectionsMax: number;
  /** How the log says that somebody was turned away. */
  readonly refused: string;
  /** The setting to look at where the socket cannot be made. */
  readonly remedy: string;
}

const PAIR_SOCKET = { connectionsMax: CONNECTIONS_MAX, refused: REFUSED, remedy: 'check --run-dir' } as const;

/** The pair's own socket: the API's socket of this role is held already, so what lies here is a dead process's. @throws AppError UNAVAILABLE when it cannot be made. */
export function listenPair(path: string, onPeer: OnPeer, spaced: SpacedLog): Promise<Listener> {
  return listenUnix({ ...PAIR_SOCKET, path }, onPeer, spaced);
}

/**
 * A socket for processes of the same user; a file of that name is a dead process's, which the caller knows.
 * @throws AppError UNAVAILABLE when it cannot be made.
 */
export async function listenUnix({ path, connectionsMax, refused, remedy }: UnixSocketOptions, onPeer: OnPeer, spaced: SpacedLog): Promise<Listener> {
  const server = createServer((socket) => {
    if (isOwnUser(socket)) onPeer(socket);
    else {
      spaced.say('warn', refused, 'another user dialled');
      socket.destroy();
    }
  });
  server.maxConnections = connectionsMax;
  server.on('drop', () => spaced.say('warn', refused, `there are ${connectionsMax} already`));
  const close = closerOf(server);
  try {
    rmSync(path, { force: true });
    await listening(server, () => {
      const before = process.umask(PRIVATE_UMASK);
      server.listen({ path });
      process.umask(before);
    });
    chmodSync(path, 0o600);
  } catch (error) {
    throw unavailable(path, remedy, error);
  }
  return { close };
}

/** @throws AppError UNAVAILABLE when the address cannot be bound. */
export async function listenTls(at: SocketAddress, files: TlsFiles, onPeer: OnPeer, spaced: SpacedLog): Promise<Listener> {
  const peers = new Set<TLSSocket>();
  const server = createTlsServer({
    // A stranger is refused below, where its reason is still known.
    ...files.current().options, requestCert: true, rejectUnauthorized: false, ALPNProtocols: ['h2'], handshakeTimeout: HANDSHAKE_WITHIN_MS,
  });
  server.maxConnections = HANDSHAKES_MAX + CONNECTIONS_MAX;
  const close = closerOf(server);
  server.prependListener('connection', () => server.setSecureContext(files.current().options));
  server.on('secureConnection', (socket) => {
    const reason = strangenessOf(socket) ?? (peers.size < CONNECTIONS_MAX ? null : `there are ${CONNECTIONS_MAX} already`);
    if (reason !== null) {
      spaced.say('warn', REFUSED, reason);
      socket.destroy();
      return;
    }
    peers.add(socket);
    socket.on('close', () => peers.delete(socket));
    onPeer(socket);
  });
  server.on('tlsClientError', (error) => spaced.say('warn', REFUSED, error.message));
  try {
    await listening(server, () => server.listen({ host: at.address, port: at.port }));
  } catch (error) {
    throw unavailable(formatSocketAddress(at), 'choose another --pair-listen', error);
  }
  return { close };
}

/** Why it is not the DNS proxy, with a certificate that our CA has signed; null when it is. */
function strangenessOf(socket: TLSSocket): string | null {
  if (Object.keys(socket.getPeerCertificate()).length === 0) return 'it showed no certificate';
  if (!socket.authorized) return `its certificate does not hold: ${String(socket.authorizationError)}`;
  return checkServerIdentity(certificateNameOf('dns-proxy'), socket.getPeerCertificate())?.message ?? null;
}

function isOwnUser(socket: Socket): boolean {
  const { fd } = (socket as unknown as { readonly _handle: { readonly fd: number } })._handle;
  return peerCredentials(fd).uid === process.geteuid!();
}

export function listening(server: Server, listen: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', resolve);
    listen();
  });
}

/** Ends its connections, too. */
export function closerOf(server: Server): () => Promise<void> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  return () => new Promise((resolve) => {
    server.close(() => resolve());
    for (const socket of sockets) socket.destroy();
  });
}

export function unavailable(where: string, remedy: string, cause: unknown): AppError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new AppError('UNAVAILABLE', `cannot listen at ${where}: ${why}; ${remedy}`, { cause });
}
