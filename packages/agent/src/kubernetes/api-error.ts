/** Why an exchange with the API server failed, in few words that are also metric labels. */
export const API_FAULTS = ['connect', 'credentials', 'forbidden', 'absent', 'expired', 'throttled', 'server', 'stalled', 'malformed', 'too-large', 'file'] as const;

/**
 * connect: no connection, or it broke. credentials: 401. forbidden: 403. absent: 404. expired: 410. throttled: 429 and 503. server: any other
 * answer that is none. stalled: a stream was silent. malformed, too-large: what came cannot be read. file: a token or certificate could not be read.
 */
export type ApiFault = (typeof API_FAULTS)[number];

export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: ApiFault;
  /** The server asks for so much patience; null: it says nothing. */
  readonly retryAfterMs: number | null;
  readonly status: number | null;

  constructor(code: ApiFault, message: string, { retryAfterMs = null, status = null }: { readonly retryAfterMs?: number | null; readonly status?: number | null } = {}) {
    super(message);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
    this.status = status;
  }
}

/** A server that asks for more than this is asked again anyway. */
const RETRY_AFTER_MS_MAX = 5 * 60_000;
const MESSAGE_CHARACTERS_MAX = 300;

/** What a status code means; `body`: the server's Status object, or any text. */
export function errorOfStatus(status: number, body: string, retryAfter: string | undefined): ApiError {
  const code = codeOf(status);
  const seconds = Number(retryAfter);
  const retryAfterMs = retryAfter !== undefined && Number.isFinite(seconds) && seconds >= 0 ? Math.min(seconds * 1000, RETRY_AFTER_MS_MAX) : null;
  return new ApiError(code, `${status}${messageOf(body)}`, { retryAfterMs, status });
}

function codeOf(status: number): ApiFault {
  switch (status) {
    case 401:
      return 'credentials';
    case 403:
      return 'forbidden';
    case 404:
      return 'absent';
    case 410:
      return 'expired';
    case 429:
    case 503:
      return 'throttled';
    default:
      return 'server';
  }
}

/** `message` of a Status object; else the beginning of the text. Without control characters: it goes to a terminal. */
function messageOf(body: string): string {
  let text = body;
  try {
    const status: unknown = JSON.parse(body);
    if (typeof status === 'object' && status !== null && 'message' in status && typeof status.message === 'string') text = status.message;
  } catch {
    // Proxies in front of an API server answer in HTML, or not at all.
  }
  const plain = text.replace(/[\p{Cc}\s]+/gu, ' ').trim().slice(0, MESSAGE_CHARACTERS_MAX);
  return plain === '' ? '' : `: ${plain}`;
}
