/**
 * Core's messages ↔ those of tandem.pair.v1. Everything that a peer sends is checked here: what does not fit the
 * stated shape or limits is an AppError LINK, never a crash.
 */
import {
  admitMatchPattern, AppError, BUCKETS, CLEANS_PER_MESSAGE, DIGEST_WORDS, MAPPINGS_PER_MESSAGE, monoMs, SEEN_MAX, SNAPSHOT_LIMITS,
  type Clean, type ExchangeMessage, type Mapping, type SeenRevision,
} from '@tandem/core';
import type {
  Changes, Clean as WireClean, Hello, LinkRequest, LinkResponse, Mapping as WireMapping, SourceHeard,
} from './generated/tandem/pair/v1/pair.js';
import { addressFromBytes, addressToBytes } from './address-bytes.js';

/** Either direction's messages. */
export type WireMessage = NonNullable<LinkRequest['message']> | NonNullable<LinkResponse['message']>;
/** Those of the exchange of mappings and cleans. */
export type WireExchangeMessage = Extract<WireMessage, { $case: 'changes' | 'changesAck' | 'digests' | 'buckets' }>;

export interface ProtocolVersions {
  /** Lowest and highest that a member speaks. */
  readonly min: number;
  readonly max: number;
}

/** Versions of tandem.pair.v1 that this release speaks. */
export const PROTOCOL_VERSIONS: ProtocolVersions = { min: 1, max: 1 };

/** Canonical JSON of a snapshot at most; also the bound of any gRPC message. */
export const SNAPSHOT_BYTES_MAX = 32 * 1024 * 1024;

const NAME_MAX = 1024;
/** What a snapshot may give an endpoint as its UID, in characters. */
const UID_MAX = SNAPSHOT_LIMITS.textCharacters;
const HELLO_SETTINGS_MAX = 64;
const SETTING_NAME_MAX = 80;
const SETTING_TEXT_MAX = 2048;
const INCARNATION_MAX = 64;
const PATTERN_MAX = 1024;
const TTL_MAX = 0x7fff_ffff;
/** Some hundred years: a later time is no time since boot, and none that could be shown as a date. */
const TIME_MAX_MS = 2 ** 43;

export function mappingToWire(mapping: Mapping): WireMapping {
  return {
    endpointUid: mapping.endpointUid,
    name: mapping.name,
    address: viewOf(addressToBytes(mapping.address)),
    lookupMs: mapping.lookupMs,
    ttlSeconds: mapping.ttlSeconds,
    expiryMs: mapping.expiryMs,
  };
}

/** The same bytes, not a copy. */
function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

export function exchangeToWire(message: ExchangeMessage): WireExchangeMessage {
  switch (message.kind) {
    case 'changes': {
      const { sequence, revision, mappings, cleans } = message;
      return {
        $case: 'changes',
        value: { sequence: BigInt(sequence), revision: BigInt(revision), mappings: mappings.map(mappingToWire), cleans: cleans.map(cleanToWire) },
      };
    }
    case 'ack':
      return { $case: 'changesAck', value: { sequence: BigInt(message.sequence) } };
    case 'digests':
      return { $case: 'digests', value: { pass: message.pass, words: Array.from(message.words) } };
    case 'buckets':
      return { $case: 'buckets', value: { pass: message.pass, buckets: [...message.buckets] } };
  }
}

/** @throws AppError LINK for what does not fit the stated shape or limits. */
export function exchangeFromWire(message: WireExchangeMessage): ExchangeMessage {
  switch (message.$case) {
    case 'changes':
      return changesFromWire(message.value);
    case 'changesAck':
      return { kind: 'ack', sequence: count('sequence', message.value.sequence) };
    case 'digests': {
      const { pass, words } = message.value;
      if (words.length !== DIGEST_WORDS) throw refused('words', `${words.length} words`, `${DIGEST_WORDS}`);
      return { kind: 'digests', pass, words };
    }
    case 'buckets': {
      const { pass, buckets } = message.value;
      if (buckets.length > BUCKETS) throw refused('buckets', `${buckets.length} buckets`, `at most ${BUCKETS}`);
      return { kind: 'buckets', pass, buckets };
    }
  }
}

function changesFromWire(message: Changes): ExchangeMessage {
  const { mappings, cleans } = message;
  const items = mappings.length + cleans.length;
  if (items > MAPPINGS_PER_MESSAGE) throw refused('changes', `${items} in one message`, `at most ${MAPPINGS_PER_MESSAGE}`);
  if (cleans.length > CLEANS_PER_MESSAGE) throw refused('cleans', `${cleans.length} in one message`, `at most ${CLEANS_PER_MESSAGE}`);
  return {
    kind: 'changes',
    sequence: count('sequence', message.sequence),
    revision: count('revision', message.revision),
    mappings: mappings.map(mappingFromWire),
    cleans: cleans.map(cleanFromWire),
  };
}

function cleanToWire(clean: Clean): WireClean {
  return { matchPattern: clean.matchPattern ?? '', endpointUid: clean.endpointUid ?? '', atMs: clean.atMs };
}

function cleanFromWire(clean: WireClean): Clean {
  const { matchPattern, endpointUid } = clean;
  if (matchPattern !== '') {
    if (matchPattern.length > PATTERN_MAX) throw refused('match_pattern', `${matchPattern.length} characters long`, `at most ${PATTERN_MAX}`);
    const admission = admitMatchPattern(matchPattern);
    if (!admission.ok) throw refused('match_pattern', JSON.stringify(matchPattern.slice(0, 80)), `a pattern: this one ${admission.reason}`);
  }
  if (endpointUid.length > UID_MAX) throw refused('endpoint_uid', `${endpointUid.length} characters long`, `at most ${UID_MAX}`);
  if (!isTime(clean.atMs)) throw refused('at_ms', String(clean.atMs), 'a time since boot');
  return {
    matchPattern: matchPattern === '' ? null : matchPattern,
    endpointUid: endpointUid === '' ? null : endpointUid,
    atMs: monoMs(clean.atMs),
  };
}

/** Fields of a Hello by which the members agree on a version. */
export function versionsToWire(versions: ProtocolVersions = PROTOCOL_VERSIONS): Pick<Hello, 'protocol' | 'protocolMin'> {
  return { protocol: versions.max, protocolMin: versions.min };
}

/** The highest version that both speak. @throws AppError LINK when there is none. */
export function commonVersion(hello: Pick<Hello, 'protocol' | 'protocolMin'>, own: ProtocolVersions = PROTOCOL_VERSIONS): number {
  const peer = { min: hello.protocolMin === 0 ? hello.protocol : hello.protocolMin, max: hello.protocol };
  const common = Math.min(own.max, peer.max);
  if (common >= own.min && common >= peer.min && peer.min >= 1) return common;
  throw refused('protocol', versionsText(peer), `${versionsText(own)}: update the older member`);
}

function versionsText({ min, max }: ProtocolVersions): string {
  return min === max ? `version ${max}` : `versions ${min} to ${max}`;
}

/** Returns the version that the pair uses. @throws AppError LINK for what does not fit. */
export function checkHello(hello: Hello, expectedRole: string): number {
  const version = commonVersion(hello);
  if (hello.role !== expectedRole) throw refused('role', JSON.stringify(hello.role), expectedRole);
  if (hello.incarnation === '' || hello.incarnation.length > INCARNATION_MAX) {
    throw refused('incarnation', `${hello.incarnation.length} characters long`, `1 to ${INCARNATION_MAX}`);
  }
  const settings = Object.entries(hello.verdictSettings);
  if (settings.length > HELLO_SETTINGS_MAX) throw refused('verdict_settings', `${settings.length} settings`, `at most ${HELLO_SETTINGS_MAX}`);
  const long = settings.find(([name, text]) => name.length > SETTING_NAME_MAX || text.length > SETTING_TEXT_MAX);
  if (long !== undefined) throw refused('verdict_settings', `longer for ${JSON.stringify(long[0].slice(0, 80))}`, `${SETTING_TEXT_MAX} characters`);
  if (hello.seen.length > SEEN_MAX) throw refused('seen', `${hello.seen.length} incarnations`, `at most ${SEEN_MAX}`);
  return version;
}

export function seenToWire(vector: readonly SeenRevision[]): Hello['seen'] {
  return vector.map(({ incarnation, revision }) => ({ incarnation, revision: BigInt(revision) }));
}

/** What the peer has seen of an incarnation's changes; null: none of them. @throws AppError LINK for a number that is none. */
export function seenOf(hello: Hello, incarnation: string): number | null {
  const seen = hello.seen.find((one) => one.incarnation === incarnation);
  return seen === undefined ? null : count('seen', seen.revision);
}

/** When the policy source was last heard, as the peer knows it; null: it does not. @throws AppError LINK for a time that is none. */
export function heardMsOf({ heardMs }: SourceHeard): number | null {
  if (heardMs === undefined) return null;
  if (!isTime(Math.abs(heardMs))) throw refused('heard_ms', String(heardMs), 'a time since boot, or before it');
  return heardMs;
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

function count(field: string, value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw refused(field, String(value), `at most ${Number.MAX_SAFE_INTEGER}`);
  return Number(value);
}

function isTime(ms: number): boolean {
  return ms >= 0 && ms <= TIME_MAX_MS;
}

function refused(field: string, value: string, allowed: string): AppError {
  return new AppError('LINK', `the peer's ${field} is ${value}, allowed is ${allowed}`, { details: { field } });
}
