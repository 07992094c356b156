/**
 * A list as it comes over the wire → its items, one by one, and its metadata. Lists of a large cluster have tens of megabytes, and
 * servers ignore `limit` where they answer from their cache: no more than one item is ever held as text.
 *
 * Invariant: what is held is bounded; anything that is no list is an ApiError, at the latest at `end`.
 * Does not know: kinds. Bytes of JSON's own characters never occur inside a UTF-8 sequence, so bytes are looked at alone.
 */
import { ApiError } from './api-error.js';

/** Kubernetes takes objects of 3 MiB at most, etcd of half that; JSON may be several times as long as what is stored. */
export const OBJECT_BYTES_MAX = 16 * 1024 * 1024;
/** All of a list but its items. */
const REST_BYTES_MAX = 64 * 1024;

export interface ListMetadata {
  readonly resourceVersion: string;
  /** null: this was the last page. */
  readonly next: string | null;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACKET = 0x5d;
const CLOSE_BRACE = 0x7d;
const COMMA = 0x2c;

export class ListReader {
  private readonly onItem: (item: unknown) => void;
  private depth = 0;
  private inString = false;
  private isEscaped = false;
  /** The last string at depth 1: the key of what follows. */
  private key: number[] = [];
  private inItems = false;
  /** All but the items, as text. */
  private rest: Buffer[] = [];
  private restBytes = 0;
  private item: Buffer[] = [];
  private itemBytes = 0;

  constructor(onItem: (item: unknown) => void) {
    this.onItem = onItem;
  }

  push(chunk: Buffer): void {
    /** Of the part of this chunk that is not put away yet. */
    let from = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at];
      if (this.inString) {
        this.inside(byte);
        continue;
      }
      switch (byte) {
        case QUOTE:
          this.inString = true;
          if (this.depth === 1) this.key = [];
          break;
        case OPEN_BRACE:
        case OPEN_BRACKET:
          this.depth++;
          if (this.depth === 2 && byte === OPEN_BRACKET && Buffer.from(this.key).toString('latin1') === 'items') {
            this.put(chunk.subarray(from, at + 1));
            from = at + 1;
            this.inItems = true;
          }
          break;
        case CLOSE_BRACE:
        case CLOSE_BRACKET:
          this.depth--;
          if (this.inItems && this.depth <= 2) {
            // Of an item, or of the list of them.
            const end = this.depth === 2 ? at + 1 : at;
            this.put(chunk.subarray(from, end));
            from = end;
            this.finishItem();
            if (this.depth < 2) this.inItems = false;
          }
          break;
        case COMMA:
          if (this.inItems && this.depth === 2) {
            this.put(chunk.subarray(from, at));
            from = at + 1;
            this.finishItem();
          }
      }
    }
    this.put(chunk.subarray(from));
  }

  /** @throws ApiError where the text was cut off, or no list. */
  end(): ListMetadata {
    const list = parseJson(Buffer.concat(this.rest)) as { readonly metadata?: { readonly resourceVersion?: unknown; readonly continue?: unknown }; readonly items?: unknown } | null;
    const metadata = list?.metadata;
    const version = metadata?.resourceVersion;
    if (this.depth !== 0 || typeof version !== 'string' || version === '') throw new ApiError('malformed', 'the answer is no list: it has no metadata.resourceVersion');
    const next = metadata?.continue;
    return { resourceVersion: version, next: typeof next === 'string' && next !== '' ? next : null };
  }

  private inside(byte: number): void {
    if (this.isEscaped) this.isEscaped = false;
    else if (byte === BACKSLASH) this.isEscaped = true;
    else if (byte === QUOTE) this.inString = false;
    else if (this.depth === 1 && this.key.length < 16) this.key.push(byte);
  }

  private put(part: Buffer): void {
    if (part.length === 0) return;
    if (this.inItems) {
      this.itemBytes += part.length;
      if (this.itemBytes > OBJECT_BYTES_MAX) throw new ApiError('too-large', `an object of the list has more than ${OBJECT_BYTES_MAX} bytes`);
      this.item.push(part);
    } else {
      this.restBytes += part.length;
      if (this.restBytes > REST_BYTES_MAX) throw new ApiError('too-large', `the list has more than ${REST_BYTES_MAX} bytes besides its items`);
      this.rest.push(part);
    }
  }

  private finishItem(): void {
    const text = Buffer.concat(this.item);
    this.item = [];
    this.itemBytes = 0;
    if (!isBlank(text)) this.onItem(parseJson(text));
  }
}

/** A stream of lines, one event of a watch each. */
export class LineReader {
  private readonly onLine: (value: unknown) => void;
  private line: Buffer[] = [];
  private bytes = 0;

  constructor(onLine: (value: unknown) => void) {
    this.onLine = onLine;
  }

  /** @throws ApiError for a line that is no JSON, or beyond the bound. */
  push(chunk: Buffer): void {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      this.put(chunk.subarray(from, at));
      from = at + 1;
      const line = Buffer.concat(this.line);
      this.line = [];
      this.bytes = 0;
      if (!isBlank(line)) this.onLine(parseJson(line));
    }
    this.put(chunk.subarray(from));
  }

  private put(part: Buffer): void {
    this.bytes += part.length;
    if (this.bytes > OBJECT_BYTES_MAX) throw new ApiError('too-large', `an event has more than ${OBJECT_BYTES_MAX} bytes`);
    if (part.length > 0) this.line.push(part);
  }
}

const NEWLINE = 0x0a;
const SPACE = 0x20;

function isBlank(text: Buffer): boolean {
  return text.every((byte) => byte <= SPACE);
}

function parseJson(text: Buffer): unknown {
  try {
    return JSON.parse(text.toString('utf8'));
  } catch (error) {
    throw new ApiError('malformed', error instanceof Error ? error.message.slice(0, 200) : String(error));
  }
}
