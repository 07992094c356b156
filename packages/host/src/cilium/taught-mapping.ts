/**
 * What a DNS proxy of Cilium's contract says it has learned → mappings of an endpoint of this node. A pure function of one message and
 * the snapshot.
 *
 * Invariant: nothing is learned in part: a message with one address that cannot be read is refused as a whole. What is said of a query
 * that was refused, failed, or got no address teaches nothing, and is no fault.
 */
import { type EndpointRecord, type Mapping, type MonoMs, monoMs, type Snapshot } from '@tandem/core';
import { nameFromString, nameToString, RCODE } from '@tandem/dns';
import { fqdnPb } from '@tandem/proto';
import { hasLimits } from './snapshot-state.js';
import { addressOfText } from './wire-addresses.js';

/** As Cilium's own bound per name. */
const ADDRESSES_MAX = 1000;
/** As of answers that are learned here: a longer one counts as a week (RFC 8767 §4), one with its highest bit set as 0 (RFC 2181 §8). */
const TTL_USED_MAX = 604_800;
const TTL_MAX = 0x7fff_ffff;

export type Taught =
  | { readonly mappings: readonly Mapping[] }
  | { readonly response: fqdnPb.ResponseCode; readonly reason: string };

export interface TaughtAbout {
  readonly snapshot: Snapshot | null;
  readonly nowMs: MonoMs;
  readonly minTtlSeconds: number;
}

const { ERROR_ENDPOINT_NOT_FOUND, ERROR_INVALID_ARGUMENT, REFUSED } = fqdnPb.ResponseCode;

export function taughtMapping(message: fqdnPb.FQDNMapping, { snapshot, nowMs, minTtlSeconds }: TaughtAbout): Taught {
  const { fqdn, recordIp, sourceIp, ttl } = message;
  const source = addressOfText(sourceIp);
  if (source === null) return refusal(ERROR_INVALID_ARGUMENT, 'source_ip is no address');
  const name = canonicalName(fqdn);
  if (name === null) return refusal(ERROR_INVALID_ARGUMENT, 'fqdn is no DNS name');
  if (recordIp.length > ADDRESSES_MAX) return refusal(ERROR_INVALID_ARGUMENT, `record_ip has ${recordIp.length} entries; the limit is ${ADDRESSES_MAX}`);
  const addresses = new Set<string>();
  for (const bytes of recordIp) {
    const address = addressOfText(bytes);
    if (address === null) return refusal(ERROR_INVALID_ARGUMENT, 'record_ip has an entry that is no address');
    addresses.add(address);
  }
  const endpoint = endpointAt(snapshot, source);
  if (snapshot === null || endpoint === null) return refusal(ERROR_ENDPOINT_NOT_FOUND, `${source} is no endpoint of this node`);
  if (!teaches(message)) return { mappings: [] };
  if (endpoint.ruleSet !== null && hasLimits(snapshot.ruleSets[endpoint.ruleSet].limits)) return refusal(REFUSED, `${source} has limits that only this agent's own proxies know`);
  const ttlSeconds = Math.max(ttl > TTL_MAX ? 0 : Math.min(ttl, TTL_USED_MAX), minTtlSeconds);
  return {
    mappings: [...addresses].map((address) => ({ endpointUid: endpoint.uid, name, address, lookupMs: nowMs, ttlSeconds, expiryMs: monoMs(nowMs + ttlSeconds * 1000) })),
  };
}

/** An answer that was passed on. Whether an error is said as a bool or as a kind, and of what kind, makes no difference. */
function teaches({ responseCode, metricsData }: fqdnPb.FQDNMapping): boolean {
  if (responseCode !== RCODE.noError) return false;
  if (metricsData === undefined) return true;
  const { allowed, errorMessage, errorKind, dnsResponseData } = metricsData;
  return allowed && errorKind === 0 && errorMessage === '' && dnsResponseData?.isResponse !== false;
}

function endpointAt(snapshot: Snapshot | null, address: string): EndpointRecord | null {
  return snapshot?.endpoints.find(({ addresses }) => addresses.includes(address)) ?? null;
}

/** Lower case, with its final dot. */
function canonicalName(text: string): string | null {
  const wire = nameFromString(text);
  return wire === null ? null : nameToString(wire, 0, 0, wire.length);
}

function refusal(response: fqdnPb.ResponseCode, reason: string): Taught {
  return { response, reason };
}
