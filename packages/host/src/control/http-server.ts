/**
 * The HTTP side of a daemon: the same routes over TCP (`--http-listen`) and over a Unix socket in the run-dir, which
 * alone takes mutations: its mode 0600 is their access control. Every request is bounded in header, body, time and number;
 * at a bound it is refused. Knows no daemon: it sees a `DaemonView`.
 */
import { unlinkSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { dirname } from 'node:path';
import { AppError, formatSocketAddress, type Log, type SocketAddress } from '@tandem/core';
import type { FlowLog } from '../flows/flow-log.js';
import type { DaemonView } from './daemon-view.js';
import { answer, type Exchange } from './http-routes.js';
import { FlowSearches } from './page-flows.js';
import { type PageFile, PageFiles } from './page-files.js';
import { PairReader } from './page-pair.js';
import { apiSocketPath } from './paths.js';

// An import would read all that the module exports, its WebSocket among it, and load a whole HTTP client: 14 MB resident.
const { createServer } = process.getBuiltinModule('node:http');

export interface HttpOptions {
  readonly listen: SocketAddress;
  /** `RUN_DIR/ROLE.sock`; its folder exists. */
  readonly unixPath: string;
  readonly log: Log;
  /** A predecessor's socket, which listens already. */
  readonly inheritedFd?: number | null;
  /** The status page's; default: there is none. */
  readonly page?: readonly PageFile[];
  /** Default: there are none. */
  readonly flows?: FlowLog | null;
  /** After how long a connection on which nothing moves is ended; default: `STALL_MS`. */
  readonly stallMs?: number;
}

export interface HttpServers {
  /** Where it listens; the port is the real one when 0 was asked. */
  readonly listen: SocketAddress;
  readonly unixPath: string;
  /** Of the socket that listens at `listen`. */
  readonly fd: number;
  /** Stops listening, ends idle connections, gives those under way a moment, and removes the Unix socket. */
  close(): Promise<void>;
}

const HEADER_BYTES_MAX = 8 * 1024;
const CONNECTIONS_MAX = 64;
const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 5_000;
/** A connection on which nothing moves, such as that of a client that does not read its answer, whose rows wait in memory. */
const STALL_MS = 10_000;
const CLOSE_GRACE_MS = 500;
const PROBE_TIMEOUT_MS = 1_000;
/** Owner may read and write, nobody else anything. */
const PRIVATE_UMASK = 0o177;

/** @throws AppError UNAVAILABLE if the port is taken or another member of this role answers on the Unix socket. */
export async function startHttpServers(options: HttpOptions, view: DaemonView): Promise<HttpServers> {
  const peer = view.role === 'agent' ? 'dns-proxy' : 'agent';
  const site = {
    view, page: new PageFiles(options.page ?? []), flows: new FlowSearches(options.flows ?? null),
    pair: new PairReader(view, peer, apiSocketPath(dirname(options.unixPath), peer)),
  };
  const unix = serverFor({ ...site, mayMutate: true }, options);
  const tcp = serverFor({ ...site, mayMutate: false }, options);
  await removeStaleSocket(options.unixPath);
  await listenUnix(unix, options.unixPath);
  try {
    await listenTcp(tcp, options.listen, options.inheritedFd ?? null);
  } catch (error) {
    await closeServer(unix);
    throw error;
  }
  const bound = tcp.address() as AddressInfo;
  return {
    listen: { ...options.listen, port: bound.port },
    unixPath: options.unixPath,
    fd: (tcp as unknown as { readonly _handle: { readonly fd: number } })._handle.fd,
    close: async () => {
      await Promise.all([closeServer(unix), closeServer(tcp)]);
    },
  };
}

function serverFor(site: Omit<Exchange, 'request' | 'response'>, { log, stallMs = STALL_MS }: HttpOptions): Server {
  const server = createServer(
    { maxHeaderSize: HEADER_BYTES_MAX, headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS },
    (request: IncomingMessage, response: ServerResponse) => {
      answer({ request, response, ...site }).catch((error: unknown) => {
        // The routes turn refusals into answers; what is left is a connection that broke or a fault of ours.
        if (!response.destroyed) {
          log.warn('an HTTP request failed', { path: request.url?.slice(0, 200), error: String(error) });
          response.destroy();
        }
      });
    },
  );
  server.maxConnections = CONNECTIONS_MAX;
  server.timeout = stallMs;
  return server;
}

function listenTcp(server: Server, at: SocketAddress, inheritedFd: number | null): Promise<void> {
  if (inheritedFd !== null) return listening(server, () => server.listen({ fd: inheritedFd }), (code) => `the HTTP socket of the predecessor: ${code}`);
  return listening(server, () => server.listen({ host: at.address, port: at.port }), (code) => {
    const where = `--http-listen ${formatSocketAddress(at)}`;
    switch (code) {
      case 'EADDRINUSE':
        return `${where}: the port is taken; stop what listens there or choose another with --http-listen`;
      case 'EACCES':
        return `${where}: no permission for this port; choose one of 1024 or more, or grant CAP_NET_BIND_SERVICE`;
      case 'EADDRNOTAVAIL':
        return `${where}: this host has no such address`;
      default:
        return `${where}: ${code}`;
    }
  });
}

function listenUnix(server: Server, path: string): Promise<void> {
  const before = process.umask(PRIVATE_UMASK);
  // Bound synchronously inside listen(): the mode is right from the first moment.
  const done = listening(server, () => server.listen({ path }), (code) => `cannot listen at ${path}: ${code}; check --run-dir`);
  process.umask(before);
  return done;
}

function listening(server: Server, start: () => void, explain: (code: string) => string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      reject(new AppError('UNAVAILABLE', explain(error.code ?? error.message), { cause: error }));
    };
    server.once('error', failed);
    server.once('listening', () => {
      server.off('error', failed);
      resolve();
    });
    start();
  });
}

/** Removes the socket file of a dead process; one that still answers belongs to a living member of this role. */
async function removeStaleSocket(path: string): Promise<void> {
  const state = await probe(path);
  if (state === 'answers') {
    throw new AppError('UNAVAILABLE', `another process answers at ${path}; stop it or choose another --run-dir`);
  }
  if (state === 'dead') unlinkSync(path);
}

/** True while a living process of this role has the Unix socket. */
export async function isAnswered(path: string): Promise<boolean> {
  return (await probe(path)) === 'answers';
}

function probe(path: string): Promise<'absent' | 'dead' | 'answers'> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    // A full backlog or a stopped process neither accepts nor refuses: it is there.
    socket.setTimeout(PROBE_TIMEOUT_MS, () => { settle('answers'); });
    socket.once('connect', () => { settle('answers'); });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') settle('absent');
      else if (error.code === 'ECONNREFUSED') settle('dead');
      else if (error.code === 'EAGAIN') settle('answers');
      else {
        socket.destroy();
        reject(new AppError('UNAVAILABLE', `cannot use ${path}: ${error.message}; check --run-dir`, { cause: error }));
      }
    });
    function settle(state: 'absent' | 'dead' | 'answers'): void {
      socket.destroy();
      resolve(state);
    }
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const late = setTimeout(() => { server.closeAllConnections(); }, CLOSE_GRACE_MS);
    server.close(() => {
      clearTimeout(late);
      resolve();
    });
    server.closeIdleConnections();
  });
}
