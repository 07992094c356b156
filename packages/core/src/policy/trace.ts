/**
 * Why is this query allowed or refused? The verdict is `decide`'s own; around it stands what a person needs: who asks, what
 * the server is, which rule and pattern decided, and on a refusal what each rule lacked, the nearest first.
 *
 * Shape: plain JSON, part of the stable output of `tandem policy trace -o json`.
 * `trace` judges by policy alone; `underSettings` puts the member's `--unknown-endpoint` and `--policy-audit-mode` on top.
 */
import { QueryView, nameFromString, nameToString, scanName } from '@tandem/dns';
import { AppError } from '../base/app-error.js';
import { canonicalAddress } from '../base/socket-address.js';
import { wordsOfAddress } from './address-table.js';
import { ALLOW_NO_POLICY, coversPort, selectsIdentity, type PolicyIndex, type ServerRow, type Target } from './decide.js';
import { NameTable } from './name-table.js';
import { patternsOf } from './pattern.js';
import {
  PROTOCOL,
  RESERVED_IDENTITY,
  type DnsPattern,
  type PolicyRule,
  type EndpointRecord,
  type Protocol,
  type RuleOrigin,
} from './snapshot.js';

export interface TraceRequest {
  /** `namespace/pod`, a pod name alone where only one pod has it, or an address. */
  readonly from: string;
  /** Address of the DNS server as policy sees it. */
  readonly server: string;
  readonly port: number;
  readonly protocol: Protocol;
  /** Presentation form, with or without the final dot. */
  readonly name: string;
}

/** What a rule lacked first, in the order in which rules are held against a query. */
export type TraceMiss = 'server' | 'port' | 'protocol' | 'name';

export interface TraceNear {
  readonly origin: RuleOrigin;
  readonly missed: TraceMiss;
  /** One sentence. */
  readonly explanation: string;
}

export interface TraceServer {
  readonly address: string;
  /** `service`: judged by its backends; `pod`: by its labels; `world`: no known pod or Service. */
  readonly kind: 'service' | 'pod' | 'host' | 'world';
  /** `namespace/name` of the Services at the address. */
  readonly services: readonly string[];
  /** What has to be allowed, each on its own. */
  readonly targets: readonly {
    readonly identity: number;
    readonly labels: readonly string[];
    /** A rule has to cover one of these. */
    readonly ports: readonly number[];
  }[];
}

export interface TraceResult {
  /** `audit`: would be refused, but `--policy-audit-mode` lets it pass. */
  readonly verdict: 'allowed' | 'refused' | 'audit';
  /** `no-policy`: no egress policy selects the endpoint. `unknown-endpoint`: the address is no local pod's. */
  readonly reason: 'rule' | 'no-policy' | 'no-rule' | 'unknown-endpoint';
  readonly endpoint: EndpointRecord | null;
  readonly server: TraceServer;
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
  /** Lower case, with its final dot. */
  readonly name: string;
  /** The rule that allows; null on a refusal or without policy. */
  readonly rule: { readonly origin: RuleOrigin; /** null: the rule allows any name. */ readonly pattern: string | null } | null;
  /** On a refusal or audit: rules of the endpoint and what each lacked, nearest first; at most `TRACE_NEAR_MAX`. */
  readonly near: readonly TraceNear[];
  /**
   * On a refusal or audit: the policies' specs that close the endpoint's egress, at most `TRACE_DENYING_MAX`. Empty for a known
   * endpoint where `--enable-policy always` alone closes it.
   */
  readonly deniedBy: readonly RuleOrigin[];
  readonly revision: number;
}

export const TRACE_NEAR_MAX = 20;
export const TRACE_DENYING_MAX = 20;

const MISS_DISTANCE: Readonly<Record<TraceMiss, number>> = { name: 0, protocol: 1, port: 2, server: 3 };

/** Throws AppError: NOT_FOUND for a pod that is no local endpoint, USAGE for a malformed address, port or name. */
export function trace(index: PolicyIndex, request: TraceRequest): TraceResult {
  const wire = nameFromString(request.name);
  if (wire === null) throw new AppError('USAGE', `"${request.name}" is not a DNS name`);
  const address = canonicalAddress(request.server);
  if (address === null) throw new AppError('USAGE', `"${request.server}" is not an address`);
  if (!Number.isInteger(request.port) || request.port < 0 || request.port > 65535) {
    throw new AppError('USAGE', `port ${request.port} is not in 0 to 65535`);
  }
  const view = new QueryView();
  scanName(wire, 0, wire.length, view);
  const row = findEndpoint(index, request.from);
  const serverRow = index.serverAt(wordsOfAddress(address), 0);
  const targets = index.targetsOf(serverRow, request.port, request.protocol);
  const base = {
    endpoint: row < 0 ? null : index.endpoint(row),
    server: describeServer(index, address, index.server(serverRow), targets),
    port: request.port,
    protocol: request.protocol === PROTOCOL.tcp ? ('tcp' as const) : ('udp' as const),
    name: nameToString(wire, 0, 0),
    revision: index.snapshot.revision,
    rule: null,
    near: [],
    deniedBy: [],
  };
  if (row < 0) return { ...base, verdict: 'refused', reason: 'unknown-endpoint' };
  const verdict = index.decide(row, serverRow, request.port, request.protocol, wire, view);
  if (verdict === ALLOW_NO_POLICY) return { ...base, verdict: 'allowed', reason: 'no-policy' };
  const { rules } = index.snapshot.ruleSets[index.endpoint(row).ruleSet!];
  if (verdict >= 0) {
    const rule = { origin: rules[verdict].origin, pattern: matchingPattern(rules[verdict], wire, view) };
    return { ...base, verdict: 'allowed', reason: 'rule', rule };
  }
  const near = rules.flatMap((rule) => nearest(rule, targets, request.protocol, { wire, view, name: base.name }) ?? []);
  near.sort((a, b) => MISS_DISTANCE[a.missed] - MISS_DISTANCE[b.missed]);
  return { ...base, verdict: 'refused', reason: 'no-rule', near: near.slice(0, TRACE_NEAR_MAX), deniedBy: denying(index, row) };
}

function denying(index: PolicyIndex, row: number): RuleOrigin[] {
  const { id } = index.endpoint(row);
  const found: RuleOrigin[] = [];
  for (const { kind, namespace, name, specs } of index.snapshot.policies) {
    for (const { path, defaultDeny, endpoints } of specs) {
      if (found.length === TRACE_DENYING_MAX) return found;
      if (defaultDeny && endpoints.includes(id)) found.push({ kind, namespace, name, path });
    }
  }
  return found;
}

export interface TraceSettings {
  readonly unknownEndpoint: 'refuse' | 'allow';
  readonly auditMode: boolean;
}

/** What the member does with such a query: the settings' say on top of policy's. */
export function underSettings(result: TraceResult, settings: TraceSettings): TraceResult {
  if (result.verdict !== 'refused') return result;
  if (result.reason === 'unknown-endpoint' && settings.unknownEndpoint === 'allow') return { ...result, verdict: 'allowed' };
  return settings.auditMode ? { ...result, verdict: 'audit' } : result;
}

function findEndpoint(index: PolicyIndex, from: string): number {
  const address = canonicalAddress(from);
  if (address !== null) return index.endpointAt(wordsOfAddress(address), 0);
  const rows = index.snapshot.endpoints.flatMap(({ namespace, pod }, row) =>
    from === `${namespace}/${pod}` || from === pod ? [row] : [],
  );
  if (rows.length === 1) return rows[0];
  if (rows.length === 0) {
    throw new AppError('NOT_FOUND', `no local pod is called "${from}"; give namespace/pod or an address`);
  }
  throw new AppError('USAGE', `${rows.length} local pods are called "${from}"; give namespace/pod`);
}

function describeServer(index: PolicyIndex, address: string, row: ServerRow, targets: readonly Target[]): TraceServer {
  const { identities, services } = index.snapshot;
  const labelsOf = (identity: number): readonly string[] =>
    identity === RESERVED_IDENTITY.world
      ? ['reserved:world=']
      : (identities.find((one) => one.identity === identity)?.labels ?? ['reserved:unknown=']);
  let kind: TraceServer['kind'] = 'pod';
  if (row.services.length > 0) kind = 'service';
  else if (row.identity === RESERVED_IDENTITY.world) kind = 'world';
  else if (row.identity === RESERVED_IDENTITY.host || row.identity === RESERVED_IDENTITY.remoteNode) kind = 'host';
  return {
    address,
    kind,
    services: row.services.map((at) => `${services[at].namespace}/${services[at].name}`),
    targets: targets.map(({ identity, ports }) => ({ identity, labels: labelsOf(identity), ports })),
  };
}

interface TracedName {
  readonly wire: Uint8Array;
  readonly view: QueryView;
  readonly name: string;
}

/** What the rule lacks for the first target that it does not allow; null if it allows them all. */
function nearest(rule: PolicyRule, targets: readonly Target[], protocol: Protocol, name: TracedName): TraceNear | null {
  const { origin } = rule;
  for (const target of targets) {
    const ports = target.ports.join(' or ');
    if (!selectsIdentity(rule, target.identity)) {
      if (target.identity === RESERVED_IDENTITY.unknown) {
        return { origin, missed: 'server', explanation: 'the Service leads to no backend at this port and protocol' };
      }
      const why = rule.fqdns.length > 0 ? 'selects names to connect to (toFQDNs), no DNS server' : 'does not select the server';
      return { origin, missed: 'server', explanation: `the rule ${why} (identity ${target.identity})` };
    }
    const allowed = rule.ports.map(describeRange).join(', ');
    if (!coversPort(rule.ports, target.ports, PROTOCOL.tcp) && !coversPort(rule.ports, target.ports, PROTOCOL.udp)) {
      return { origin, missed: 'port', explanation: `the rule allows ${allowed}, the server's port is ${ports}` };
    }
    if (!coversPort(rule.ports, target.ports, protocol)) {
      const asked = protocol === PROTOCOL.tcp ? 'TCP' : 'UDP';
      return { origin, missed: 'protocol', explanation: `the rule allows ${allowed}, the query came by ${asked}` };
    }
  }
  if (rule.dnsPatterns === null || matchingPattern(rule, name.wire, name.view) !== null) return null;
  const names = rule.dnsPatterns.slice(0, 3).map(describePattern).join(', ');
  const more = rule.dnsPatterns.length > 3 ? ` and ${rule.dnsPatterns.length - 3} more` : '';
  return { origin, missed: 'name', explanation: `the rule allows ${names}${more}, not ${name.name}` };
}

/** Text of the first pattern of the rule that matches; null if the rule has none or none matches. */
function matchingPattern(rule: PolicyRule, wire: Uint8Array, view: QueryView): string | null {
  for (const one of rule.dnsPatterns ?? []) {
    for (const half of [{ ...one, matchPattern: null }, { ...one, matchName: null }]) {
      const table = NameTable.compile(patternsOf(half, 'dns').map((pattern) => ({ pattern, value: 0 })));
      if (table.match(wire, view) >= 0) return half.matchName ?? half.matchPattern;
    }
  }
  return null;
}

function describePattern({ matchName, matchPattern }: DnsPattern): string {
  const parts: string[] = [];
  if (matchName !== null) parts.push(`matchName ${matchName}`);
  if (matchPattern !== null) parts.push(`matchPattern ${matchPattern}`);
  return parts.join(' and ');
}

function describeRange({ first, last, protocol }: PolicyRule['ports'][number]): string {
  const ports = first === last ? String(first) : `${first}-${last}`;
  return `${ports}/${protocol === null ? 'ANY' : protocol === PROTOCOL.tcp ? 'TCP' : 'UDP'}`;
}
