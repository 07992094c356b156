/**
 * IP addresses and ports as text and bytes. One canonical text per address: dotted decimal for v4 (and for v4-mapped
 * v6), RFC 5952 for v6; so equal addresses have equal texts. Knows no host names, no zones (`fe80::1%eth0`) and no
 * prefixes.
 */

/** Bytes of an address in memory: v6 in network order, v4 as v4-mapped v6 (::ffff:a.b.c.d). */
export const ADDRESS_BYTES = 16;

export interface SocketAddress {
  /** Canonical text, without brackets. */
  readonly address: string;
  readonly port: number;
  readonly family: 4 | 6;
}

const GROUPS = 8;
const MAPPED_PREFIX_BYTES = 12;
const PORT_MAX = 65535;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const LETTER_A = 0x61;
const LETTER_F = 0x66;
/** No character. */
const END = -1;

/** The 16 bytes of an address text, or null if it is none. Accepts every RFC 4291 §2.2 form. */
export function parseAddress(text: string): Uint8Array | null {
  const bytes = new Uint8Array(ADDRESS_BYTES);
  return readAddress(text, bytes) ? bytes : null;
}

/** The same into the first ADDRESS_BYTES of `out`; false if it is none: what is there then means nothing. */
export function readAddress(text: string, out: Uint8Array): boolean {
  if (text.includes(':')) return parseV6(text, out);
  for (let i = 0; i < 10; i++) out[i] = 0;
  out[10] = out[11] = 0xff;
  return parseV4(text, 0, out, MAPPED_PREFIX_BYTES);
}

/** Canonical text of 16 bytes at `offset`. */
export function formatAddress(bytes: Uint8Array, offset = 0): string {
  if (isMapped(bytes, offset)) {
    const at = offset + MAPPED_PREFIX_BYTES;
    return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
  }
  const { start, length } = longestZeroRun(bytes, offset);
  const gap = length < 2 ? GROUPS : start;
  let text = '';
  for (let i = 0; i < GROUPS; i++) {
    if (i === gap) {
      text += '::';
      i += length - 1;
      continue;
    }
    if (text !== '' && !text.endsWith(':')) text += ':';
    text += groupAt(bytes, offset, i).toString(16);
  }
  return text;
}

/** The canonical form of an address text, or null if it is none. */
export function canonicalAddress(text: string): string | null {
  const bytes = parseAddress(text);
  return bytes === null ? null : formatAddress(bytes);
}

/** `127.0.0.1:53` or `[::1]:53`; null for anything else. Port 0 is let through: the caller has the range. */
export function parseSocketAddress(text: string): SocketAddress | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]{1,5})$/.exec(text);
  if (match === null) return null;
  const bytes = parseAddress(match[1] ?? match[2]);
  const port = Number(match[3]);
  if (bytes === null || port > PORT_MAX || (match[1] !== undefined && !match[1].includes(':'))) return null;
  const address = formatAddress(bytes);
  return { address, port, family: address.includes(':') ? 6 : 4 };
}

export function formatSocketAddress(at: { readonly address: string; readonly port: number }): string {
  return at.address.includes(':') ? `[${at.address}]:${at.port}` : `${at.address}:${at.port}`;
}

/** Dotted decimal, from `start` to the end of the text. */
function parseV4(text: string, start: number, out: Uint8Array, offset: number): boolean {
  let part = 0;
  let digits = 0;
  let value = 0;
  for (let i = start; i <= text.length; i++) {
    const code = i === text.length ? DOT : text.charCodeAt(i);
    if (code === DOT) {
      if (digits === 0 || value > 255 || part === 4) return false;
      out[offset + part++] = value;
      digits = 0;
      value = 0;
      continue;
    }
    // A leading zero means octal to some readers and decimal to others: refused.
    if (code < ZERO || code > NINE || digits === 3 || (digits > 0 && value === 0)) return false;
    value = value * 10 + code - ZERO;
    digits++;
  }
  return part === 4;
}

/** One pass, and no garbage: half of all that a cache takes in may come through here. */
function parseV6(text: string, out: Uint8Array): boolean {
  let at = 0;
  /** Where `::` was. */
  let gap = -1;
  /** Of the group being read. */
  let start = 0;
  let digits = 0;
  let value = 0;
  for (let i = 0; i <= text.length; i++) {
    const code = i === text.length ? END : text.charCodeAt(i);
    const digit = hexDigit(code);
    if (digit >= 0) {
      if (++digits > 4) return false;
      value = (value << 4) | digit;
      continue;
    }
    if (code === DOT) {
      // The last 32 bits as dotted decimal.
      if (at > MAPPED_PREFIX_BYTES || !parseV4(text, start, out, at)) return false;
      at += ADDRESS_BYTES - MAPPED_PREFIX_BYTES;
      break;
    }
    if (code !== COLON && code !== END) return false;
    if (digits > 0) {
      if (at === ADDRESS_BYTES) return false;
      out[at++] = value >> 8;
      out[at++] = value & 0xff;
    } else if (code === END) {
      // Nothing follows but the end: good behind `::` only.
      if (gap !== at) return false;
    } else if (i > 0) {
      if (gap >= 0) return false;
      gap = at;
    } else if (text.charCodeAt(1) !== COLON) {
      return false;
    }
    start = i + 1;
    digits = 0;
    value = 0;
  }
  if (gap < 0) return at === ADDRESS_BYTES;
  if (at === ADDRESS_BYTES) return false;
  out.copyWithin(ADDRESS_BYTES - (at - gap), gap, at);
  out.fill(0, gap, ADDRESS_BYTES - (at - gap));
  return true;
}

/** -1 for any other character. */
function hexDigit(code: number): number {
  if (code >= ZERO && code <= NINE) return code - ZERO;
  const letter = code | 0x20;
  return letter >= LETTER_A && letter <= LETTER_F ? letter - LETTER_A + 10 : -1;
}

function isMapped(bytes: Uint8Array, offset: number): boolean {
  for (let i = 0; i < 10; i++) if (bytes[offset + i] !== 0) return false;
  return bytes[offset + 10] === 0xff && bytes[offset + 11] === 0xff;
}

function groupAt(bytes: Uint8Array, offset: number, group: number): number {
  return (bytes[offset + 2 * group] << 8) | bytes[offset + 2 * group + 1];
}

/** The first of the longest, in groups. */
function longestZeroRun(bytes: Uint8Array, offset: number): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (let i = 0; i <= GROUPS; i++) {
    if (i < GROUPS && groupAt(bytes, offset, i) === 0) continue;
    if (i - start > best.length) best = { start, length: i - start };
    start = i + 1;
  }
  return best;
}
