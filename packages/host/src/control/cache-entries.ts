/**
 * Mappings as a file has them: Cilium's pre-cache format, an array of look-ups. Beyond Cilium's five keys an entry may name the pod
 * that learned it (`endpoint-uid`); without it the mapping is the node's. What `cache list -o json` adds is let pass.
 *
 * Invariant: a file is read whole or not at all; a complaint names entry, field, value and what is allowed.
 */
import { AppError, canonicalAddress, type Mapping, monoMs, NODE_UID, SNAPSHOT_LIMITS } from '@tandem/core';
import { nameFromString, nameToString } from '@tandem/dns';
import type { CacheEntry } from './daemon-view.js';

/** The time of day at boot, and now, in milliseconds since 1970. */
export interface WallTimes {
  readonly bootedAtMs: number;
  readonly nowMs: number;
}

export const ENTRIES_MAX = 250_000;
/** Addresses over all entries. */
export const ENTRY_ADDRESSES_MAX = 500_000;
/** A file, or a request's body. */
export const ENTRIES_BYTES_MAX = 64 * 1024 * 1024;

const KEYS: readonly string[] = ['fqdn', 'lookup-time', 'expiration-time', 'ttl', 'ips', 'endpoint-uid', 'endpoint-id', 'source'];
/** As the pair link has it. */
const TTL_MAX = 0x7fff_ffff;
/** What the clock that wrote the file may be ahead. */
const AHEAD_MS = 60_000;
const SHOWN_MAX = 80;
const RFC3339 = /^(\d{4})-(\d\d)-(\d\d)T\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;

/** @throws AppError CONFIGURATION for text that is not JSON, or as `mappingsOf`. */
export function mappingsOfText(text: string, times: WallTimes): Mapping[] {
  let value: unknown;
  try {
    value = JSON.parse(text) as unknown;
  } catch (error) {
    throw new AppError('CONFIGURATION', `is not JSON: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  return mappingsOf(value, times);
}

/** @throws AppError CONFIGURATION for what is no array of entries, LIMIT for too many. */
export function mappingsOf(value: unknown, times: WallTimes): Mapping[] {
  if (!Array.isArray(value)) throw new AppError('CONFIGURATION', `holds ${kindOf(value)}; allowed: an array of entries`);
  if (value.length > ENTRIES_MAX) throw new AppError('LIMIT', `has ${value.length} entries; allowed: at most ${ENTRIES_MAX}`);
  const mappings: Mapping[] = [];
  value.forEach((entry: unknown, index) => {
    for (const mapping of new EntryReader(entry, index + 1, times).mappings()) mappings.push(mapping);
    if (mappings.length > ENTRY_ADDRESSES_MAX) throw new AppError('LIMIT', `entry ${index + 1}: brings more addresses than are allowed: at most ${ENTRY_ADDRESSES_MAX} in all`);
  });
  return mappings;
}

/** One entry per look-up, sorted by endpoint, name and first address. @throws AppError LIMIT for more than could be read again. */
export function entriesOf(mappings: Iterable<Mapping>, bootedAtMs: number): CacheEntry[] {
  const entries = new Map<string, CacheEntry & { readonly ips: string[] }>();
  let addresses = 0;
  for (const mapping of mappings) {
    const { endpointUid, name, lookupMs, ttlSeconds, expiryMs, address } = mapping;
    if (++addresses > ENTRY_ADDRESSES_MAX) throw new AppError('LIMIT', `the cache has more than ${ENTRY_ADDRESSES_MAX} mappings, which no import would take`);
    const key = `${endpointUid} ${name} ${lookupMs} ${expiryMs} ${ttlSeconds}`;
    const entry = entries.get(key);
    if (entry !== undefined) {
      entry.ips.push(address);
      continue;
    }
    if (entries.size === ENTRIES_MAX) throw new AppError('LIMIT', `the cache has more than ${ENTRIES_MAX} look-ups, which no import would take`);
    entries.set(key, {
      'fqdn': name, 'lookup-time': timeText(bootedAtMs + lookupMs), 'expiration-time': timeText(bootedAtMs + expiryMs), 'ttl': ttlSeconds,
      'ips': [address], ...(endpointUid === NODE_UID ? {} : { 'endpoint-uid': endpointUid }),
    });
  }
  for (const { ips } of entries.values()) ips.sort();
  const uidOf = (entry: CacheEntry): string => entry['endpoint-uid'] ?? '';
  return [...entries.values()].sort((a, b) => compare(uidOf(a), uidOf(b)) || compare(a.fqdn, b.fqdn) || compare(a.ips[0], b.ips[0]));
}

class EntryReader {
  private readonly entry: Readonly<Record<string, unknown>>;
  private readonly number: number;
  private readonly times: WallTimes;

  constructor(entry: unknown, number: number, times: WallTimes) {
    this.number = number;
    this.times = times;
    if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) throw this.refused(`is ${kindOf(entry)}; allowed: an object`);
    this.entry = entry as Readonly<Record<string, unknown>>;
    const unknown = Object.keys(entry).find((key) => !KEYS.includes(key));
    if (unknown !== undefined) throw this.refused(`unknown field ${shown(unknown)}; known: ${KEYS.join(', ')}`);
  }

  mappings(): Mapping[] {
    // A list shows zombies as look-ups by a connection: there is no look-up to bring back.
    if (this.entry.source === 'connection') return [];
    const { bootedAtMs, nowMs } = this.times;
    const lookup = this.time('lookup-time');
    if (lookup > nowMs + AHEAD_MS) throw this.bad('lookup-time', `at most ${AHEAD_MS / 1000} s ahead of this host's clock (${timeText(nowMs)})`);
    const expiry = this.time('expiration-time');
    const latest = nowMs + TTL_MAX * 1000;
    if (expiry < lookup || expiry > latest) throw this.bad('expiration-time', `lookup-time to ${timeText(latest)}`);
    const ttlSeconds = this.entry.ttl;
    if (typeof ttlSeconds !== 'number' || !Number.isInteger(ttlSeconds) || ttlSeconds < 0 || ttlSeconds > TTL_MAX) throw this.bad('ttl', `0 to ${TTL_MAX}`);
    const name = this.name();
    const endpointUid = this.endpointUid();
    // What was looked up before this boot is as old as the clock goes; and no look-up is later than now.
    const lookupMs = monoMs(Math.max(0, Math.min(lookup, nowMs) - bootedAtMs));
    const expiryMs = monoMs(Math.max(lookupMs, expiry - bootedAtMs));
    return this.addresses().map((address) => ({ endpointUid, name, address, lookupMs, ttlSeconds, expiryMs }));
  }

  private name(): string {
    const { fqdn } = this.entry;
    const wire = typeof fqdn === 'string' ? nameFromString(fqdn) : null;
    if (wire === null) throw this.bad('fqdn', 'a DNS name');
    return nameToString(wire, 0, 0);
  }

  private time(field: 'lookup-time' | 'expiration-time'): number {
    const text = this.entry[field];
    const parts = typeof text === 'string' ? RFC3339.exec(text) : null;
    const ms = parts === null ? NaN : Date.parse(parts[0]);
    // Date.parse takes the 31st of any month.
    if (parts === null || Number.isNaN(ms) || Number(parts[3]) > daysIn(Number(parts[1]), Number(parts[2]))) {
      throw this.bad(field, 'a time such as 2026-01-05T07:55:50.448Z');
    }
    return ms;
  }

  private addresses(): string[] {
    const { ips } = this.entry;
    if (!Array.isArray(ips) || ips.length === 0) throw this.bad('ips', 'an array of at least one IP address');
    return (ips as readonly unknown[]).map((ip, index) => {
      const address = typeof ip === 'string' ? canonicalAddress(ip) : null;
      if (address === null) throw this.refused(`ips[${index}] ${shown(ip)} is not allowed; allowed: an IP address`);
      return address;
    });
  }

  private endpointUid(): string {
    const uid = this.entry['endpoint-uid'];
    if (uid === undefined) return NODE_UID;
    if (typeof uid !== 'string' || uid === '' || uid.length > SNAPSHOT_LIMITS.textCharacters) throw this.bad('endpoint-uid', `1 to ${SNAPSHOT_LIMITS.textCharacters} characters`);
    return uid;
  }

  private bad(field: string, allowed: string): AppError {
    return this.refused(this.entry[field] !== undefined ? `${field} ${shown(this.entry[field])} is not allowed; allowed: ${allowed}` : `${field} is missing; allowed: ${allowed}`);
  }

  private refused(what: string): AppError {
    return new AppError('CONFIGURATION', `entry ${this.number}: ${what}`);
  }
}

function daysIn(year: number, month: number): number {
  return new Date(Date.UTC(year, month, 0)).getUTCDate();
}

function timeText(wallMs: number): string {
  return new Date(wallMs).toISOString();
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text;
}

function kindOf(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
