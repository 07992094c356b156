/**
 * Core's messages ↔ those of tandem.pair.v1. Everything that a peer sends is checked here: what does not fit the
 * stated shape or limits is an AppError LINK, never a crash.
 */
import { AppError, MAPPINGS_PER_MESSAGE, monoMs, SNAPSHOT_LIMITS, type Clean, type Mapping } from '@tandem/core';
import type { Clean as WireClean, Hello, Mapping as WireMapping, Mappings } from './generated/tandem/pair/v1/pair.js';
import { addressFromBytes, addressToBytes } from './address-bytes.js';

export const PROTOCOL_VERSION = 1;

/** Canonical JSON of a snapshot at most; also the bound of any gRPC message. */
export const SNAPSHOT_BYTES_MAX = 32 * 1024 * 1024;

const NAME_MAX = 1024;
/** What a snapshot may give an endpoint as its UID, in characters. */
const UID_MAX = SNAPSHOT_LIMITS.textCharacters;
const HELLO_SETTINGS_MAX = 64;
const SETTING_NAME_MAX = 80;
const SETTING_TEXT_MAX = 2048;
const TTL_MAX = 0x7fff_ffff;
/** Some hundred years: a later time is no time since boot, and none that could be shown as a date. */
const TIME_MAX_MS = 2 ** 43;

export function mappingToWire(mapping: Mapping): WireMapping {
  return {
    endpointUid: mapping.endpointUid,
    name: mapping.name,
    address: Buffer.from(addressToBytes(mapping.address)),
    lookupMs: mapping.lookupMs,
    ttlSeconds: mapping.ttlSeconds,
    expiryMs: mapping.expiryMs,
  };
}

export function mappingsFromWire(message: Mappings): Mapping[] {
  if (message.mappings.length > MAPPINGS_PER_MESSAGE) {
    throw refused('mappings', `${message.mappings.length} in one message`, `at most ${MAPPINGS_PER_MESSAGE}`);
  }
  return message.mappings.map(mappingFromWire);
}

export function cleanFromWire(clean: WireClean): Clean {
  if (!isTime(clean.atMs)) throw refused('at_ms', String(clean.atMs), 'a time since boot');
  return {
    matchPattern: clean.matchPattern === '' ? null : clean.matchPattern,
    endpointUid: clean.endpointUid === '' ? null : clean.endpointUid,
    atMs: monoMs(clean.atMs),
  };
}

export function checkHello(hello: Hello, expectedRole: string): void {
  if (hello.protocol !== PROTOCOL_VERSION) {
    throw refused('protocol', String(hello.protocol), `version ${PROTOCOL_VERSION}`);
  }
  if (hello.role !== expectedRole) throw refused('role', JSON.stringify(hello.role), expectedRole);
  const settings = Object.entries(hello.verdictSettings);
  if (settings.length > HELLO_SETTINGS_MAX) throw refused('verdict_settings', `${settings.length} settings`, `at most ${HELLO_SETTINGS_MAX}`);
  const long = settings.find(([name, text]) => name.length > SETTING_NAME_MAX || text.length > SETTING_TEXT_MAX);
  if (long !== undefined) throw refused('verdict_settings', `longer for ${JSON.stringify(long[0].slice(0, 80))}`, `${SETTING_TEXT_MAX} characters`);
}

function mappingFromWire(mapping: WireMapping): Mapping {
  const { endpointUid, name, lookupMs, expiryMs, ttlSeconds } = mapping;
  const address = addressFromBytes(mapping.address);
  if (address === null) throw refused('address', `${mapping.address.length} bytes`, '4 or 16 bytes');
  if (endpointUid === '' || endpointUid.length > UID_MAX) throw refused('endpoint_uid', `${endpointUid.length} characters long`, `1 to ${UID_MAX}`);
  if (!name.endsWith('.') || name.length > NAME_MAX) throw refused('name', JSON.stringify(name.slice(0, 80)), 'a name');
  if (!isTime(lookupMs)) throw refused('lookup_ms', String(lookupMs), 'a time since boot');
  if (!isTime(expiryMs) || expiryMs < lookupMs) throw refused('expiry_ms', String(expiryMs), 'a time since boot, not before lookup_ms');
  if (ttlSeconds > TTL_MAX) throw refused('ttl_seconds', String(ttlSeconds), `0 to ${TTL_MAX}`);
  return { endpointUid, name, address, lookupMs: monoMs(lookupMs), ttlSeconds, expiryMs: monoMs(expiryMs) };
}

function isTime(ms: number): boolean {
  return ms >= 0 && ms <= TIME_MAX_MS;
}

function refused(field: string, value: string, allowed: string): AppError {
  return new AppError('LINK', `the peer's ${field} is ${value}, allowed is ${allowed}`, { details: { field } });
}
