/**
 * What the FQDN cache is made of: mappings and forced cleans, and when one mapping makes another superfluous.
 * Knows nothing of sets of them.
 */
import type { MonoMs } from '../base/seams.js';
import { EXTENSION_MAX_MS } from '../query/recent-mappings.js';

/** One address of one name, as one endpoint learned it. */
export interface Mapping {
  /** Pod UID: a pod that inherits an address inherits no mapping. NODE_UID: no pod's, the node's own. */
  readonly endpointUid: string;
  /** Presentation form, lower case, trailing dot. */
  readonly name: string;
  /** Canonical presentation form (RFC 5952 for IPv6). */
  readonly address: string;
  readonly lookupMs: MonoMs;
  /** As the answer said it, or the minimum TTL where that is larger. */
  readonly ttlSeconds: number;
  readonly expiryMs: MonoMs;
}

/** A forced clean: beats every mapping that it matches and that was looked up at or before its time. */
export interface Clean {
  /** matchPattern; null means every name. */
  readonly matchPattern: string | null;
  /** Only what this endpoint learned: a pod that is gone. Null means every endpoint. */
  readonly endpointUid: string | null;
  readonly atMs: MonoMs;
}

/** Which mappings a clean is about: of two with the same target the later one is enough. */
export function targetOf(clean: Clean): string {
  return `${clean.endpointUid ?? ''}\0${clean.matchPattern ?? ''}`;
}

/** Stands for the node where a mapping was taught by no pod: from a file. No pod has a UID with a colon. */
export const NODE_UID = 'tandem:node';

/** The true expiry may be this much later than the one that was passed on. */
export const COLLECT_GRACE_MS = EXTENSION_MAX_MS;

/** The cache's own copy of a mapping. What is looked up again and again is renewed in place: no garbage, no new strings. */
export type Held = { -readonly [Field in keyof Mapping]: Mapping[Field] };

/** Mappings kept per address at most: the latest expiry always, of the others the latest look-ups. */
export const KNOWN_MAX = 8;

/** Equal times are told apart by the TTL, so that two different mappings never dominate each other both ways. */
export function dominates(a: Mapping, b: Mapping): boolean {
  if (a.lookupMs === b.lookupMs && a.expiryMs === b.expiryMs) return a.ttlSeconds >= b.ttlSeconds;
  return a.lookupMs >= b.lookupMs && a.expiryMs >= b.expiryMs;
}

/** All of one address, `mapping` among them, without those that it dominates. */
export function joined(list: readonly Held[], mapping: Held): Held[] {
  const kept = list.filter((other) => !dominates(mapping, other));
  // Look-ups ascend, expiries descend: the first is the one that holds.
  const [first, ...later] = [...kept, mapping].sort((a, b) => a.lookupMs - b.lookupMs);
  return [first, ...later.slice(-(KNOWN_MAX - 1))];
}

/** Of each address in the list the mapping with the latest expiry. */
export function latest<T extends Mapping>(list: readonly T[]): readonly T[] {
  if (list.length < 2) return list;
  const byAddress = new Map<string, T>();
  for (const mapping of list) {
    const other = byAddress.get(mapping.address);
    if (other === undefined || mapping.expiryMs > other.expiryMs) byAddress.set(mapping.address, mapping);
  }
  return byAddress.size === list.length ? list : [...byAddress.values()];
}

/** Ascending: what a limit takes first, the earliest expiry, at equal expiry the least address. */
export function byExpiry(a: Mapping, b: Mapping): number {
  return a.expiryMs - b.expiryMs || compareTexts(a.address, b.address);
}

/** Code unit order: the same on every machine. */
export function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
