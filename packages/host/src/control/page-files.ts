/**
 * The status page's files as the HTTP server sends them. They are given as bytes by the daemon's wire-up; what is in them is no
 * concern of this module, but what a browser may do with them is: nothing from elsewhere, nothing inline, in nobody's frame.
 */
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

export interface PageFile {
  /** As a browser asks for it: `/`, `/assets/main.js`. */
  readonly path: string;
  readonly contentType: string;
  readonly bytes: Uint8Array;
}

interface Prepared {
  readonly bytes: Uint8Array;
  readonly etag: string;
  readonly headers: Readonly<Record<string, string>>;
}

const POLICY = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self' data:", "form-action 'none'",
  "frame-ancestors 'none'", "base-uri 'none'",
].join('; ');
const ETAG_DIGITS = 32;

export class PageFiles {
  private readonly files: ReadonlyMap<string, Prepared>;

  constructor(files: readonly PageFile[]) {
    this.files = new Map(files.map((file) => [file.path, prepared(file)]));
  }

  /** Answers a GET or HEAD of one of the files; false where the path is none of them. */
  send(request: IncomingMessage, response: ServerResponse, path: string): boolean {
    const file = this.files.get(path);
    if (file === undefined) return false;
    if (isKnown(request.headers['if-none-match'], file.etag)) {
      response.writeHead(304, file.headers).end();
      return true;
    }
    response.writeHead(200, { ...file.headers, 'content-length': file.bytes.length });
    response.end(request.method === 'HEAD' ? undefined : file.bytes);
    return true;
  }
}

function prepared({ contentType, bytes }: PageFile): Prepared {
  const etag = `"${createHash('sha256').update(bytes).digest('hex').slice(0, ETAG_DIGITS)}"`;
  return {
    bytes,
    etag,
    headers: {
      'content-type': contentType,
      // Kept, but asked about each time: after an upgrade no old script meets a new page.
      'cache-control': 'no-cache',
      etag,
      'content-security-policy': POLICY,
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    },
  };
}

/** RFC 9110 §13.1.2; weak and strong tags compare equal here. */
function isKnown(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(',').some((tag) => {
    const text = tag.trim();
    return text === '*' || text.replace(/^W\//, '') === etag;
  });
}
