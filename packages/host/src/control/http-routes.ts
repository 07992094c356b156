/**
 * The routes of the HTTP API, one table. Answers are JSON (`/healthz`, `/readyz`, `/metrics` and `/api` are text, `/` and what it
 * loads are the status page); a refusal is `{"error": {"code", "message"}}` with the status that fits its AppError code.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppError, canonicalAddress, L4_PROTOCOL, PROTOCOL, type AppErrorCode, type ConnectionRequest, type TraceRequest } from '@tandem/core';
import { TYPE, typeNumber } from '@tandem/dns';
import { ENTRIES_BYTES_MAX } from './cache-entries.js';
import type { CacheFilter, DaemonView } from './daemon-view.js';
import { isMeantForUs } from './host-header.js';
import { FLOW_SEARCH_LIMITS, FLOW_VERDICTS, type FlowSearch, type FlowSearches } from './page-flows.js';
import type { PageFiles } from './page-files.js';
import type { PairReader } from './page-pair.js';
import { connectionViewOf, traceViewOf } from './trace-view.js';

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly view: DaemonView;
  readonly pair: PairReader;
  readonly flows: FlowSearches;
  readonly rows: RowAnswers;
  /** The status page; without one `/` is as `/api`. */
  readonly page: PageFiles;
  /** Only the Unix socket's connections may change anything. */
  readonly mayMutate: boolean;
}

/** Bounds how many answers of rows are under way. */
export class RowAnswers {
  private underWay = 0;

  /** @throws AppError UNAVAILABLE for one too many. */
  async during(work: () => Promise<void>): Promise<void> {
    if (this.underWay >= ROW_ANSWERS_MAX) throw new AppError('UNAVAILABLE', `${ROW_ANSWERS_MAX} lists are being read; ask again`);
    this.underWay++;
    try {
      await work();
    } finally {
      this.underWay--;
    }
  }
}

interface Route {
  /** Its parameters; any other, and one that is given twice, is refused before it is run. */
  readonly takes: readonly string[];
  readonly run: (exchange: Exchange, query: URLSearchParams) => void | Promise<void>;
  /** Not over TCP, for this reason. */
  readonly unixOnly?: string;
}

const BODY_BYTES_MAX = 64 * 1024;
const NAME_CHARACTERS_MAX = 1_100; // a name of 255 bytes, every byte escaped as \DDD
const PATTERN_CHARACTERS_MAX = 255;
const ROWS_PER_CHUNK = 500;
/** Answers of rows that are being read, per server: each holds its rows until then. */
const ROW_ANSWERS_MAX = 4;
const ROWS_MAX = 1_000_000;
const ENDPOINT_ID_MAX = 65_535;
const PORT_MAX = 65_535;

const JSON_TYPE = 'application/json; charset=utf-8';
const TEXT_TYPE = 'text/plain; charset=utf-8';
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

const TRACE_FIELDS = ['from', 'server', 'port', 'protocol', 'name', 'type'];
const CONNECTION_FIELDS = ['from', 'to', 'port', 'protocol', 'name'];

const CHANGES = 'changes are taken on the Unix socket in the run-dir only';
/** The answer names the host's files. */
const AT_HOME = 'this is told on the Unix socket in the run-dir only';

const routes: Readonly<Record<string, Readonly<Record<string, Route>>>> = {
  '/': { GET: { takes: [], run: index } },
  '/api': { GET: { takes: [], run: index } },
  '/healthz': { GET: { takes: [], run: (exchange) => { sendText(exchange, 200, 'ok\n'); } } },
  '/readyz': { GET: { takes: [], run: readyz } },
  '/metrics': { GET: { takes: [], run: metrics } },
  '/api/v1/status': { GET: { takes: [], run: (exchange) => { sendJson(exchange, 200, exchange.view.status()); } } },
  '/api/v1/pair': { GET: { takes: [], run: async (exchange) => { sendJson(exchange, 200, await exchange.pair.read()); } } },
  '/api/v1/flows': { GET: {
    takes: ['last', 'since', 'pod', 'name', 'verdict'],
    run: async (exchange, query) => { sendJson(exchange, 200, await exchange.flows.search(flowSearchOf(query))); },
  } },
  '/api/v1/fqdn/cache': {
    GET: { takes: ['matchPattern', 'endpoint', 'source', 'limit'], run: cacheList },
    DELETE: { takes: ['matchPattern'], run: cacheClean, unixOnly: CHANGES },
  },
  '/api/v1/fqdn/cache/export': { GET: { takes: [], run: (exchange) => sendRows(exchange, () => exchange.view.cacheExport()) } },
  '/api/v1/fqdn/cache/import': { POST: { takes: [], run: cacheImport, unixOnly: CHANGES } },
  '/api/v1/settings': { GET: { takes: [], run: (exchange) => { sendJson(exchange, 200, exchange.view.settings()); }, unixOnly: AT_HOME } },
  '/api/v1/endpoints': { GET: { takes: [], run: (exchange) => sendRows(exchange, () => exchange.view.endpoints()) } },
  '/api/v1/policies': { GET: { takes: [], run: (exchange) => sendRows(exchange, () => exchange.view.policies()) } },
  '/api/v1/policy/trace': {
    GET: { takes: TRACE_FIELDS, run: (exchange, query) => { sendTrace(exchange, Object.fromEntries(query)); } },
    POST: { takes: [], run: async (exchange) => { sendTrace(exchange, await readJson(exchange.request, BODY_BYTES_MAX)); } },
  },
  '/api/v1/policy/trace/connection': {
    GET: { takes: CONNECTION_FIELDS, run: (exchange, query) => { sendConnectionTrace(exchange, Object.fromEntries(query)); } },
    POST: { takes: [], run: async (exchange) => { sendConnectionTrace(exchange, await readJson(exchange.request, BODY_BYTES_MAX)); } },
  },
};

/** Answers one request, refusals included. Rejects only when the connection broke or a handler has a fault. */
export async function answer(exchange: Exchange): Promise<void> {
  const { request } = exchange;
  try {
    const url = targetOf(request);
    if (!exchange.mayMutate && isPrivate(url.pathname) && !isMeantForUs(request)) {
      sendError(exchange, 421, 'USAGE', 'on a loopback address this is served for an IP address or localhost in the Host header, and for no other name');
      return;
    }
    if (isRead(request) && exchange.page.send(request, exchange.response, url.pathname)) return;
    const route = Object.hasOwn(routes, url.pathname) ? routes[url.pathname] : undefined;
    if (route === undefined) throw new AppError('NOT_FOUND', `no such path; there are ${Object.keys(routes).join(', ')}`);
    const method = isRead(request) ? 'GET' : (request.method ?? '');
    if (!Object.hasOwn(route, method)) {
      exchange.response.setHeader('allow', Object.keys(route).join(', '));
      sendError(exchange, 405, 'USAGE', `${url.pathname} takes ${Object.keys(route).join(', ')}`);
      return;
    }
    const { takes, run, unixOnly } = route[method];
    if (unixOnly !== undefined && !exchange.mayMutate) {
      sendError(exchange, 403, 'USAGE', unixOnly);
      return;
    }
    only(url.searchParams, takes);
    await run(exchange, url.searchParams);
  } catch (error) {
    if (exchange.response.headersSent) throw error;
    if (error instanceof AppError) sendError(exchange, statusOf(error.code), error.code, error.message);
    else {
      sendError(exchange, 500, 'INTERNAL', 'a fault of ours; the log has it');
      throw error;
    }
  }
}

/** A target that begins with two slashes is a path, too, not a host and a path. */
function targetOf({ url = '', headers, httpVersion }: IncomingMessage): URL {
  if (headers.host === undefined && httpVersion === '1.1') throw new AppError('USAGE', 'the request has no Host header');
  const target = URL.parse(url.startsWith('/') ? `http://localhost${url}` : url);
  if (target === null) throw new AppError('USAGE', 'the request names no path');
  return target;
}

/** What a stranger's page must not read. Probes and scrapes come by whatever name. */
function isPrivate(path: string): boolean {
  return path !== '/healthz' && path !== '/readyz' && path !== '/metrics';
}

function isRead(request: IncomingMessage): boolean {
  return request.method === 'GET' || request.method === 'HEAD';
}

function statusOf(code: AppErrorCode): number {
  switch (code) {
    case 'USAGE':
    case 'CONFIGURATION':
      return 400;
    case 'NOT_FOUND':
      return 404;
    case 'LIMIT':
      return 413;
    case 'UNAVAILABLE':
    case 'LINK':
    case 'SNAPSHOT_REFUSED':
      return 503;
  }
}

function index(exchange: Exchange): void {
  const paths = Object.entries(routes).map(([path, methods]) => `${Object.keys(methods).join('|').padEnd(10)} ${path}`);
  sendText(exchange, 200, `tandem ${exchange.view.role}\n\n${paths.join('\n')}\n`);
}

function readyz(exchange: Exchange): void {
  const { ready, reason } = exchange.view.ready();
  sendText(exchange, ready ? 200 : 503, `${reason}\n`);
}

async function metrics(exchange: Exchange): Promise<void> {
  send(exchange, 200, METRICS_TYPE, await exchange.view.metricsText());
}

function cacheList(exchange: Exchange, query: URLSearchParams): Promise<void> {
  const limit = query.get('limit');
  const filter = cacheFilterOf(query);
  const rowsMax = limit === null ? Infinity : countOf('limit', limit, ROWS_MAX);
  return sendRows(exchange, () => exchange.view.cacheList(filter).slice(0, rowsMax));
}

function cacheClean(exchange: Exchange, query: URLSearchParams): void {
  sendJson(exchange, 200, exchange.view.cacheClean(patternOf(query)));
}

async function cacheImport(exchange: Exchange): Promise<void> {
  const entries = await readJson(exchange.request, ENTRIES_BYTES_MAX);
  // Nothing moves on the connection while it takes many. The next request has its limit again.
  exchange.request.socket.setTimeout(0);
  sendJson(exchange, 200, await exchange.view.cacheImport(entries));
}

function cacheFilterOf(query: URLSearchParams): CacheFilter {
  const source = query.get('source');
  if (source !== null && source !== 'lookup' && source !== 'connection') {
    throw new AppError('USAGE', `source ${JSON.stringify(source.slice(0, 40))} is not allowed; allowed: lookup, connection`);
  }
  const endpoint = query.get('endpoint');
  if (endpoint !== null && (!/^[0-9]{1,5}$/.test(endpoint) || Number(endpoint) > ENDPOINT_ID_MAX)) {
    throw new AppError('USAGE', `endpoint ${JSON.stringify(endpoint.slice(0, 40))} is not allowed; allowed: 0 to ${ENDPOINT_ID_MAX}`);
  }
  return { matchPattern: patternOf(query), endpointId: endpoint === null ? null : Number(endpoint), source };
}

function patternOf(query: URLSearchParams): string | null {
  const pattern = query.get('matchPattern');
  if (pattern !== null && (pattern === '' || pattern.length > PATTERN_CHARACTERS_MAX)) {
    throw new AppError('USAGE', `matchPattern has ${pattern.length} characters; allowed: 1 to ${PATTERN_CHARACTERS_MAX}`);
  }
  return pattern;
}

const FLOWS_DEFAULT = 100;

function flowSearchOf(query: URLSearchParams): FlowSearch {
  const text = (name: string): string => {
    const value = query.get(name) ?? '';
    if (value.length <= FLOW_SEARCH_LIMITS.textCharacters) return value;
    throw new AppError('USAGE', `${name} has ${value.length} characters; allowed: at most ${FLOW_SEARCH_LIMITS.textCharacters}`);
  };
  const verdict = text('verdict');
  if (verdict !== '' && !FLOW_VERDICTS.includes(verdict)) {
    throw new AppError('USAGE', `verdict ${JSON.stringify(verdict.slice(0, 40))} is not allowed; allowed: ${FLOW_VERDICTS.join(', ')}`);
  }
  const last = query.get('last');
  return {
    last: last === null ? FLOWS_DEFAULT : countOf('last', last, FLOW_SEARCH_LIMITS.last), since: text('since'), pod: text('pod'), name: text('name'), verdict,
  };
}

function countOf(name: string, text: string, max: number): number {
  if (!/^[0-9]{1,7}$/.test(text) || Number(text) < 1 || Number(text) > max) {
    throw new AppError('USAGE', `${name} ${JSON.stringify(text.slice(0, 40))} is not allowed; allowed: 1 to ${max}`);
  }
  return Number(text);
}

/** A misspelt filter must not widen what is listed or removed. */
function only(query: URLSearchParams, allowed: readonly string[]): void {
  for (const key of query.keys()) {
    if (!allowed.includes(key)) throw new AppError('USAGE', `unknown parameter ${JSON.stringify(key.slice(0, 40))}; known: ${allowed.join(', ') || 'none'}`);
    if (query.getAll(key).length > 1) throw new AppError('USAGE', `${key} is given twice`);
  }
}

function sendTrace(exchange: Exchange, body: unknown): void {
  sendJson(exchange, 200, traceViewOf(exchange.view.trace(traceRequestOf(body))));
}

function sendConnectionTrace(exchange: Exchange, body: unknown): void {
  sendJson(exchange, 200, connectionViewOf(exchange.view.traceConnection(connectionRequestOf(body))));
}

function traceRequestOf(body: unknown): TraceRequest {
  const fields = fieldsOf(body, TRACE_FIELDS);
  const server = canonicalAddress(textOf(fields, 'server'));
  if (server === null) throw new AppError('USAGE', `server ${JSON.stringify(textOf(fields, 'server').slice(0, 80))} is not an IP address`);
  const port = portOf(fields.port ?? 53, 1);
  const protocol = fields.protocol === undefined ? 'udp' : textOf(fields, 'protocol').toLowerCase();
  if (protocol !== 'udp' && protocol !== 'tcp') {
    throw new AppError('USAGE', `protocol ${JSON.stringify(protocol.slice(0, 40))} is not allowed; allowed: udp, tcp`);
  }
  const type = fields.type === undefined ? TYPE.A : typeOf(textOf(fields, 'type'));
  return { from: textOf(fields, 'from'), server, port, protocol: PROTOCOL[protocol], name: textOf(fields, 'name'), type };
}

function connectionRequestOf(body: unknown): ConnectionRequest {
  const fields = fieldsOf(body, CONNECTION_FIELDS);
  const protocol = fields.protocol === undefined ? 'tcp' : textOf(fields, 'protocol').toLowerCase();
  if (!isL4(protocol)) {
    throw new AppError('USAGE', `protocol ${JSON.stringify(protocol.slice(0, 40))} is not allowed; allowed: ${Object.keys(L4_PROTOCOL).join(', ')}`);
  }
  return {
    from: textOf(fields, 'from'), to: textOf(fields, 'to'), port: portOf(fields.port, 0), protocol: L4_PROTOCOL[protocol],
    name: fields.name === undefined || fields.name === null ? null : textOf(fields, 'name'),
  };
}

function isL4(text: string): text is keyof typeof L4_PROTOCOL {
  return Object.hasOwn(L4_PROTOCOL, text);
}

function fieldsOf(body: unknown, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new AppError('USAGE', 'the body must be a JSON object');
  const unknownField = Object.keys(body).find((key) => !known.includes(key));
  if (unknownField !== undefined) {
    throw new AppError('USAGE', `unknown field ${JSON.stringify(unknownField.slice(0, 40))}; known: ${known.join(', ')}`);
  }
  return body as Readonly<Record<string, unknown>>;
}

function portOf(value: unknown, min: number): number {
  const text = typeof value === 'string' || typeof value === 'number' ? String(value) : '';
  // Not all that Number reads: '' would be port 0, which is an ICMP type.
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : NaN;
  if (!Number.isInteger(port) || port < min || port > PORT_MAX) {
    throw new AppError('USAGE', `port ${String(JSON.stringify(value)).slice(0, 40)} is not allowed; allowed: ${min} to ${PORT_MAX}`);
  }
  return port;
}

function typeOf(text: string): number {
  const type = typeNumber(text);
  if (type < 0) throw new AppError('USAGE', `type ${JSON.stringify(text.slice(0, 40))} is no DNS type; write a mnemonic, or TYPE65`);
  return type;
}

function textOf(fields: Readonly<Record<string, unknown>>, key: string): string {
  const value = fields[key];
  if (typeof value !== 'string' || value === '' || value.length > NAME_CHARACTERS_MAX) {
    throw new AppError('USAGE', `${key} must be a text of 1 to ${NAME_CHARACTERS_MAX} characters`);
  }
  return value;
}

async function readJson(request: IncomingMessage, bytesMax: number): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // The request outlives the loop: destroying it would cut the connection before the refusal is sent.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new AppError('LIMIT', `the body is larger than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch {
    throw new AppError('USAGE', 'the body is not JSON');
  }
}

function sendError(exchange: Exchange, status: number, code: string, message: string): void {
  // After a body that was not read to its end, the connection is of no more use.
  if (status === 413) exchange.response.setHeader('connection', 'close');
  sendJson(exchange, status, { error: { code, message } });
}

function sendJson(exchange: Exchange, status: number, value: unknown): void {
  send(exchange, status, JSON_TYPE, `${JSON.stringify(value)}\n`);
}

function sendText(exchange: Exchange, status: number, text: string): void {
  send(exchange, status, TEXT_TYPE, text);
}

function send(exchange: Exchange, status: number, type: string, text: string): void {
  const { request, response } = exchange;
  response.writeHead(status, headersOf(type, Buffer.byteLength(text)));
  response.end(request.method === 'HEAD' ? undefined : text);
}

/** A JSON array in pieces: a large cache is never one text in memory. */
function sendRows({ request, response, rows }: Exchange, list: () => readonly unknown[]): Promise<void> {
  return rows.during(async () => {
    const chunks = chunksOf(list());
    response.writeHead(200, headersOf(JSON_TYPE, null));
    if (request.method === 'HEAD') response.end();
    else await pipeline(Readable.from(chunks), response);
  });
}

function* chunksOf(rows: readonly unknown[]): Generator<string> {
  if (rows.length === 0) yield '[';
  for (let i = 0; i < rows.length; i += ROWS_PER_CHUNK) {
    const texts = rows.slice(i, i + ROWS_PER_CHUNK).map((row) => JSON.stringify(row));
    yield `${i === 0 ? '[' : ',\n'}${texts.join(',\n')}`;
  }
  yield ']\n';
}

function headersOf(type: string, lengthBytes: number | null): Record<string, string | number> {
  const headers = { 'content-type': type, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };
  return lengthBytes === null ? headers : { ...headers, 'content-length': lengthBytes };
}
