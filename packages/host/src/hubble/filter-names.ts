/**
 * Names in flow filters: pods and services (`NAMESPACE/PREFIX`), domain names and nodes (patterns with `*`), addresses and CIDRs.
 * The rules are Hubble's. Each function reads one value once and gives a test for many flows; it knows no flow.
 */
import { AppError, canonicalAddress, parseAddress } from '@tandem/core';

export type TextTest = (text: string) => boolean;

const DEFAULT_NAMESPACE = 'default';
const DEFAULT_CLUSTER = 'default';
const V4_OFFSET_BITS = 96;
const BITS = { 4: 32, 6: 128 } as const;

/** `PREFIX` (in namespace `default`), `NAMESPACE/PREFIX`, `NAMESPACE/`, `/PREFIX` (in any namespace). @throws AppError USAGE. */
export function namespacedTest(text: string): (namespace: string, name: string) => boolean {
  const parts = text.split('/');
  const [namespace, prefix] = parts.length === 1 ? [DEFAULT_NAMESPACE, text] : parts;
  if (parts.length > 2 || (namespace + prefix) === '' || text === '') throw new AppError('USAGE', `${quoted(text)} is not of the form [NAMESPACE/]PREFIX or NAMESPACE/`);
  return (ofNamespace, name) => (namespace === '' || namespace === ofNamespace) && name.startsWith(prefix);
}

/** A domain name, `*` for any characters of one; case and a final dot do not count. @throws AppError USAGE. */
export function domainTest(text: string): TextTest {
  const matches = globTest(domainPattern(text, text));
  return (name) => matches(name.toLowerCase().replace(/\.$/, ''));
}

/** `NODE`, `CLUSTER/NODE`, `CLUSTER/`, with `*`. A node without a cluster is in `default`. @throws AppError USAGE. */
export function nodeTest(text: string): TextTest {
  const parts = text.split('/');
  if (parts.length > 2 || text === '') throw new AppError('USAGE', `${quoted(text)} is not of the form [CLUSTER/]NODE`);
  const [cluster, node] = parts.length === 1 ? ['', text] : parts;
  const matchesCluster = cluster === '' ? (): boolean => true : globTest(domainPattern(cluster, text));
  const matchesNode = node === '' ? (): boolean => true : globTest(domainPattern(node, text));
  return (name) => {
    const slash = name.indexOf('/');
    const ofCluster = slash < 0 ? DEFAULT_CLUSTER : name.slice(0, slash);
    return name !== '' && matchesCluster(ofCluster.toLowerCase()) && matchesNode(name.slice(slash + 1).toLowerCase());
  };
}

/** An address, or a CIDR; a v4 range has no v6 addresses in it and the reverse. @throws AppError USAGE. */
export function addressTest(text: string): TextTest {
  const slash = text.indexOf('/');
  const range = parseAddress(slash < 0 ? text : text.slice(0, slash));
  const family = text.includes(':') ? 6 : 4;
  const length = slash < 0 ? BITS[family] : lengthOf(text.slice(slash + 1), BITS[family]);
  if (range === null || length === null) throw new AppError('USAGE', `${quoted(text)} is neither an IP address nor a CIDR`);
  if (slash < 0) {
    const canonical = canonicalAddress(text);
    return (address) => address === canonical || canonicalAddress(address) === canonical;
  }
  const bits = length + (family === 4 ? V4_OFFSET_BITS : 0);
  return (address) => {
    if (address.includes(':') !== (family === 6)) return false;
    const bytes = parseAddress(address);
    return bytes !== null && shares(bytes, range, bits);
  };
}

export function quoted(text: string): string {
  return JSON.stringify(text);
}

function domainPattern(pattern: string, whole: string): string {
  const canonical = pattern.trim().replace(/\.$/, '').toLowerCase();
  if (!/^[-*.0-9_a-z]+$/.test(canonical) || canonical.endsWith('.')) {
    throw new AppError('USAGE', `${quoted(whole)}: letters, digits, "-", "_", "." and "*" make up a name pattern`);
  }
  return canonical;
}

/** Linear in both: the last `*` alone is tried again, further on. */
function globTest(pattern: string): TextTest {
  if (!pattern.includes('*')) return (text) => text === pattern;
  return (text) => {
    let at = 0;
    let patternAt = 0;
    let star = -1;
    let retryAt = 0;
    while (at < text.length) {
      if (pattern[patternAt] === '*') {
        star = patternAt++;
        retryAt = at;
      } else if (pattern[patternAt] === text[at]) {
        at++;
        patternAt++;
      } else if (star < 0) return false;
      else {
        patternAt = star + 1;
        at = ++retryAt;
      }
    }
    while (pattern[patternAt] === '*') patternAt++;
    return patternAt === pattern.length;
  };
}

function lengthOf(text: string, max: number): number | null {
  return /^[0-9]{1,3}$/.test(text) && Number(text) <= max ? Number(text) : null;
}

function shares(one: Uint8Array, other: Uint8Array, bits: number): boolean {
  const whole = bits >> 3;
  for (let i = 0; i < whole; i++) if (one[i] !== other[i]) return false;
  const rest = bits & 7;
  return rest === 0 || ((one[whole] ^ other[whole]) & (0xff << (8 - rest)) & 0xff) === 0;
}
