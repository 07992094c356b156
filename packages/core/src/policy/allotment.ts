/**
 * Numbers for endpoints, identities and prefixes, kept over restarts. A number is never given to another owner while its first one
 * is known; owners that have gone stay known until too many have (the longest gone is forgotten first).
 *
 * Invariant: the same objects with the same allotment before give the same numbers, in whatever order they come.
 * Does not know: where it is stored; the agent persists it next to the snapshot.
 */
import { AppError } from '../base/app-error.js';
import { FIRST_CIDR_IDENTITY, FIRST_POD_IDENTITY, type Snapshot } from './snapshot.js';

export interface Allotment {
  readonly endpoints: readonly AllottedNumber[];
  readonly identities: readonly AllottedNumber[];
  readonly cidrs: readonly AllottedNumber[];
  /** Where the search for a free number goes on, so that fresh numbers are reused late. */
  readonly nextEndpointId: number;
  readonly nextIdentity: number;
  readonly nextCidr: number;
}

export interface AllottedNumber {
  /** Pod UID (or `namespace/name`); for identities the labels, joined by `;`; for prefixes their canonical text. */
  readonly owner: string;
  readonly number: number;
  /** Revision at which the owner was gone; null while it is there. */
  readonly goneAt: number | null;
}

export const NO_ALLOTMENT: Allotment = {
  endpoints: [],
  identities: [],
  cidrs: [],
  nextEndpointId: 1,
  nextIdentity: FIRST_POD_IDENTITY,
  nextCidr: FIRST_CIDR_IDENTITY,
};

/** Cilium's ranges: 16 bits each; identities below 256 are reserved, those of prefixes lie in the local scope. */
const NUMBER_MAX = 65535;
const ENDPOINT_FIRST = 1;
const RANGES = {
  endpoint: { first: ENDPOINT_FIRST, last: NUMBER_MAX, list: 'endpoints', next: 'nextEndpointId' },
  identity: { first: FIRST_POD_IDENTITY, last: NUMBER_MAX, list: 'identities', next: 'nextIdentity' },
  cidr: { first: FIRST_CIDR_IDENTITY, last: FIRST_CIDR_IDENTITY + NUMBER_MAX, list: 'cidrs', next: 'nextCidr' },
} as const;
/** Owners that are remembered after they have gone, per kind. */
const GONE_MAX = 4096;

export type NumberKind = keyof typeof RANGES;

export class Allotter {
  private readonly numbers = new Map<string, number>();
  private readonly used = new Set<number>();
  private readonly live = new Set<string>();
  private readonly before: readonly AllottedNumber[];
  private readonly kind: NumberKind;
  private next: number;

  constructor(before: Allotment, kind: NumberKind) {
    this.kind = kind;
    this.before = before[RANGES[kind].list];
    this.next = before[RANGES[kind].next];
    for (const { owner, number } of this.before) {
      this.numbers.set(owner, number);
      this.used.add(number);
    }
  }

  /** The owner's number; call in a stable order. Throws LIMIT when all are taken. */
  take(owner: string): number {
    this.live.add(owner);
    const known = this.numbers.get(owner);
    if (known !== undefined) return known;
    const { first, last } = RANGES[this.kind];
    const count = last - first + 1;
    for (let tries = 0; tries < count; tries++) {
      const number = this.next;
      this.next = number >= last ? first : number + 1;
      if (this.used.has(number)) continue;
      this.numbers.set(owner, number);
      this.used.add(number);
      return number;
    }
    throw new AppError('LIMIT', `all ${count} ${this.kind} numbers are taken`, { details: { limit: count } });
  }

  /** What to persist, sorted by number. */
  finish(revision: number): { entries: AllottedNumber[]; next: number } {
    const goneBefore = new Map(this.before.map(({ owner, goneAt }) => [owner, goneAt]));
    const live: AllottedNumber[] = [];
    const gone: { owner: string; number: number; goneAt: number }[] = [];
    for (const [owner, number] of this.numbers) {
      if (this.live.has(owner)) live.push({ owner, number, goneAt: null });
      else gone.push({ owner, number, goneAt: goneBefore.get(owner) ?? revision });
    }
    gone.sort((a, b) => b.goneAt - a.goneAt || a.number - b.number);
    const entries = [...live, ...gone.slice(0, GONE_MAX)].sort((a, b) => a.number - b.number);
    return { entries, next: this.next };
  }
}

/** What a snapshot tells of the allotment that it was compiled with: all but the owners that are gone. */
export function allotmentOf({ endpoints, identities, cidrs }: Pick<Snapshot, 'endpoints' | 'identities' | 'cidrs'>): Allotment {
  const owned = (owner: string, number: number): AllottedNumber => ({ owner, number, goneAt: null });
  const endpointList = endpoints.map(({ uid, id }) => owned(uid, id));
  const identityList = identities
    .filter(({ identity }) => identity >= FIRST_POD_IDENTITY)
    .map(({ labels, identity }) => owned(labels.join(';'), identity));
  const cidrList = (cidrs ?? []).map(({ cidr, identity }) => owned(cidr, identity));
  return {
    endpoints: endpointList,
    identities: identityList,
    cidrs: cidrList,
    nextEndpointId: nextAfter(endpointList, 'endpoint'),
    nextIdentity: nextAfter(identityList, 'identity'),
    nextCidr: nextAfter(cidrList, 'cidr'),
  };
}

function nextAfter(list: readonly AllottedNumber[], kind: NumberKind): number {
  const { first, last } = RANGES[kind];
  const highest = list.reduce((max, { number }) => Math.max(max, number), first - 1);
  return highest >= last ? first : highest + 1;
}

/** An allotment read back from disk, or null if it does not have the shape: then start with NO_ALLOTMENT. */
export function parseAllotment(value: unknown): Allotment | null {
  if (typeof value !== 'object' || value === null) return null;
  // A file of an earlier version has no prefixes.
  const { endpoints, identities, cidrs = [], nextEndpointId, nextIdentity, nextCidr = FIRST_CIDR_IDENTITY } = value as Readonly<Record<string, unknown>>;
  const endpointList = parseNumbers(endpoints, 'endpoint');
  const identityList = parseNumbers(identities, 'identity');
  const cidrList = parseNumbers(cidrs, 'cidr');
  if (endpointList === null || identityList === null || cidrList === null) return null;
  if (!inRange(nextEndpointId, 'endpoint') || !inRange(nextIdentity, 'identity') || !inRange(nextCidr, 'cidr')) return null;
  return { endpoints: endpointList, identities: identityList, cidrs: cidrList, nextEndpointId, nextIdentity, nextCidr };
}

function parseNumbers(value: unknown, kind: NumberKind): AllottedNumber[] | null {
  const { first, last } = RANGES[kind];
  if (!Array.isArray(value) || value.length > last - first + 1) return null;
  const out: AllottedNumber[] = [];
  const owners = new Set<string>();
  const numbers = new Set<number>();
  for (const item of value as unknown[]) {
    if (typeof item !== 'object' || item === null) return null;
    const { owner, number, goneAt } = item as Readonly<Record<string, unknown>>;
    if (typeof owner !== 'string' || !inRange(number, kind) || owners.has(owner) || numbers.has(number)) return null;
    if (goneAt !== null && !Number.isSafeInteger(goneAt)) return null;
    owners.add(owner);
    numbers.add(number);
    out.push({ owner, number, goneAt: goneAt as number | null });
  }
  return out;
}

function inRange(value: unknown, kind: NumberKind): value is number {
  const { first, last } = RANGES[kind];
  return typeof value === 'number' && Number.isInteger(value) && value >= first && value <= last;
}
