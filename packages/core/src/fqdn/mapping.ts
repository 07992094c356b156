/** What the FQDN cache is made of: mappings and forced cleans. Knows nothing of sets of them. */
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

/** What a clean asks of a mapping. */
export type LookedUp = Pick<Mapping, 'endpointUid' | 'name' | 'lookupMs'>;

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

/** Mappings kept per address at most: the latest expiry always, of the others the latest look-ups. */
export const KNOWN_MAX = 8;

/** Code unit order: the same on every machine. */
export function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** A mapping that a limit took although it had not expired: who keeps in mind that the cache has it must not any more. */
export type LostMapping = Pick<Mapping, 'endpointUid' | 'name' | 'address'>;
