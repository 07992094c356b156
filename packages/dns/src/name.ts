/**
 * Names as text: presentation form ↔ wire form.
 *
 * Invariant: `nameFromString(nameToString(wire))` is the wire name in lower case, whatever bytes its labels hold.
 * Does not know: patterns, IDNA, search lists. Off the hot path: strings are built here.
 *
 * | Rule | Source |
 * |---|---|
 * | `\.` `\\` `\DDD` (decimal, 000–255) | RFC 1035 §5.1, RFC 4343 §2.1 |
 * | labels 1–63, name ≤ 255 bytes | RFC 1035 §2.3.4 |
 */
import { MAX_LABEL_BYTES, MAX_NAME_BYTES } from './constants.js';
import { copyName } from './wire-name.js';

const DOT = 0x2e;
const BACKSLASH = 0x5c;
const FIRST_VISIBLE = 0x21;
const LAST_VISIBLE = 0x7e;
const DIGITS_IN_ESCAPE = 3;

const scratch = new Uint8Array(MAX_NAME_BYTES);

/** Text of each byte inside a label, as character codes. */
const BYTE_CODES: number[][] = [];
for (let byte = 0; byte < 256; byte += 1) BYTE_CODES.push([...textOf(byte)].map((character) => character.charCodeAt(0)));
/** The text under construction. Put together at once it is one flat string; piece by piece it would be a tree of them. */
const codes: number[] = [];

/**
 * Presentation form of the name at absolute `offset`, pointers counted from `start`: lower case, trailing dot, escapes for
 * dots, backslashes and all that is not visible ASCII. The root is '.'. '' if the name is malformed.
 *
 * @param end first absolute offset past the message, for names that no scan has checked; the array's end if absent
 */
export function nameToString(bytes: Uint8Array, start: number, offset: number, end: number = bytes.length): string {
  const length = copyName(bytes, start, offset, scratch, 0, end);
  if (length === 0) return '';
  if (length === 1) return '.';
  codes.length = 0;
  let at = 0;
  while (scratch[at] !== 0) {
    const labelEnd = at + scratch[at] + 1;
    for (at += 1; at < labelEnd; at += 1) for (const code of BYTE_CODES[scratch[at]]) codes.push(code);
    codes.push(DOT);
  }
  return String.fromCharCode.apply(null, codes);
}

function textOf(byte: number): string {
  if (byte === DOT || byte === BACKSLASH) return `\\${String.fromCharCode(byte)}`;
  if (byte >= FIRST_VISIBLE && byte <= LAST_VISIBLE) return String.fromCharCode(byte);
  return `\\${String(byte).padStart(DIGITS_IN_ESCAPE, '0')}`;
}

/**
 * Wire form, lower case, of a name in presentation form; the trailing dot may be absent, '.' is the root. A new array
 * that holds the name and nothing else.
 *
 * null for: an empty text or label, a label above 63 or a name above 255 bytes, an escape that is not `\DDD` up to 255 or
 * `\` before a visible character, and any character outside visible ASCII that is not escaped.
 */
export function nameFromString(text: string): Uint8Array | null {
  if (text === '.') return new Uint8Array(1);
  // A byte is four characters at most, so a longer text cannot be a name and is not walked.
  if (text.length === 0 || text.length > MAX_NAME_BYTES * (DIGITS_IN_ESCAPE + 1)) return null;
  const wire = new Uint8Array(MAX_NAME_BYTES);
  let labelStart = 0;
  let to = 1;
  let at = 0;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === DOT) {
      if (to === labelStart + 1) return null;
      wire[labelStart] = to - labelStart - 1;
      labelStart = to;
      to += 1;
      at += 1;
      continue;
    }
    let byte = code;
    let used = 1;
    if (code === BACKSLASH) {
      byte = escapedByte(text, at + 1);
      if (byte < 0) return null;
      used = isDigit(text.charCodeAt(at + 1)) ? DIGITS_IN_ESCAPE + 1 : 2;
    } else if (code < FIRST_VISIBLE || code > LAST_VISIBLE) {
      return null;
    }
    // One byte is kept for the root.
    if (to - labelStart > MAX_LABEL_BYTES || to >= MAX_NAME_BYTES - 1) return null;
    wire[to] = byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
    to += 1;
    at += used;
  }
  if (to === labelStart + 1) return wire.slice(0, to);
  wire[labelStart] = to - labelStart - 1;
  return wire.slice(0, to + 1);
}

/** The byte that the escape after a backslash means; −1 if it is none. */
function escapedByte(text: string, at: number): number {
  const code = text.charCodeAt(at);
  if (!isDigit(code)) return code >= FIRST_VISIBLE && code <= LAST_VISIBLE ? code : -1;
  let value = 0;
  for (let i = 0; i < DIGITS_IN_ESCAPE; i += 1) {
    const digit = text.charCodeAt(at + i);
    if (!isDigit(digit)) return -1;
    value = value * 10 + (digit - 0x30);
  }
  return value <= 0xff ? value : -1;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}
