/**
 * Refusals of requests that no route sees: what is no HTTP, comes too slowly, or asks for what this server has not. They have the form
 * of all others, and end their connection.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { HttpConnections } from './http-connections.js';

// As in http-server.ts: an import would load a whole HTTP client.
const { STATUS_CODES } = process.getBuiltinModule('node:http');

export const HEADER_BYTES_MAX = 8 * 1024;

interface Refusal {
  readonly status: number;
  readonly code: 'USAGE' | 'LIMIT';
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const NO_TUNNEL: Refusal = { status: 405, code: 'USAGE', message: 'CONNECT is taken nowhere here', headers: { allow: 'GET, POST, DELETE' } };
const NO_EXPECTATION: Refusal = { status: 417, code: 'USAGE', message: 'Expect is not allowed; allowed: 100-continue' };

export function refuseUnrouted(server: Server, connections: HttpConnections): void {
  server.on('clientError', (error: NodeJS.ErrnoException, stream) => {
    const socket = stream as Socket;
    // Nobody is there to read it, or it would stand in the middle of an answer.
    if (error.code === 'ECONNRESET' || !socket.writable || connections.answerOn(socket)?.headersSent === true) socket.destroy();
    else write(socket, refusalOf(error));
  });
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => { write(socket as Socket, NO_TUNNEL); });
  server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
    const body = bodyOf(NO_EXPECTATION);
    response.writeHead(NO_EXPECTATION.status, headersOf(NO_EXPECTATION, body)).end(body);
  });
}

/** By the codes of Node's parser. */
function refusalOf({ code, message }: NodeJS.ErrnoException): Refusal {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return { status: 431, code: 'LIMIT', message: `the headers are larger than ${HEADER_BYTES_MAX} bytes` };
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return { status: 413, code: 'LIMIT', message: 'the extensions of a chunk are too large' };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { status: 408, code: 'LIMIT', message: 'the request did not come in time' };
    default:
      return { status: 400, code: 'USAGE', message: `the request is no HTTP: ${message.replace(/^Parse Error: /, '').slice(0, 200)}` };
  }
}

function write(socket: Socket, refusal: Refusal): void {
  const body = bodyOf(refusal);
  const headers = Object.entries(headersOf(refusal, body)).map(([name, value]) => `${name}: ${value}\r\n`).join('');
  socket.write(`HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}\r\n${headers}\r\n${body}`);
  socket.destroySoon();
}

function bodyOf({ code, message }: Refusal): string {
  return `${JSON.stringify({ error: { code, message } })}\n`;
}

function headersOf({ headers }: Refusal, body: string): Record<string, string | number> {
  return {
    ...headers, 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff',
    'content-length': Buffer.byteLength(body), 'connection': 'close',
  };
}
