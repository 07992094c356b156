/**
 * The checker that no mapping is forgotten: what was in an answer that a client got is in the caches in the end, unless it
 * has expired, was cleaned, or its pod is gone; and that none comes back: what was looked up before a forced clean is in no cache.
 *
 * Excused, since no file of the cache is modelled: what a member knew by the link or from a dead peer alone, if it dies
 * before its new peer was taught it; a clean that nobody who lives has heard of. Of what is forgotten, runs whose limit of
 * addresses per name is low are not looked at: what the limit takes is another question.
 */
import type { Clean, LearnedMapping, Mapping } from '@tandem/core';
import type { Control } from '../member/control.js';
import type { Query } from '../models/datagram.js';
import { CHANGING_POD, NAMES, uidOf } from './policies.js';
import { otherOf, type World } from './world.js';

/** Below it names lose addresses to the limit. */
const ADDRESSES_MIN = 1000;
const HOSTS = 0x100_0000;

interface Given {
  readonly pod: number;
  readonly name: number;
  readonly address: string;
  readonly lookupMs: number;
  readonly expiryMs: number;
}

export class GivenMappings {
  private readonly world: World;
  private readonly learned = new Map<number, { readonly lookupMs: number; readonly expiryMs: number }>();
  private readonly given = new Map<number, Given>();
  private readonly cleans: Clean[] = [];
  /** Nobody knew of them any more at some time. */
  private readonly lostCleans = new Set<Clean>();
  /** What went with each process that is gone. */
  private readonly lost: Map<string, LostLookups>[] = [];

  constructor(world: World) {
    this.world = world;
  }

  onLearned(query: Query, { address, lookupMs, ttlSeconds }: LearnedMapping): void {
    const last = address[3];
    const host = ((last >>> 8) & 0xff) * 0x1_0000 + ((last >>> 16) & 0xff) * 0x100 + (last >>> 24);
    const isV6 = address[2] !== 0xffff_0000;
    this.learned.set(keyOf(query, isV6, host), { lookupMs, expiryMs: lookupMs + ttlSeconds * 1000 });
  }

  /** A client got the address at `at`. */
  onAnswered(query: Query, isV6: boolean, bytes: Uint8Array, at: number): void {
    const { pod } = query.flow;
    if (pod < 0 || pod === CHANGING_POD || this.world.options.maxAddressesPerName < ADDRESSES_MIN) return;
    const last = isV6 ? at + 13 : at + 1;
    const key = keyOf(query, isV6, bytes[last] * 0x1_0000 + bytes[last + 1] * 0x100 + bytes[last + 2]);
    const learned = this.learned.get(key);
    const former = this.given.get(key);
    if (learned === undefined) this.world.checkers.broken(`query ${query.number} was answered with an address that nobody learned`);
    if (former?.lookupMs === learned.lookupMs) return;
    const address = former?.address ?? addressText(isV6, bytes, isV6 ? at + 12 : at);
    this.given.set(key, { pod, name: query.name, address, ...learned });
  }

  /** A forced clean. */
  onClean(clean: Clean): void {
    this.cleans.push(clean);
  }

  /** A member's process has ended. */
  onGone(control: Control): void {
    const other = this.world.member(otherOf(control.role));
    // What it learned itself its peer reads in its journal.
    const left = ownLookups(control);
    if (other !== null) for (const [key, lookupMs] of [...lookups(other), ...ownLookups(other)]) note(left, key, lookupMs);
    const lost = new Map<string, LostLookups>();
    for (const [key, toMs] of lookups(control)) {
      const afterMs = left.get(key) ?? -Infinity;
      if (toMs > afterMs) lost.set(key, { afterMs, toMs });
    }
    this.lost.push(lost);
    const heard = other?.cache.pastCleans() ?? [];
    for (const clean of this.cleans) if (!heard.some((one) => isSameTarget(one, clean) && one.atMs >= clean.atMs)) this.lostCleans.add(clean);
  }

  /** A mapping that should be in the member's cache and is not, or null. */
  forgotten(control: Control): string | null {
    const nowMs = control.nowMs();
    const kept = lookups(control);
    for (const given of this.given.values()) {
      const uid = uidOf(this.world.revision, given.pod);
      const name = NAMES[given.name].text;
      const key = textOf({ endpointUid: uid, name, address: given.address });
      if ((kept.get(key) ?? -Infinity) >= given.lookupMs) continue;
      if (given.expiryMs <= nowMs || this.cleans.some((clean) => beats(clean, { endpointUid: uid, name, lookupMs: given.lookupMs }))) continue;
      if (!this.isExcused(given, key)) return `${key}, looked up at ${given.lookupMs}`;
    }
    return null;
  }

  /** A mapping in the member's cache that a clean should have kept out, or null. */
  returned(control: Control): string | null {
    for (const mapping of control.cache.everything()) {
      const clean = this.cleans.find((one) => !this.lostCleans.has(one) && beats(one, mapping));
      if (clean !== undefined) return `${textOf(mapping)}, looked up at ${mapping.lookupMs}, cleaned at ${clean.atMs}`;
    }
    return null;
  }

  /** It went with a member that had not learned it itself, and nobody else knew it then. */
  private isExcused({ lookupMs }: Given, key: string): boolean {
    return this.lost.some((lost) => {
      const span = lost.get(key);
      return span !== undefined && span.afterMs < lookupMs && lookupMs <= span.toMs;
    });
  }
}

/** One number for who asked for what and was told which address. */
function keyOf({ flow, name }: Query, isV6: boolean, host: number): number {
  return (((flow.pod + 1) * NAMES.length + name) * 2 + (isV6 ? 1 : 0)) * HOSTS + host;
}

function beats({ atMs, endpointUid, matchPattern }: Clean, of: { readonly endpointUid: string; readonly name: string; readonly lookupMs: number }): boolean {
  return atMs >= of.lookupMs && (endpointUid === null || endpointUid === of.endpointUid) && (matchPattern === null || covers(matchPattern, of.name));
}

function isSameTarget(a: Clean, b: Clean): boolean {
  return a.endpointUid === b.endpointUid && a.matchPattern === b.matchPattern;
}

/** As policies of a run and its cleans have patterns: a name, or everything under one. */
function covers(pattern: string, name: string): boolean {
  return pattern.startsWith('*') ? name.endsWith(pattern.slice(1)) : name === pattern;
}

function textOf({ endpointUid, name, address }: Pick<Mapping, 'endpointUid' | 'name' | 'address'>): string {
  return `${endpointUid} ${name} ${address}`;
}

/** Latest look-ups by endpoint, name and address. */
type Lookups = Map<string, number>;

/** Look-ups after the one and up to the other. */
interface LostLookups {
  readonly afterMs: number;
  readonly toMs: number;
}

/** All that the member knows, or knew at its end. */
function lookups(control: Control): Lookups {
  const latest: Lookups = new Map<string, number>();
  for (const mapping of control.cache.everything()) note(latest, textOf(mapping), mapping.lookupMs);
  return latest;
}

/** What its data plane learned last. */
function ownLookups({ plane, snapshot }: Control): Lookups {
  const latest: Lookups = new Map<string, number>();
  const uids = new Map(snapshot?.endpoints.map(({ id, uid }) => [id, uid]));
  for (const { endpointId, name, address, lookupMs } of plane?.mappings.records() ?? []) note(latest, `${uids.get(endpointId)} ${name} ${address}`, lookupMs);
  return latest;
}

function note(latest: Lookups, key: string, lookupMs: number): void {
  latest.set(key, Math.max(lookupMs, latest.get(key) ?? -Infinity));
}

/** Of the four bytes at `at` that an upstream chose, as the members write the address. */
export function addressText(isV6: boolean, bytes: Uint8Array, at: number): string {
  if (!isV6) return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
  const pair = (i: number): string => ((bytes[at + i] << 8) | bytes[at + i + 1]).toString(16);
  return `2001::${pair(0)}:${pair(2)}`;
}
