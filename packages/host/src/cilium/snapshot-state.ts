/**
 * A snapshot → what a DNS proxy of Cilium's contract is told of policy. The contract says less than a snapshot does: rows of
 * (endpoint, names, servers by identity, port and protocol).
 *
 * Invariant: what is told never allows more than the snapshot. What the contract has no words for is left out, so that proxy refuses it:
 * names for certain DNS types, names that are denied at a server (the server goes, with all its names), endpoints with limits, ports beyond
 * those that rules name first. "Any server" is every identity that there is. A Service with a DNS port has an identity of its own, by which it is
 * judged as its backends are; addresses of other Services, and contested ones, are nobody's: they must not be taken for the world's.
 */
import {
  coveringRules, parsePrefix, type PolicyRule, PrefixTable, PROTOCOL, type QueryLimits, RESERVED_IDENTITY, type RuleSet, type ServicePort, type Snapshot, type Target,
  wordsOfAddress,
} from '@tandem/core';
import { addressToBytes, fqdnPb } from '@tandem/proto';

/** No row names it. */
const NOBODY = 0xffff_ffff;
const DNS_PORT = 53;
/** Per rule set. */
const PORTS_MAX = 16;
const ANY_NAME = '*';
const EVERYWHERE = ['0.0.0.0/0', '::/0'] as const;
const BITS = { v4: 32, v6: 128 } as const;

/** Tags, lengths and the least that a server's identity, port and protocol take. */
const SERVER_BYTES_MIN = 8;
/** Of an endpoint that no policy closes. */
const OPEN: Omit<RuleSet, 'key'> = { rules: [], openByDefault: true };

/** Identities of Services begin here, far above Cilium's and ours. */
const FIRST_SERVICE_IDENTITY = 0xf000_0000;

type Row = Omit<fqdnPb.DNSPolicy, 'sourceEndpointId'>;
type Mapping = fqdnPb.IdentityToPrefixMapping;

/** Addresses with the same ports and backends. */
interface ServiceServer {
  readonly identity: number;
  readonly addresses: string[];
  readonly ports: readonly ServicePort[];
}

/** Whom rows may name. */
interface Servers {
  readonly identities: readonly number[];
  readonly services: readonly ServiceServer[];
  /** Of a backend: all that it may be. */
  readonly identitiesAt: (address: string) => readonly number[];
}

/** Without a number; null: its rows alone are longer than `bytesMax`. They are added up first: each endpoint is told those of its rule set anew. */
export function stateOfSnapshot(snapshot: Snapshot, bytesMax: number): fqdnPb.PolicyState | null {
  const servers = serversOf(snapshot);
  const users = new Map<number | null, number>();
  for (const { ruleSet } of snapshot.endpoints) users.set(ruleSet, (users.get(ruleSet) ?? 0) + 1);
  const rowsBySet = new Map<number | null, readonly Row[]>();
  let leftBytes = bytesMax;
  for (const [ruleSet, count] of users) {
    const rows = rowsOf(ruleSet === null ? OPEN : snapshot.ruleSets[ruleSet], servers, Math.floor(leftBytes / count / SERVER_BYTES_MIN));
    if (rows === null) return null;
    leftBytes -= count * bytesOf(rows);
    if (leftBytes < 0) return null;
    rowsBySet.set(ruleSet, rows);
  }
  return {
    egressL7DnsPolicy: snapshot.endpoints.flatMap(({ id, ruleSet }) => rowsBySet.get(ruleSet)!.map((row) => ({ sourceEndpointId: id, ...row }))),
    requestId: '',
    identityToEndpointMapping: endpointMappings(snapshot),
    identityToPrefixMapping: prefixMappings(snapshot, servers),
  };
}

function bytesOf(rows: readonly Row[]): number {
  return rows.reduce((sum, row) => sum + fqdnPb.DNSPolicy.encode({ sourceEndpointId: 1, ...row }).finish().length, 0);
}

function serversOf({ identities, contested = [], cidrs = [], services }: Snapshot): Servers {
  const at = new Map<string, readonly number[]>(identities.flatMap(({ identity, addresses }) => addresses.map((address) => [address, [identity]] as const)));
  for (const one of contested) at.set(one.address, one.identities);
  const prefixes = new PrefixTable(cidrs.map(({ cidr }, row) => ({ prefix: parsePrefix(cidr)!, row })));
  const outside = (address: string): number[] => {
    const row = prefixes.find(wordsOfAddress(address), 0);
    return [row < 0 ? RESERVED_IDENTITY.world : cidrs[row].identity];
  };
  const portsAt = new Map<string, ServicePort[]>();
  for (const { addresses, ports } of services) for (const address of addresses) portsAt.set(address, [...(portsAt.get(address) ?? []), ...ports]);
  const byPorts = new Map<string, ServiceServer>();
  for (const [address, ports] of portsAt) {
    if (!ports.some(({ port }) => port === DNS_PORT)) continue;
    const key = JSON.stringify(ports);
    const known = byPorts.get(key);
    if (known === undefined) byPorts.set(key, { identity: FIRST_SERVICE_IDENTITY + byPorts.size, addresses: [address], ports });
    else known.addresses.push(address);
  }
  return {
    identities: [...new Set([RESERVED_IDENTITY.world, ...identities.map(({ identity }) => identity), ...cidrs.map(({ identity }) => identity)])],
    services: [...byPorts.values()],
    identitiesAt: (address) => at.get(address) ?? outside(address),
  };
}

/** A proxy that does not know them must not answer for them. */
export function hasLimits(limits: QueryLimits | undefined): boolean {
  if (limits === undefined) return false;
  const { queryRate, auditRate, labelEntropyBits, auditEntropy, privateNames } = limits;
  return (queryRate !== undefined && auditRate !== true) || (labelEntropyBits !== undefined && auditEntropy !== true) || privateNames !== undefined;
}

/** Identities that the same rules select get the same answer. null: with more than `serversMax` servers. */
function rowsOf(set: Omit<RuleSet, 'key'>, servers: Servers, serversMax: number): Row[] | null {
  if (hasLimits(set.limits)) return [];
  const byNames = new Map<string, Row>();
  let left = serversMax;
  const add = (names: readonly string[], identities: readonly number[], port: number, protocol: number): void => {
    if (names.length === 0) return;
    left -= identities.length;
    if (left < 0) return;
    const key = JSON.stringify(names);
    let row = byNames.get(key);
    if (row === undefined) byNames.set(key, (row = { dnsPattern: [...names], dnsServers: [] }));
    for (const identity of identities) row.dnsServers.push({ dnsServerIdentity: identity, dnsServerPort: port, dnsServerProto: protocol });
  };
  const groups = alike(set.rules, servers.identities);
  for (const port of portsOf(set.rules)) {
    for (const protocol of Object.values(PROTOCOL)) {
      for (const identities of groups) add(namesAt(set, { identity: identities[0], ports: [port] }, protocol), identities, port, protocol);
      for (const service of servers.services) add(namesThrough(set, targetsOf(service, port, protocol, servers), protocol), [service.identity], port, protocol);
    }
  }
  return left < 0 ? null : [...byNames.values()];
}

/** What has to be allowed for a Service to be; empty: the port leads nowhere. */
function targetsOf({ ports }: ServiceServer, port: number, protocol: number, { identitiesAt }: Servers): Target[] {
  return ports.filter((one) => one.port === port && one.protocol === protocol)
    .flatMap(({ backends }) => backends.flatMap((backend) => identitiesAt(backend.address).map((identity) => ({ identity, ports: [port, backend.port] }))));
}

/** Names that each target allows; where these differ, none: the contract has no words for "both". */
function namesThrough(set: Omit<RuleSet, 'key'>, targets: readonly Target[], protocol: number): readonly string[] {
  const lists = new Map(targets.map((target) => {
    const names = namesAt(set, target, protocol);
    return [JSON.stringify(names), names] as const;
  }));
  return lists.size === 1 ? [...lists.values()][0] : [];
}

function alike(rules: readonly PolicyRule[], everybody: readonly number[]): number[][] {
  const selecting = new Map<number, number[]>(everybody.map((identity) => [identity, []]));
  rules.forEach(({ identities }, index) => {
    for (const identity of identities ?? []) selecting.get(identity)?.push(index);
  });
  const groups = new Map<string, number[]>();
  for (const [identity, indexes] of selecting) {
    const group = groups.get(indexes.join());
    if (group === undefined) groups.set(indexes.join(), [identity]);
    else group.push(identity);
  }
  return [...groups.values()];
}

function portsOf(rules: readonly PolicyRule[]): number[] {
  const ports = new Set([DNS_PORT]);
  for (const { dnsPatterns, ports: ranges } of rules) if (dnsPatterns !== null) for (const { first } of ranges) ports.add(first);
  return [...ports].slice(0, PORTS_MAX);
}

/** As `PolicyIndex` judges one identity; empty: nothing may be asked there. */
function namesAt({ rules, openByDefault }: Omit<RuleSet, 'key'>, target: Target, protocol: number): string[] {
  const covering = coveringRules(rules, target, protocol).map((index) => rules[index]);
  if (covering.some(({ deny }) => deny === true)) return [];
  if (covering.length === 0) return openByDefault === true ? [ANY_NAME] : [];
  const names = new Set<string>();
  for (const { dnsPatterns, queryTypes } of covering) {
    if (queryTypes !== undefined) continue;
    if (dnsPatterns === null) names.add(ANY_NAME);
    for (const { matchName, matchPattern } of dnsPatterns ?? []) for (const text of [matchName, matchPattern]) if (text !== null) names.add(text);
  }
  return [...names].sort();
}

function endpointMappings({ endpoints }: Snapshot): fqdnPb.IdentityToEndpointMapping[] {
  const byIdentity = new Map<number, fqdnPb.EndpointInfo[]>();
  for (const { id, identity, addresses } of endpoints) {
    const info = { id: BigInt(id), ip: addresses.map((address) => Buffer.from(addressToBytes(address))) };
    const list = byIdentity.get(identity);
    if (list === undefined) byIdentity.set(identity, [info]);
    else list.push(info);
  }
  return [...byIdentity].map(([identity, endpointInfo]) => ({ identity, endpointInfo }));
}

function prefixMappings({ identities, contested = [], cidrs = [], services }: Snapshot, servers: Servers): Mapping[] {
  const at = new Map<string, number>();
  for (const { identity, addresses } of identities) for (const address of addresses) at.set(address, identity);
  for (const { address } of contested) at.set(address, NOBODY);
  for (const { addresses } of services) for (const address of addresses) at.set(address, NOBODY);
  for (const { identity, addresses } of servers.services) for (const address of addresses) at.set(address, identity);
  const prefixes = new Map<string, number>(EVERYWHERE.map((cidr) => [cidr, RESERVED_IDENTITY.world]));
  for (const { identity, cidr } of cidrs) prefixes.set(cidr, identity);
  for (const [address, identity] of at) prefixes.set(`${address}/${address.includes(':') ? BITS.v6 : BITS.v4}`, identity);
  const byIdentity = new Map<number, Buffer[]>();
  for (const [cidr, identity] of prefixes) {
    const list = byIdentity.get(identity);
    if (list === undefined) byIdentity.set(identity, [prefixBytes(cidr)]);
    else list.push(prefixBytes(cidr));
  }
  return [...byIdentity].map(([identity, prefix]) => ({ identity, prefix }));
}

function prefixBytes(cidr: string): Buffer {
  const { length } = parsePrefix(cidr)!;
  return Buffer.concat([addressToBytes(cidr.slice(0, cidr.indexOf('/'))), Buffer.from([length])]);
}
