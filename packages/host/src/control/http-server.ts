/**
 * The HTTP side of a daemon: the same routes over TCP (`--http-listen`) and over a Unix socket in the run-dir, which
 * alone takes mutations: its mode 0600 is their access control. Every request is bounded in header, body and time, and refused
 * at a bound; of too many connections the one that has waited longest is ended. Knows no daemon: it sees a `DaemonView`.
 */
import { unlinkSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { dirname } from 'node:path';
import { AppError, type Log, type SocketAddress } from '@tandem/core';
import type { FlowLog } from '../flows/flow-log.js';
import type { DaemonView } from './daemon-view.js';
import { HttpConnections } from './http-connections.js';
import { HEADER_BYTES_MAX, refuseUnrouted } from './http-refusals.js';
import { answer, type Exchange, RowAnswers } from './http-routes.js';
import { FlowSearches } from './page-flows.js';
import { type PageFile, PageFiles } from './page-files.js';
import { faultFields } from './log.js';
import { PairReader } from './page-pair.js';
import { apiSocketPath } from './paths.js';
import { portRefusal } from './port-refusal.js';

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
  /** After how long a request that is not whole is refused; default: `REQUEST_TIMEOUT_MS`. */
  readonly requestMs?: number;
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

const CONNECTIONS_MAX = 64;
const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
/** How often is looked for requests that take too long. */
const REQUEST_CHECK_MS = 1_000;
const KEEP_ALIVE_MS = 5_000;
/** A connection on which nothing moves, such as that of a client that does not read its answer, whose rows wait in memory. */
const STALL_MS = 10_000;
const CLOSE_GRACE_MS = 500;
/** Of a connection's end in the middle of a request or an answer. */
const BROKEN_CODES: ReadonlySet<unknown> = new Set(['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_UNABLE_TO_PIPE']);
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

function serverFor(site: Omit<Exchange, 'request' | 'response' | 'rows'>, { log, stallMs = STALL_MS, requestMs = REQUEST_TIMEOUT_MS }: HttpOptions): Server {
  const rows = new RowAnswers();
  const server = createServer(
    { maxHeaderSize: HEADER_BYTES_MAX, headersTimeout: Math.min(HEADERS_TIMEOUT_MS, requestMs), requestTimeout: requestMs,
      connectionsCheckingInterval: REQUEST_CHECK_MS, keepAliveTimeout: KEEP_ALIVE_MS, requireHostHeader: false },
    (request: IncomingMessage, response: ServerResponse) => {
      answer({ request, response, rows, ...site }).catch((error: unknown) => {
        // The routes turn refusals into answers; what is left is a connection that broke or a fault of ours.
        if (!isBroken(error)) log.error('an HTTP request failed', { path: request.url?.slice(0, 200), ...faultFields(error) });
        if (!response.writableEnded) response.destroy();
      });
    },
  );
  refuseUnrouted(server, new HttpConnections(server, CONNECTIONS_MAX));
  server.timeout = stallMs;
  return server;
}

/** The client is gone, or was let go of, before it had sent all or taken all. */
function isBroken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && BROKEN_CODES.has(error.code);
}

function listenTcp(server: Server, at: SocketAddress, inheritedFd: number | null): Promise<void> {
  if (inheritedFd !== null) return listening(server, () => server.listen({ fd: inheritedFd }), (code) => `the HTTP socket of the predecessor: ${code}`);
  return listening(server, () => server.listen({ host: at.address, port: at.port }), (code) => portRefusal('--http-listen', at, code));
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
