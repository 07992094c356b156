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
  return parseV4(text, out, MAPPED_PREFIX_BYTES);
}

/** Canonical text of 16 bytes at `offset`. */
export function formatAddress(bytes: Uint8Array, offset = 0): string {
  if (isMapped(bytes, offset)) {
    const at = offset + MAPPED_PREFIX_BYTES;
    return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
  }
  const groups: number[] = [];
  for (let i = 0; i < GROUPS; i++) groups.push((bytes[offset + 2 * i] << 8) | bytes[offset + 2 * i + 1]);
  const gap = longestZeroRun(groups);
  const hex = groups.map((group) => group.toString(16));
  if (gap.length < 2) return hex.join(':');
  return `${hex.slice(0, gap.start).join(':')}::${hex.slice(gap.start + gap.length).join(':')}`;
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

function parseV4(text: string, out: Uint8Array, offset: number): boolean {
  let part = 0;
  let digits = 0;
  let value = 0;
  for (let i = 0; i <= text.length; i++) {
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

function parseV6(text: string, out: Uint8Array): boolean {
  const halves = text.split('::');
  if (halves.length > 2) return false;
  const head = groupsOf(halves[0], halves.length === 1);
  const tail = halves.length === 2 ? groupsOf(halves[1], true) : [];
  if (head === null || tail === null) return false;
  const given = head.length + tail.length;
  if (halves.length === 1 ? given !== GROUPS : given >= GROUPS) return false;
  const groups = [...head, ...new Array<number>(GROUPS - given).fill(0), ...tail];
  for (let i = 0; i < GROUPS; i++) {
    out[2 * i] = groups[i] >> 8;
    out[2 * i + 1] = groups[i] & 0xff;
  }
  return true;
}

/** 16-bit groups of one side of `::`; the last one may be dotted decimal when it ends the address. */
function groupsOf(text: string, endsAddress: boolean): number[] | null {
  if (text === '') return [];
  const parts = text.split(':');
  const groups: number[] = [];
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i];
    if (part.includes('.')) {
      const v4 = new Uint8Array(4);
      if (!endsAddress || i !== parts.length - 1 || !parseV4(part, v4, 0)) return null;
      groups.push((v4[0] << 8) | v4[1], (v4[2] << 8) | v4[3]);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return null;
      groups.push(parseInt(part, 16));
    }
  }
  return groups;
}

function isMapped(bytes: Uint8Array, offset: number): boolean {
  for (let i = 0; i < 10; i++) if (bytes[offset + i] !== 0) return false;
  return bytes[offset + 10] === 0xff && bytes[offset + 11] === 0xff;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (let i = 0; i <= groups.length; i++) {
    if (groups[i] === 0) continue;
    if (i - start > best.length) best = { start, length: i - start };
    start = i + 1;
  }
  return best;
}
