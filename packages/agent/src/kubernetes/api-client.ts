/**
 * HTTP to the API server: one request and its answer, or a stream of bytes. Each watch has a connection of its own (HTTP/1.1); lists
 * and patches share a few.
 *
 * Invariant: every request ends, by its answer, its deadline, or being aborted; what comes is bounded by who asks. Files of tokens and
 * certificates are read with each request, so that a rotated one counts at once; requests are few.
 * Does not know: kinds, lists, when to try again.
 */
import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent, type ClientRequest, type IncomingMessage, request as httpRequest, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { connect, type Socket } from 'node:net';
import { ApiError, errorOfStatus } from './api-error.js';
import type { ClusterConfig, Secret } from './cluster-config.js';

export interface ApiRequest {
  readonly method: 'GET' | 'PATCH';
  /** From `/api` or `/apis` on, with its query. */
  readonly path: string;
  readonly body?: { readonly text: string; readonly type: string };
  readonly signal: AbortSignal;
}

/** How a stream is looked after. */
export interface StreamOptions {
  /** No byte for so long: the stream is taken for dead. */
  readonly silenceMsMax: number;
  /** The server has answered with 200. */
  readonly onOpen?: () => void;
  /** Throws to end the stream. */
  readonly onChunk: (chunk: Buffer) => void;
}

export interface ApiClientOptions {
  readonly version: string;
  /** To an answer's first byte, connection and handshake included. */
  readonly answerMsMax?: number;
}

const ANSWER_MS_MAX = 30_000;
/** A peer that is gone without a word is found out by the kernel: after so long without traffic, ten probes a second apart. */
const KEEP_ALIVE_MS = 10_000;
const CONNECTIONS_MAX = 64;
const IDLE_CONNECTIONS_MAX = 2;
/** Of an answer that is an error, or of a patched object. */
const BODY_BYTES_MAX = 4 * 1024 * 1024;
const ERROR_BYTES_MAX = 64 * 1024;
const HEADER_BYTES_MAX = 64 * 1024;

export class ApiClient {
  readonly config: ClusterConfig;
  private readonly answerMsMax: number;
  private readonly userAgent: string;
  private agent: { readonly key: string; readonly agent: HttpAgent } | null = null;

  constructor(config: ClusterConfig, { version, answerMsMax = ANSWER_MS_MAX }: ApiClientOptions) {
    this.config = config;
    this.answerMsMax = answerMsMax;
    this.userAgent = `tandem-agent/${version}`;
  }

  close(): void {
    this.agent?.agent.destroy();
    this.agent = null;
  }

  /** The whole answer, if it is a good one. @throws ApiError. */
  async text(request: ApiRequest): Promise<string> {
    const parts: Buffer[] = [];
    let bytes = 0;
    await this.stream(request, {
      silenceMsMax: this.answerMsMax,
      onChunk: (chunk) => {
        bytes += chunk.length;
        if (bytes > BODY_BYTES_MAX) throw new ApiError('too-large', `the answer has more than ${BODY_BYTES_MAX} bytes`);
        parts.push(chunk);
      },
    });
    return Buffer.concat(parts).toString('utf8');
  }

  /** Resolves when the server has ended a good answer. @throws ApiError; also where `signal` aborts. */
  async stream(request: ApiRequest, options: StreamOptions): Promise<void> {
    const answer = await this.send(request);
    const status = answer.statusCode ?? 0;
    if (status < 200 || status > 299) {
      const body = await errorText(answer, this.answerMsMax);
      throw errorOfStatus(status, body, answer.headers['retry-after']);
    }
    options.onOpen?.();
    await consume(answer, options);
  }

  /** Whether something listens where the API server was: no request is made, and no TLS. */
  isListening(withinMs: number): Promise<boolean> {
    const { hostname, port, protocol } = this.config.server;
    return new Promise((resolve) => {
      const socket: Socket = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port === '' ? (protocol === 'https:' ? 443 : 80) : port) });
      const settle = (isOpen: boolean): void => {
        clearTimeout(timer);
        socket.destroy();
        resolve(isOpen);
      };
      const timer = setTimeout(() => { settle(false); }, withinMs);
      socket.once('connect', () => { settle(true); });
      socket.once('error', () => { settle(false); });
    });
  }

  private async send({ method, path, body, signal }: ApiRequest): Promise<IncomingMessage> {
    const { server } = this.config;
    const [agent, token] = [await this.connections(), await read(this.config.token)];
    const options: RequestOptions = {
      method, agent, signal, maxHeaderSize: HEADER_BYTES_MAX,
      path: `${server.pathname === '/' ? '' : server.pathname}${path}`,
      hostname: server.hostname.replace(/^\[|\]$/g, ''),
      port: server.port === '' ? undefined : server.port,
      headers: {
        accept: 'application/json', 'user-agent': this.userAgent,
        ...(token === null ? {} : { authorization: `Bearer ${token.trim()}` }),
        ...(body === undefined ? {} : { 'content-type': body.type, 'content-length': Buffer.byteLength(body.text) }),
      },
    };
    return new Promise((resolve, reject) => {
      let request: ClientRequest;
      try {
        request = (server.protocol === 'https:' ? httpsRequest : httpRequest)(options);
      } catch (error) {
        // Such as certificates that are none.
        reject(asApiError(error instanceof Error ? error : new Error(String(error))));
        return;
      }
      const timer = setTimeout(() => {
        request.destroy(new ApiError('connect', `no answer within ${this.answerMsMax} ms`));
      }, this.answerMsMax);
      request.on('socket', (socket) => { socket.setKeepAlive(true, KEEP_ALIVE_MS); });
      request.on('error', (error) => {
        clearTimeout(timer);
        reject(asApiError(error));
      });
      request.on('response', (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
      request.end(body?.text);
    });
  }

  /** New ones where certificates have changed; the streams of old ones go on. */
  private async connections(): Promise<HttpAgent> {
    const { server, tlsServerName, insecureSkipTlsVerify } = this.config;
    const [ca, cert, key] = [await read(this.config.ca), await read(this.config.cert), await read(this.config.key)];
    const name = [ca, cert, key].join('\0');
    if (this.agent?.key === name) return this.agent.agent;
    const common = { keepAlive: true, maxSockets: CONNECTIONS_MAX, maxFreeSockets: IDLE_CONNECTIONS_MAX };
    const agent = server.protocol !== 'https:' ? new HttpAgent(common) : new HttpsAgent({
      ...common, rejectUnauthorized: !insecureSkipTlsVerify,
      ...(ca === null ? {} : { ca }), ...(cert === null ? {} : { cert }), ...(key === null ? {} : { key }),
      ...(tlsServerName === null ? {} : { servername: tlsServerName }),
    });
    this.agent = { key: name, agent };
    return agent;
  }
}

async function read(secret: Secret | null): Promise<string | null> {
  if (secret === null) return null;
  if ('data' in secret) return secret.data;
  try {
    return await readFile(secret.path, 'utf8');
  } catch (error) {
    throw new ApiError('file', error instanceof Error ? error.message : String(error));
  }
}

/** Reads an answer to its end; silence is its death. */
function consume(answer: IncomingMessage, { silenceMsMax, onChunk }: StreamOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (error: Error | null): void => {
      clearTimeout(timer);
      // A whole answer leaves its connection to the next request.
      if (error === null) return resolve();
      answer.destroy();
      reject(asApiError(error));
    };
    const timer = setTimeout(() => { end(new ApiError('stalled', `nothing came for ${silenceMsMax} ms`)); }, silenceMsMax);
    answer.on('data', (chunk: Buffer) => {
      timer.refresh();
      try {
        onChunk(chunk);
      } catch (error) {
        end(error instanceof Error ? error : new Error(String(error)));
      }
    });
    answer.on('end', () => { end(answer.complete ? null : new ApiError('connect', 'the connection broke')); });
    answer.on('error', end);
    answer.on('close', () => { end(new ApiError('connect', 'the connection broke')); });
  });
}

async function errorText(answer: IncomingMessage, silenceMsMax: number): Promise<string> {
  let text = '';
  try {
    await consume(answer, {
      silenceMsMax,
      onChunk: (chunk) => {
        if (text.length < ERROR_BYTES_MAX) text += chunk.toString('utf8');
        else throw new Error('enough');
      },
    });
  } catch {
    // What has come says enough.
  }
  return text;
}

function asApiError(error: Error): Error {
  if (error instanceof ApiError) return error;
  const { code } = error as NodeJS.ErrnoException;
  // Faults of our own readers are defects, and stay what they are.
  return code === undefined ? error : new ApiError('connect', code === 'ABORT_ERR' ? 'closed' : error.message);
}
