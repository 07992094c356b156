/**
 * What a Cilium agent says of policy → a snapshot. A pure function of one message, for each message says all there is.
 *
 * | The state | here |
 * |---|---|
 * | an endpoint without a row | may ask nothing: it would not be asked of the proxy otherwise |
 * | a row of an endpoint that is not listed | says nothing: nobody has its address |
 * | a row without names, or without servers; a server with identity 0 (a rule that selects nobody), or of another protocol | allows nothing |
 * | an address that two endpoints have | is no endpoint's, and as a server it is both |
 * | an empty name | matches nothing; a row with no other allows nothing |
 * | an endpoint that is listed under identity 0 (it is still being created) | may ask nothing, whatever its rows; no rule selects it |
 * | an endpoint that is listed under two identities | is shown with the larger one; as a server it is both |
 * | an address in no prefix | is the world (2, or 9 and 10 by its family where rules name these) |
 * | a prefix of two identities, or of identity 0 | is nobody's: no rule selects it |
 *
 * Invariant: what cannot be read, in one place, refuses the state as a whole: half a policy is another policy. The same content in
 * another order is the same snapshot. It does not know connections, nor the snapshot before.
 */
import {
  admitMatchPattern, AppError, asGiven, type CidrRecord, type ContestedAddress, type DnsPattern, type EndpointRecord, L4_PROTOCOL, type L4Protocol, type PolicyRule,
  RESERVED_IDENTITY, type RuleOrigin, type RuleSet, ruleSetKey, type Snapshot, snapshotHash, validateSnapshot,
} from '@tandem/core';
import type { fqdnPb } from '@tandem/proto';
import { sha256 } from '../state/sha256.js';
import { addressOfRaw, prefixOf } from './wire-addresses.js';

/** Cilium's endpoints have numbers of 16 bits. */
const ENDPOINT_ID_MAX = 65_535;
const PORT_MAX = 65_535;
/** Cilium gives an endpoint one address of each family. */
const ADDRESSES_PER_ENDPOINT_MAX = 16;
/** No rule names it; Cilium's numbers have 24 bits and one. */
const NOBODY = 0xffff_ffff;
/** Where Cilium tells the world's families apart. */
const WORLD_OF_FAMILY = [{ identity: 9, cidr: '0.0.0.0/0' }, { identity: 10, cidr: '::/0' }] as const;
/** No object has this name: the agent does not say which of its policies a rule is of. */
const ORIGIN: RuleOrigin = { kind: 'CiliumClusterwideNetworkPolicy', namespace: '', name: '(of the Cilium agent)', path: 'egress_l7_dns_policy' };

export interface StateAbout {
  readonly nodeName: string;
  readonly revision: number;
}

interface Endpoint {
  readonly id: number;
  identity: number;
  readonly addresses: Set<string>;
}

/** @throws AppError SNAPSHOT_REFUSED, with the field that cannot be read. */
export function snapshotOfState(state: fqdnPb.PolicyState, { nodeName, revision }: StateAbout): Snapshot {
  const endpoints = endpointsOf(state.identityToEndpointMapping);
  const claims = claimsOf(endpoints, state);
  const tools = { sha256, texts: new WeakMap() };
  const setOf = ruleSetsOf(state.egressL7DnsPolicy);
  const sets = new Map<string, RuleSet>();
  const keyOf = new Map<number, string>();
  for (const { id, identity } of endpoints) {
    const rules = identity === NOBODY ? [] : setOf(id);
    const key = ruleSetKey({ rules }, tools);
    keyOf.set(id, key);
    sets.set(key, { key, rules });
  }
  const ruleSets = [...sets.values()].sort((a, b) => compare(a.key, b.key));
  const rowOf = new Map(ruleSets.map(({ key }, row) => [key, row]));
  const content: Omit<Snapshot, 'revision' | 'hash'> = {
    nodeName,
    endpoints: endpoints.map((one) => endpointRecord(one, claims, rowOf.get(keyOf.get(one.id)!)!)),
    ...peersOf(claims, ruleSets),
    services: [],
    ruleSets,
    fqdnSelectors: [],
    policies: [],
  };
  return validateSnapshot({ revision, hash: snapshotHash(content, tools), ...content }, sha256, 'foreign');
}

/** By number. */
function endpointsOf(mappings: readonly fqdnPb.IdentityToEndpointMapping[]): Endpoint[] {
  const byId = new Map<number, Endpoint>();
  mappings.forEach(({ identity, endpointInfo }, m) => endpointInfo.forEach(({ id: number, ip }, e) => {
    const at = `identity_to_endpoint_mapping[${m}].endpoint_info[${e}]`;
    if (number < 1n || number > BigInt(ENDPOINT_ID_MAX)) refuse(at, `has the number ${number}; allowed are 1 to ${ENDPOINT_ID_MAX}`);
    if (ip.length > ADDRESSES_PER_ENDPOINT_MAX) refuse(at, `has ${ip.length} addresses; the limit is ${ADDRESSES_PER_ENDPOINT_MAX}`);
    const id = Number(number);
    let endpoint = byId.get(id);
    if (endpoint === undefined) byId.set(id, (endpoint = { id, identity: someIdentity(identity), addresses: new Set() }));
    endpoint.identity = Math.max(endpoint.identity, someIdentity(identity));
    for (const bytes of ip) endpoint.addresses.add(addressOfRaw(bytes) ?? refuse(`${at}.ip`, `has ${shown(bytes)}, which is no address`));
  }));
  return [...byId.values()].sort((a, b) => a.id - b.id);
}

interface Claims {
  /** Of an address: identities, and the endpoints among them. */
  readonly identities: ReadonlyMap<string, ReadonlySet<number>>;
  readonly endpoints: ReadonlyMap<string, number>;
  /** Of a prefix that is more than one address. */
  readonly prefixes: ReadonlyMap<string, ReadonlySet<number>>;
}

function claimsOf(endpoints: readonly Endpoint[], { identityToEndpointMapping, identityToPrefixMapping }: fqdnPb.PolicyState): Claims {
  const identities = new Map<string, Set<number>>();
  const prefixes = new Map<string, Set<number>>();
  const owners = new Map<string, number>();
  for (const { addresses } of endpoints) for (const address of addresses) owners.set(address, (owners.get(address) ?? 0) + 1);
  for (const { identity, endpointInfo } of identityToEndpointMapping) {
    for (const { ip } of endpointInfo) for (const bytes of ip) claim(identities, addressOfRaw(bytes)!, someIdentity(identity));
  }
  identityToPrefixMapping.forEach(({ identity, prefix }, m) => {
    for (const bytes of prefix) {
      const cidr = prefixOf(bytes) ?? refuse(`identity_to_prefix_mapping[${m}].prefix`, `has ${shown(bytes)}, which is no prefix`);
      const isSingle = cidr.endsWith(cidr.includes(':') ? '/128' : '/32');
      // No shorter prefix must stand in for it.
      claim(isSingle ? identities : prefixes, isSingle ? cidr.slice(0, cidr.indexOf('/')) : cidr, someIdentity(identity));
    }
  });
  return { identities, endpoints: owners, prefixes };
}

function someIdentity(identity: number): number {
  return identity === 0 ? NOBODY : identity;
}

function claim(claims: Map<string, Set<number>>, key: string, identity: number): void {
  const known = claims.get(key);
  if (known === undefined) claims.set(key, new Set([identity]));
  else known.add(identity);
}

function endpointRecord({ id, identity, addresses }: Endpoint, { endpoints }: Claims, ruleSet: number): EndpointRecord {
  const own = [...addresses].sort(compare);
  return {
    id,
    // Another endpoint may get the number, or the address, of one that is gone; both at once only the same again.
    uid: `cilium-endpoint/${id}/${own.join(',')}`,
    namespace: '',
    pod: `endpoint-${id}`,
    identity,
    addresses: own.filter((address) => endpoints.get(address) === 1),
    ruleSet,
  };
}

/** Who is where, as a DNS server. */
function peersOf({ identities, prefixes }: Claims, ruleSets: readonly RuleSet[]): Pick<Snapshot, 'identities' | 'contested' | 'cidrs'> {
  const byIdentity = new Map<number, string[]>([[RESERVED_IDENTITY.world, []]]);
  const contested: ContestedAddress[] = [];
  for (const [address, claimants] of identities) {
    const numbers = [...claimants].sort((a, b) => a - b);
    if (numbers.length > 1) {
      contested.push({ address, identities: numbers });
      continue;
    }
    const list = byIdentity.get(numbers[0]);
    if (list === undefined) byIdentity.set(numbers[0], [address]);
    else list.push(address);
  }
  const cidrs = cidrRecords(prefixes, ruleSets);
  return {
    identities: [...byIdentity].sort(([a], [b]) => a - b).map(([identity, addresses]) => ({ identity, labels: labelsOf(identity), addresses: addresses.sort(compare) })),
    ...(contested.length === 0 ? {} : { contested: contested.sort((a, b) => compare(a.address, b.address)) }),
    ...(cidrs.length === 0 ? {} : { cidrs }),
  };
}

function cidrRecords(prefixes: Claims['prefixes'], ruleSets: readonly RuleSet[]): CidrRecord[] {
  const records: CidrRecord[] = [];
  for (const [cidr, claimants] of prefixes) {
    records.push({ identity: claimants.size === 1 ? [...claimants][0] : NOBODY, cidr });
  }
  const named = new Set(ruleSets.flatMap(({ rules }) => rules.flatMap((rule) => rule.identities ?? [])));
  for (const { identity, cidr } of WORLD_OF_FAMILY) if (named.has(identity) && !prefixes.has(cidr)) records.push({ identity, cidr });
  return records.sort((a, b) => compare(a.cidr, b.cidr));
}

/** The agent says numbers alone; but what the reserved ones are is known. */
function labelsOf(identity: number): string[] {
  switch (identity) {
    case RESERVED_IDENTITY.host: return ['reserved:host='];
    case RESERVED_IDENTITY.world: return ['reserved:world='];
    case RESERVED_IDENTITY.unmanaged: return ['reserved:unmanaged='];
    case RESERVED_IDENTITY.remoteNode: return ['reserved:remote-node='];
    case RESERVED_IDENTITY.kubeApiserver: return ['reserved:kube-apiserver='];
    default: return [];
  }
}

/** All rows are read, also those of endpoints that are not listed. */
function ruleSetsOf(rows: readonly fqdnPb.DNSPolicy[]): (endpointId: number) => PolicyRule[] {
  const byEndpoint = new Map<number, Map<string, PolicyRule>>();
  rows.forEach((row, r) => {
    const rules = rulesOf(row, `egress_l7_dns_policy[${r}]`);
    let known = byEndpoint.get(row.sourceEndpointId);
    if (known === undefined) byEndpoint.set(row.sourceEndpointId, (known = new Map<string, PolicyRule>()));
    for (const rule of rules) known.set(JSON.stringify(rule), rule);
  });
  return (endpointId) => [...(byEndpoint.get(endpointId) ?? [])].sort(([a], [b]) => compare(a, b)).map(([, rule]) => rule);
}

/** One for each port and protocol. */
function rulesOf({ dnsPattern, dnsServers }: fqdnPb.DNSPolicy, at: string): PolicyRule[] {
  const dnsPatterns = patternsOf(dnsPattern, `${at}.dns_pattern`);
  const byPort = new Map<string, { readonly port: number; readonly protocol: L4Protocol; readonly identities: Set<number> }>();
  for (const { dnsServerIdentity, dnsServerPort: port, dnsServerProto } of dnsServers) {
    if (port > PORT_MAX) refuse(`${at}.dns_servers`, `has the port ${port}`);
    const protocol = Object.values(L4_PROTOCOL).find((one) => one === dnsServerProto);
    if (dnsServerIdentity === 0 || dnsServerIdentity === NOBODY || protocol === undefined) continue;
    const key = `${port}/${protocol}`;
    let group = byPort.get(key);
    if (group === undefined) byPort.set(key, (group = { port, protocol, identities: new Set() }));
    group.identities.add(dnsServerIdentity);
  }
  if (dnsPatterns.length === 0) return [];
  return [...byPort.values()].map(({ port, protocol, identities }) => ({
    identities: [...identities].sort((a, b) => a - b), fqdns: [], ports: [{ first: port, last: port, protocol }], dnsPatterns, origin: ORIGIN,
  }));
}

function patternsOf(texts: readonly string[], at: string): DnsPattern[] {
  const admitted = texts.filter((text) => text !== '').map((text) => {
    const admission = admitMatchPattern(asGiven(text));
    return admission.ok ? admission.text : refuse(at, `${JSON.stringify(text.slice(0, 80))} ${admission.reason}`);
  });
  return [...new Set(admitted)].sort(compare).map((matchPattern) => ({ matchName: null, matchPattern }));
}

function shown(bytes: Uint8Array): string {
  return `${bytes.length} bytes (${Buffer.from(bytes.subarray(0, 20)).toString('hex')})`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function refuse(at: string, reason: string): never {
  throw new AppError('SNAPSHOT_REFUSED', `the policy state is refused: ${at} ${reason}`, { details: { field: at } });
}
