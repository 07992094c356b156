/**
 * One request to a member's API over its Unix socket, within a time and a size. Knows neither routes nor what answers mean.
 *
 * Invariant: it settles by the deadline, also where nobody reads the other end.
 */
import type { IncomingMessage } from 'node:http';

// As in http-server.ts: an import of the module would load much more than a client.
const { request } = process.getBuiltinModule('node:http');

export interface UnixRequest {
  readonly socketPath: string;
  readonly method: 'GET' | 'DELETE' | 'POST';
  readonly path: string;
  /** Sent as JSON; absent: no body. */
  readonly body?: unknown;
  /** For all of it, the answer's last byte among it. */
  readonly timeoutMs: number;
  readonly answerBytesMax: number;
}

export interface UnixReply {
  /** HTTP status. */
  readonly status: number;
  readonly text: string;
}

/** Why nobody answered: no socket (never started, or ended), a socket whose process is gone, no answer in time, or something else. */
export type Silence = 'absent' | 'gone' | 'silent' | 'failed';

/** Rejects with what `silenceOf` can tell. */
export function requestUnix(what: UnixRequest): Promise<UnixReply> {
  return new Promise((resolve, reject) => {
    const body = what.body === undefined ? undefined : JSON.stringify(what.body);
    const sent = request({
      socketPath: what.socketPath, method: what.method, path: what.path, agent: false, signal: AbortSignal.timeout(what.timeoutMs),
      headers: body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    }, (response: IncomingMessage) => {
      const pieces: Buffer[] = [];
      let bytes = 0;
      response.on('data', (piece: Buffer) => {
        bytes += piece.length;
        if (bytes > what.answerBytesMax) response.destroy(new Error(`the answer is larger than ${what.answerBytesMax} bytes`));
        else pieces.push(piece);
      });
      response.on('error', reject);
      response.on('end', () => { resolve({ status: response.statusCode ?? 0, text: Buffer.concat(pieces).toString('utf8') }); });
    });
    sent.on('error', reject).end(body);
  });
}

export function silenceOf(error: unknown): Silence {
  const { code, name } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'absent';
  if (code === 'ECONNREFUSED' || code === 'ECONNRESET') return 'gone';
  return name === 'AbortError' || name === 'TimeoutError' ? 'silent' : 'failed';
}
