/**
 * toCIDR, toCIDRSet and ipBlock: prefixes in canonical form, with what is taken out of them.
 *
 * Invariant: what comes out has host bits of zero, and every exception lies inside its prefix.
 * Does not know: identities; IPv4 addresses that are written as IPv6 (::ffff:a.b.c.d) are refused, since a prefix of one family must stay in it.
 */
import { ADDRESS_BYTES, formatAddress, parseAddress, type CidrSpec } from '@tandem/core';
import type { Field, MapField } from './field.js';

const SET_KEYS = ['cidr', 'except'];
const GROUP_ADVICE = 'is not supported: CiliumCIDRGroup objects are not read; list the CIDRs under toCIDRSet or fromCIDRSet';
const BLOCK_KEYS = ['cidr', 'except'];
const BITS_PER_BYTE = 8;
/** Where an IPv4 address begins in the 16 bytes of any address. */
const V4_OFFSET = 12;

interface Prefix {
  /** Host bits are zero. */
  readonly bytes: Uint8Array;
  readonly family: 4 | 6;
  /** Of its own family: 0 to 32, or 0 to 128. */
  readonly length: number;
}

/** Entries are prefixes, or single addresses. */
export function readCidrs(field: Field): CidrSpec[] {
  return (field.list() ?? []).flatMap((item) => {
    const prefix = readPrefix(item, true);
    return prefix === null ? [] : [{ cidr: textOf(prefix), except: [] }];
  });
}

/** Entries are a prefix and its exceptions; neither may be a bare address, as in Cilium. */
export function readCidrSet(field: Field): CidrSpec[] {
  return (field.list() ?? []).flatMap((item) => {
    const map = item.map();
    if (map === null) return [];
    const groups = map.keys().filter((key) => key === 'cidrGroupRef' || key === 'cidrGroupSelector');
    for (const key of groups) map.keyField(key).error(GROUP_ADVICE);
    map.checkKeys([...SET_KEYS, ...groups]);
    if (groups.length === 0 && map.getRaw('cidr') === null) item.error('has no cidr');
    return readBlock(map);
  });
}

/** `ipBlock` of a NetworkPolicy. */
export function readIpBlock(field: Field): CidrSpec[] {
  const map = field.map();
  if (map === null) return [];
  map.checkKeys(BLOCK_KEYS);
  if (map.getRaw('cidr') === null) field.error('has no cidr');
  return readBlock(map);
}

function readBlock(map: MapField): CidrSpec[] {
  const field = map.get('cidr');
  const prefix = field === null ? null : readPrefix(field, false);
  const except: string[] = [];
  for (const item of map.get('except')?.list() ?? []) {
    const exception = readPrefix(item, false);
    if (exception === null) continue;
    if (prefix !== null && !contains(prefix, exception)) {
      item.error(`${textOf(exception)} does not lie inside ${textOf(prefix)}; an exception takes a part out of its own cidr`);
    }
    except.push(textOf(exception));
  }
  return prefix === null ? [] : [{ cidr: textOf(prefix), except }];
}

function readPrefix(field: Field, takesAddress: boolean): Prefix | null {
  const text = field.string();
  if (text === null) return null;
  const [addressText, lengthText, ...rest] = text.split('/');
  const bytes = rest.length > 0 ? null : parseAddress(addressText);
  if (bytes === null) return field.error(`"${text}" is no CIDR; write it as 10.0.0.0/8 or fd00::/8`);
  const family = addressText.includes(':') ? 6 : 4;
  if (family === 6 && isV4(bytes)) return field.error(`"${text}" is an IPv4 address written as IPv6; write it as ${formatAddress(bytes)}`);
  const bits = family === 4 ? 32 : 128;
  if (lengthText === undefined) {
    if (takesAddress) return { bytes, family, length: bits };
    return field.error(`"${text}" has no prefix length; write ${formatAddress(bytes)}/${bits}`);
  }
  const length = /^(?:0|[1-9][0-9]{0,2})$/.test(lengthText) ? Number(lengthText) : bits + 1;
  if (length > bits) return field.error(`"${text}" has no prefix length of 0 to ${bits}`);
  const prefix: Prefix = { bytes: masked(bytes, family, length), family, length };
  if (prefix.bytes.some((byte, i) => byte !== bytes[i])) {
    field.warning(`"${text}" has bits beyond its prefix length; it is taken as ${textOf(prefix)}`);
  }
  return prefix;
}

function masked(bytes: Uint8Array, family: 4 | 6, length: number): Uint8Array {
  const out = bytes.slice();
  const first = family === 4 ? V4_OFFSET : 0;
  for (let i = first; i < ADDRESS_BYTES; i++) {
    const kept = Math.min(Math.max(length - (i - first) * BITS_PER_BYTE, 0), BITS_PER_BYTE);
    out[i] &= 0xff << (BITS_PER_BYTE - kept);
  }
  return out;
}

function contains(outer: Prefix, inner: Prefix): boolean {
  if (outer.family !== inner.family || inner.length < outer.length) return false;
  return masked(inner.bytes, inner.family, outer.length).every((byte, i) => byte === outer.bytes[i]);
}

function isV4(bytes: Uint8Array): boolean {
  return formatAddress(bytes).includes('.');
}

function textOf({ bytes, length }: Prefix): string {
  return `${formatAddress(bytes)}/${length}`;
}
