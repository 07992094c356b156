/**
 * Core's messages ↔ those of tandem.pair.v1. Everything that a peer sends is checked here: what does not fit the
 * stated shape or limits is an AppError LINK, never a crash.
 */
import { AppError, MAPPINGS_PER_MESSAGE, monoMs, type Clean, type Mapping } from '@tandem/core';
import type { Clean as WireClean, Hello, Mapping as WireMapping, Mappings } from './generated/tandem/pair/v1/pair.js';
import { addressFromBytes, addressToBytes } from './address-bytes.js';

export const PROTOCOL_VERSION = 1;

/** Canonical JSON of a snapshot at most; also the bound of any gRPC message. */
export const SNAPSHOT_BYTES_MAX = 32 * 1024 * 1024;

const NAME_MAX = 1024;
const UID_MAX = 512;
const TTL_MAX = 0x7fff_ffff;

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
  return { matchPattern: clean.matchPattern === '' ? null : clean.matchPattern, atMs: monoMs(clean.atMs) };
}

export function checkHello(hello: Hello, expectedRole: string): void {
  if (hello.protocol !== PROTOCOL_VERSION) {
    throw refused('protocol', String(hello.protocol), `version ${PROTOCOL_VERSION}`);
  }
  if (hello.role !== expectedRole) throw refused('role', JSON.stringify(hello.role), expectedRole);
}

function mappingFromWire(mapping: WireMapping): Mapping {
  const { endpointUid, name, lookupMs, expiryMs, ttlSeconds } = mapping;
  const address = addressFromBytes(mapping.address);
  if (address === null) throw refused('address', `${mapping.address.length} bytes`, '4 or 16 bytes');
  if (endpointUid === '' || endpointUid.length > UID_MAX) throw refused('endpoint_uid', 'length', `1 to ${UID_MAX}`);
  if (!name.endsWith('.') || name.length > NAME_MAX) throw refused('name', JSON.stringify(name.slice(0, 80)), 'a name');
  if (!isTime(lookupMs) || !isTime(expiryMs)) throw refused('lookup_ms, expiry_ms', 'value', 'times since boot');
  if (ttlSeconds > TTL_MAX) throw refused('ttl_seconds', String(ttlSeconds), `0 to ${TTL_MAX}`);
  return { endpointUid, name, address, lookupMs: monoMs(lookupMs), ttlSeconds, expiryMs: monoMs(expiryMs) };
}

function isTime(ms: number): boolean {
  return Number.isFinite(ms) && ms >= 0;
}

function refused(field: string, value: string, allowed: string): AppError {
  return new AppError('LINK', `the peer's ${field} is ${value}, allowed is ${allowed}`, { details: { field } });
}
