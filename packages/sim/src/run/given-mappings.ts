/**
 * The checker that no mapping is forgotten: what was in an answer that a client got is in the caches in the end, unless it
 * has expired, was cleaned, or its pod is gone.
 *
 * Excused, since no file of the cache is modelled: what a member knew by the link or from a dead peer alone, if it dies
 * before its new peer was taught it. Runs whose limit of addresses per name is low are not looked at: what the limit takes
 * is another question.
 */
import type { Clean, LearnedMapping } from '@tandem/core';
import type { Control } from '../member/control.js';
import type { Query } from '../models/datagram.js';
import { CHANGING_POD, NAMES, uidOf } from './policies.js';
import type { World } from './world.js';

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
  private readonly gone: Control[] = [];
  /** Of those that are gone; made when it is needed. */
  private known: { readonly all: Lookups; readonly own: Lookups }[] | null = null;

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
    this.gone.push(control);
  }

  /** A mapping that should be in the member's cache and is not, or null. */
  forgotten(control: Control): string | null {
    const nowMs = control.nowMs();
    const kept = lookups(control);
    for (const given of this.given.values()) {
      const uid = uidOf(this.world.revision, given.pod);
      const name = NAMES[given.name].text;
      const key = `${uid} ${name} ${given.address}`;
      if ((kept.get(key) ?? -Infinity) >= given.lookupMs) continue;
      if (given.expiryMs <= nowMs || this.isCleaned(given, uid, name)) continue;
      if (!this.isExcused(given, key)) return `${key}, looked up at ${given.lookupMs}`;
    }
    return null;
  }

  private isCleaned({ lookupMs }: Given, uid: string, name: string): boolean {
    return this.cleans.some(({ atMs, endpointUid, matchPattern }) => (
      atMs >= lookupMs && (endpointUid === null || endpointUid === uid) && (matchPattern === null || covers(matchPattern, name))
    ));
  }

  /** A member that is gone knew it, and had not learned it itself. */
  private isExcused({ lookupMs }: Given, key: string): boolean {
    this.known ??= this.gone.map((control) => ({ all: lookups(control), own: ownLookups(control) }));
    return this.known.some(({ all, own }) => (all.get(key) ?? -Infinity) >= lookupMs && (own.get(key) ?? -Infinity) < lookupMs);
  }
}

/** One number for who asked for what and was told which address. */
function keyOf({ flow, name }: Query, isV6: boolean, host: number): number {
  return (((flow.pod + 1) * NAMES.length + name) * 2 + (isV6 ? 1 : 0)) * HOSTS + host;
}

/** As policies of a run and its cleans have patterns: a name, or everything under one. */
function covers(pattern: string, name: string): boolean {
  return pattern.startsWith('*') ? name.endsWith(pattern.slice(1)) : name === pattern;
}

/** Latest look-ups by endpoint, name and address. */
type Lookups = Map<string, number>;

/** All that the member knows, or knew at its end. */
function lookups(control: Control): Lookups {
  const latest: Lookups = new Map<string, number>();
  for (const { endpointUid, name, address, lookupMs } of control.cache.everything()) note(latest, `${endpointUid} ${name} ${address}`, lookupMs);
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
