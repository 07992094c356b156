/**
 * toCIDR, toCIDRSet and ipBlock: prefixes in canonical form, with what is taken out of them.
 *
 * Invariant: what comes out has host bits of zero, and every exception lies inside its prefix.
 * Does not know: identities; IPv4 addresses that are written as IPv6 (::ffff:a.b.c.d) are refused, since a prefix of one family must stay in it.
 */
import { parsePrefix, type CidrSpec, type Prefix } from '@tandem/core';
import type { Field, MapField } from './field.js';

const GROUP_ADVICE = 'is not supported: CiliumCIDRGroup objects are not read; list the CIDRs under toCIDRSet or fromCIDRSet';
const BLOCK_KEYS = ['cidr', 'except'];
/** Of ::ffff:0:0/96 (RFC 4291 §2.5.5.2). */
const V4_MAPPED_BITS = 96;

/** Entries are prefixes, or single addresses. */
export function readCidrs(field: Field): CidrSpec[] {
  return (field.list() ?? []).flatMap((item) => {
    const prefix = readPrefix(item, true);
    return prefix === null ? [] : [{ cidr: prefix.cidr, except: [] }];
  });
}

/** Entries are a prefix and its exceptions; neither may be a bare address, as in Cilium. */
export function readCidrSet(field: Field): CidrSpec[] {
  return (field.list() ?? []).flatMap((item) => {
    const map = item.map();
    if (map === null) return [];
    const groups = map.keys().filter((key) => key === 'cidrGroupRef' || key === 'cidrGroupSelector');
    for (const key of groups) map.keyField(key).error(GROUP_ADVICE);
    map.checkKeys([...BLOCK_KEYS, ...groups]);
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
      item.error(`${exception.cidr} does not lie inside ${prefix.cidr}; an exception takes a part out of its own cidr`);
    }
    except.push(exception.cidr);
  }
  return prefix === null ? [] : [{ cidr: prefix.cidr, except }];
}

function readPrefix(field: Field, takesAddress: boolean): Prefix | null {
  const text = field.string();
  if (text === null) return null;
  const [addressText, lengthText, ...rest] = text.split('/');
  const address = rest.length > 0 ? null : parsePrefix(addressText);
  if (address === null) return field.error(`"${text}" is no CIDR; write it as 10.0.0.0/8 or fd00::/8`);
  if (address.family === 4 && addressText.includes(':')) {
    return field.error(`"${text}" is an IPv4 address written as IPv6; ${v4Advice(address, lengthText)}`);
  }
  if (lengthText === undefined) return takesAddress ? address : field.error(`"${text}" has no prefix length; write ${address.cidr}`);
  const prefix = parsePrefix(text);
  if (prefix === null) return field.error(`"${text}" has no prefix length of 0 to ${address.length}`);
  if (prefix.first !== address.first) field.warning(`"${text}" has bits beyond its prefix length; it is taken as ${prefix.cidr}`);
  return prefix;
}

/** `::ffff:0:0/96` is 0.0.0.0/0; what is shorter is no IPv4 prefix. */
function v4Advice({ cidr }: Prefix, lengthText: string | undefined): string {
  const address = cidr.replace(/\/.*/, '');
  if (lengthText === undefined) return `write it as ${address}`;
  const length = Number(lengthText) - V4_MAPPED_BITS;
  return length >= 0 ? `write it as ${address}/${length}` : 'write it as IPv4, such as 10.0.0.0/8';
}

function contains(outer: Prefix, inner: Prefix): boolean {
  return outer.family === inner.family && outer.first <= inner.first && inner.last <= outer.last;
}
