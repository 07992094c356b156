/** Addresses as whole numbers and names by regular expressions, for `reference.ts`: the plain reading of CIDRs and patterns. */
import type { FqdnSelector } from '../snapshot.js';

/** Both canonical text; a v4 address is in no v6 prefix. */
export function addressWithin(address: string, cidr: string): boolean {
  const [network, length] = cidr.split('/');
  if (address.includes(':') !== network.includes(':')) return false;
  const bits = address.includes(':') ? 128 : 32;
  const size = 1n << BigInt(bits - Number(length));
  return numberOf(address) / size === numberOf(network) / size;
}

function numberOf(address: string): bigint {
  if (!address.includes(':')) return address.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n);
  const [head, tail] = address.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Array<string>(8 - left.length - right.length).fill('0');
  return [...left, ...zeros, ...right].reduce((sum, part) => sum * 65536n + BigInt(`0x${part}`), 0n);
}

/** `name` in presentation form with its final dot. A DNS rule's match-all is any name, that of toFQDNs host names only. */
export function selectorMatchesName({ matchName, matchPattern }: FqdnSelector, name: string, kind: 'dns' | 'fqdn'): boolean {
  const lower = name.toLowerCase();
  return [matchName, matchPattern].some((text) => text !== null && patternExpression(text, kind).test(lower));
}

function patternExpression(text: string, kind: 'dns' | 'fqdn'): RegExp {
  if (/^\*+\.?$/.test(text)) return kind === 'dns' ? /^/ : /^(([-a-z0-9_]+\.)+|\.)$/;
  const labels = /^\*\*+\./.test(text) ? '([-a-z0-9_]+[.])+' : '';
  const rest = labels === '' ? text : text.replace(/^\*+\./, '');
  return new RegExp(`^${labels}${rest.replaceAll('.', '[.]').replace(/\*+/g, '[-a-z0-9_]*')}$`);
}
