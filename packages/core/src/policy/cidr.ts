/**
 * Prefixes of IP addresses (RFC 4632, RFC 4291 §2.3): reading, containment, and the look-up of the longest one.
 *
 * Invariant: IPv4 and IPv6 never contain each other, whatever their length: `::/0` says nothing about IPv4-mapped addresses.
 * Does not know: identities, policies.
 */
import { formatAddress, parseAddress } from '../base/socket-address.js';
import { AddressTable } from './address-table.js';

const ADDRESS_BITS = 128;
const V4_BITS = 32;
const V4_OFFSET_BITS = ADDRESS_BITS - V4_BITS;
const WORDS = 4;
/** The third word of an IPv4-mapped address (::ffff:0:0/96) as it lies in memory on a little-endian machine. */
const V4_MAPPED_WORD = 0xffff_0000;

/** A range of addresses; `first` and `last` are numbers of 128 bits, IPv4 as IPv4-mapped. */
export interface Prefix {
  /** Canonical: network address (RFC 5952 for v6), `/`, length; host bits are zero. */
  readonly cidr: string;
  readonly family: 4 | 6;
  /** 0 to 32, or 0 to 128. */
  readonly length: number;
  readonly first: bigint;
  readonly last: bigint;
}

/** Host bits are cut off. An address without a length is a prefix of its own. null if it is neither. */
export function parsePrefix(text: string): Prefix | null {
  const [addressText, lengthText, ...rest] = text.split('/');
  if (rest.length > 0) return null;
  const bytes = parseAddress(addressText);
  if (bytes === null) return null;
  const family = formatAddress(bytes).includes(':') ? 6 : 4;
  const bits = family === 4 ? V4_BITS : ADDRESS_BITS;
  if (lengthText !== undefined && !/^(?:0|[1-9][0-9]{0,2})$/.test(lengthText)) return null;
  const length = lengthText === undefined ? bits : Number(lengthText);
  if (length > bits) return null;
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  const hostBits = BigInt(bits - length);
  const first = (value >> hostBits) << hostBits;
  const last = first | ((1n << hostBits) - 1n);
  return { cidr: `${addressOf(first)}/${length}`, family, length, first, last };
}

export function isWithin(inner: Prefix, outer: Prefix): boolean {
  return inner.family === outer.family && inner.first >= outer.first && inner.last <= outer.last;
}

/** Rows of prefixes, found by an address on the hot path. Built once, never changed; a look-up takes a step per prefix length in use. */
export class PrefixTable {
  private readonly v4: readonly Level[];
  private readonly v6: readonly Level[];
  private readonly masked = new Uint32Array(WORDS);

  constructor(entries: readonly { readonly prefix: Prefix; readonly row: number }[]) {
    this.v4 = levelsOf(entries.filter(({ prefix }) => prefix.family === 4), V4_OFFSET_BITS);
    this.v6 = levelsOf(entries.filter(({ prefix }) => prefix.family === 6), 0);
  }

  /** Row of the longest prefix of the address in `words[at]` to `words[at + 3]` (form as AddressTable's), or −1. */
  find(words: Uint32Array, at: number): number {
    const isV4 = words[at] === 0 && words[at + 1] === 0 && words[at + 2] === V4_MAPPED_WORD;
    const levels = isV4 ? this.v4 : this.v6;
    const masked = this.masked;
    for (let level = 0; level < levels.length; level++) {
      const { mask, table } = levels[level];
      for (let i = 0; i < WORDS; i++) masked[i] = words[at + i] & mask[i];
      const row = table.find(masked, 0);
      if (row >= 0) return row;
    }
    return -1;
  }
}

interface Level {
  readonly mask: Uint32Array;
  readonly table: AddressTable;
}

/** Longest first. */
function levelsOf(entries: readonly { readonly prefix: Prefix; readonly row: number }[], offsetBits: number): Level[] {
  const lengths = [...new Set(entries.map(({ prefix }) => prefix.length))].sort((a, b) => b - a);
  return lengths.map((length) => ({
    mask: maskOf(offsetBits + length),
    table: new AddressTable(
      entries.filter(({ prefix }) => prefix.length === length).map(({ prefix: { cidr }, row }) => ({ address: cidr.slice(0, cidr.indexOf('/')), row })),
    ),
  }));
}

function maskOf(bits: number): Uint32Array {
  const bytes = new Uint8Array(ADDRESS_BITS / 8);
  for (let bit = 0; bit < bits; bit++) bytes[bit >> 3] |= 0x80 >> (bit & 7);
  return new Uint32Array(bytes.buffer);
}

/** Canonical text of a number of 128 bits. */
function addressOf(value: bigint): string {
  const bytes = new Uint8Array(ADDRESS_BITS / 8);
  for (let i = bytes.length - 1, rest = value; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return formatAddress(bytes);
}
