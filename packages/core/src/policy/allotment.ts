/**
 * Numbers for endpoints and identities, kept over restarts. A number is never given to another owner while its first one
 * is known; owners that have gone stay known until too many have (the longest gone is forgotten first).
 *
 * Invariant: the same objects with the same allotment before give the same numbers, in whatever order they come.
 * Does not know: where it is stored; the agent persists it next to the snapshot.
 */
import { AppError } from '../base/app-error.js';
import { FIRST_POD_IDENTITY, type Snapshot } from './snapshot.js';

export interface Allotment {
  readonly endpoints: readonly AllottedNumber[];
  readonly identities: readonly AllottedNumber[];
  /** Where the search for a free number goes on, so that fresh numbers are reused late. */
  readonly nextEndpointId: number;
  readonly nextIdentity: number;
}

export interface AllottedNumber {
  /** Pod UID (or `namespace/name`); for identities the labels, joined by `;`. */
  readonly owner: string;
  readonly number: number;
  /** Revision at which the owner was gone; null while it is there. */
  readonly goneAt: number | null;
}

export const NO_ALLOTMENT: Allotment = {
  endpoints: [],
  identities: [],
  nextEndpointId: 1,
  nextIdentity: FIRST_POD_IDENTITY,
};

/** Cilium's ranges: 16 bits each; identities below 256 are reserved. */
const NUMBER_MAX = 65535;
const ENDPOINT_FIRST = 1;
/** Owners that are remembered after they have gone, per kind. */
const GONE_MAX = 4096;

export type NumberKind = 'endpoint' | 'identity';

export class Allotter {
  readonly #numbers = new Map<string, number>();
  readonly #used = new Set<number>();
  readonly #live = new Set<string>();
  readonly #before: readonly AllottedNumber[];
  readonly #kind: NumberKind;
  #next: number;

  constructor(before: Allotment, kind: NumberKind) {
    this.#kind = kind;
    this.#before = kind === 'endpoint' ? before.endpoints : before.identities;
    this.#next = kind === 'endpoint' ? before.nextEndpointId : before.nextIdentity;
    for (const { owner, number } of this.#before) {
      this.#numbers.set(owner, number);
      this.#used.add(number);
    }
  }

  /** The owner's number; call in a stable order. Throws LIMIT when all are taken. */
  take(owner: string): number {
    this.#live.add(owner);
    const known = this.#numbers.get(owner);
    if (known !== undefined) return known;
    const first = this.#kind === 'endpoint' ? ENDPOINT_FIRST : FIRST_POD_IDENTITY;
    const count = NUMBER_MAX - first + 1;
    for (let tries = 0; tries < count; tries++) {
      const number = this.#next;
      this.#next = number >= NUMBER_MAX ? first : number + 1;
      if (this.#used.has(number)) continue;
      this.#numbers.set(owner, number);
      this.#used.add(number);
      return number;
    }
    throw new AppError('LIMIT', `all ${count} ${this.#kind} numbers are taken`, { details: { limit: count } });
  }

  /** What to persist, sorted by number. */
  finish(revision: number): { entries: AllottedNumber[]; next: number } {
    const goneBefore = new Map(this.#before.map(({ owner, goneAt }) => [owner, goneAt]));
    const live: AllottedNumber[] = [];
    const gone: { owner: string; number: number; goneAt: number }[] = [];
    for (const [owner, number] of this.#numbers) {
      if (this.#live.has(owner)) live.push({ owner, number, goneAt: null });
      else gone.push({ owner, number, goneAt: goneBefore.get(owner) ?? revision });
    }
    gone.sort((a, b) => b.goneAt - a.goneAt || a.number - b.number);
    const entries = [...live, ...gone.slice(0, GONE_MAX)].sort((a, b) => a.number - b.number);
    return { entries, next: this.#next };
  }
}

/** What a snapshot tells of the allotment that it was compiled with: all but the owners that are gone. */
export function allotmentOf({ endpoints, identities }: Pick<Snapshot, 'endpoints' | 'identities'>): Allotment {
  const owned = (owner: string, number: number): AllottedNumber => ({ owner, number, goneAt: null });
  const endpointList = endpoints.map(({ uid, id }) => owned(uid, id));
  const identityList = identities
    .filter(({ identity }) => identity >= FIRST_POD_IDENTITY)
    .map(({ labels, identity }) => owned(labels.join(';'), identity));
  return {
    endpoints: endpointList,
    identities: identityList,
    nextEndpointId: nextAfter(endpointList, ENDPOINT_FIRST),
    nextIdentity: nextAfter(identityList, FIRST_POD_IDENTITY),
  };
}

function nextAfter(list: readonly AllottedNumber[], first: number): number {
  const highest = list.reduce((max, { number }) => Math.max(max, number), first - 1);
  return highest >= NUMBER_MAX ? first : highest + 1;
}

/** An allotment read back from disk, or null if it does not have the shape: then start with NO_ALLOTMENT. */
export function parseAllotment(value: unknown): Allotment | null {
  if (typeof value !== 'object' || value === null) return null;
  const { endpoints, identities, nextEndpointId, nextIdentity } = value as Readonly<Record<string, unknown>>;
  const endpointList = parseNumbers(endpoints, ENDPOINT_FIRST);
  const identityList = parseNumbers(identities, FIRST_POD_IDENTITY);
  if (endpointList === null || identityList === null) return null;
  if (!inRange(nextEndpointId, ENDPOINT_FIRST) || !inRange(nextIdentity, FIRST_POD_IDENTITY)) return null;
  return { endpoints: endpointList, identities: identityList, nextEndpointId, nextIdentity };
}

function parseNumbers(value: unknown, first: number): AllottedNumber[] | null {
  if (!Array.isArray(value) || value.length > NUMBER_MAX) return null;
  const out: AllottedNumber[] = [];
  const owners = new Set<string>();
  const numbers = new Set<number>();
  for (const item of value as unknown[]) {
    if (typeof item !== 'object' || item === null) return null;
    const { owner, number, goneAt } = item as Readonly<Record<string, unknown>>;
    if (typeof owner !== 'string' || !inRange(number, first) || owners.has(owner) || numbers.has(number)) return null;
    if (goneAt !== null && !Number.isSafeInteger(goneAt)) return null;
    owners.add(owner);
    numbers.add(number);
    out.push({ owner, number, goneAt: goneAt as number | null });
  }
  return out;
}

function inRange(value: unknown, first: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= first && value <= NUMBER_MAX;
}
