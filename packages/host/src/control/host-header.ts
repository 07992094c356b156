/**
 * Whether a request over TCP was meant for this member. A page from elsewhere can have its own name resolve to a loopback address, and
 * read through the visitor's browser what listens there; the Host header then still has that name. So on loopback only an address or
 * `localhost` is taken. Elsewhere names are the operator's own, and a browser's visitor is not the way in.
 */
import { isIP } from 'node:net';
import type { IncomingMessage } from 'node:http';

const LOOPBACK = /^(?:127\.|::1$|::ffff:127\.)/;

export function isMeantForUs(request: IncomingMessage): boolean {
  const { host } = request.headers;
  // HTTP/1.0 has none; browsers always send it.
  if (host === undefined || !LOOPBACK.test(request.socket.localAddress ?? '')) return true;
  const name = host.replace(/:\d*$/, '').toLowerCase();
  return name === 'localhost' || name.endsWith('.localhost') || isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0;
}
