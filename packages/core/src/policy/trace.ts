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
import { coveringRules, type Target } from './covering.js';
import { ALLOW_NO_POLICY, type PolicyIndex, type ServerRow } from './decide.js';
import {
  FIRST_CIDR_IDENTITY, FIRST_POD_IDENTITY, PROTOCOL, RESERVED_IDENTITY, type EndpointRecord, type PolicyRule, type Protocol, type RuleOrigin,
} from './snapshot.js';
import { matchingPattern, nearestQuestion, sortedNear, type TracedName, type TraceNear } from './trace-near.js';

export interface TraceRequest {
  /** `namespace/pod`, a pod name alone where only one pod has it, or an address. */
  readonly from: string;
  /** Address of the DNS server as policy sees it. */
  readonly server: string;
  readonly port: number;
  readonly protocol: Protocol;
  /** Presentation form, with or without the final dot. */
  readonly name: string;
  /** DNS type, as a number. */
  readonly type: number;
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
  /**
   * `no-policy`: no egress policy closes the endpoint. `denied-by-rule`: whatever allows it. `unknown-endpoint`: the address is no
   * local pod's.
   */
  readonly reason: 'rule' | 'no-policy' | 'no-rule' | 'denied-by-rule' | 'unknown-endpoint';
  readonly endpoint: EndpointRecord | null;
  readonly server: TraceServer;
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
  /** Lower case, with its final dot. */
  readonly name: string;
  /** The rule that allows, or denies; null where none does. */
  readonly rule: { readonly origin: RuleOrigin; /** null: the rule speaks of no name. */ readonly pattern: string | null } | null;
  /** On a refusal or audit: rules of the endpoint and what each lacked, nearest first; at most `TRACE_NEAR_MAX`. */
  readonly near: readonly TraceNear[];
  /**
   * On a refusal or audit: the policies' specs that close the endpoint's egress, at most `TRACE_DENYING_MAX`. Empty for a known
   * endpoint where `--enable-policy always` alone closes it.
   */
  readonly deniedBy: readonly RuleOrigin[];
  /** The endpoint's egress is open but for what its rules say. */
  readonly isOpen: boolean;
  readonly revision: number;
}

export const TRACE_DENYING_MAX = 20;

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
  view.type = request.type;
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
    isOpen: false,
  };
  if (row < 0) return { ...base, verdict: 'refused', reason: 'unknown-endpoint' };
  const verdict = index.decide(row, serverRow, request.port, request.protocol, wire, view);
  if (verdict === ALLOW_NO_POLICY) return { ...base, verdict: 'allowed', reason: 'no-policy' };
  const { rules, openByDefault } = index.snapshot.ruleSets[index.endpoint(row).ruleSet!];
  if (verdict >= 0) {
    const rule = { origin: rules[verdict].origin, pattern: matchingPattern(rules[verdict], wire, view) };
    return { ...base, verdict: 'allowed', reason: 'rule', rule };
  }
  const asked: TracedName = { wire, view, name: base.name };
  const denial = denialOf(rules, targets, request.protocol, asked);
  if (denial !== null) return { ...base, verdict: 'refused', reason: 'denied-by-rule', rule: denial };
  const near = sortedNear(rules.flatMap((rule) => nearestQuestion(rule, targets, request.protocol, asked) ?? []));
  return { ...base, verdict: 'refused', reason: 'no-rule', near, deniedBy: closing(index, row, 'egress'), isOpen: openByDefault === true };
}

/** The first rule that denies one of the targets, or the name there. */
function denialOf(rules: readonly PolicyRule[], targets: readonly Target[], protocol: Protocol, asked: TracedName): TraceResult['rule'] {
  for (const target of targets) {
    for (const index of coveringRules(rules, target, protocol)) {
      const rule = rules[index];
      if (rule.deny !== true) continue;
      if (rule.dnsPatterns === null) return { origin: rule.origin, pattern: null };
      const pattern = matchingPattern(rule, asked.wire, asked.view);
      if (pattern !== null) return { origin: rule.origin, pattern };
    }
  }
  return null;
}

/** The specs that close a direction of the endpoint, at most `TRACE_DENYING_MAX`. */
export function closing(index: PolicyIndex, row: number, direction: 'egress' | 'ingress'): RuleOrigin[] {
  const { id } = index.endpoint(row);
  const found: RuleOrigin[] = [];
  for (const { kind, namespace, name, specs } of index.snapshot.policies) {
    for (const { path, endpoints, ...spec } of specs) {
      if (found.length === TRACE_DENYING_MAX) return found;
      const isClosed = direction === 'egress' ? spec.defaultDeny : (spec.ingress?.defaultDeny ?? false);
      if (isClosed && endpoints.includes(id)) found.push({ kind, namespace, name, path });
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

/** Row of the local pod with this address or name, or −1 for another address. @throws AppError NOT_FOUND, USAGE. */
export function findEndpoint(index: PolicyIndex, from: string): number {
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

/** `source:key=value` of everything with this identity. */
export function labelsOf(index: PolicyIndex, identity: number): readonly string[] {
  const { identities, cidrs } = index.snapshot;
  if (identity === RESERVED_IDENTITY.world) return ['reserved:world='];
  if (identity < FIRST_CIDR_IDENTITY) {
    return identities.find((one) => one.identity === identity)?.labels ?? [identity === RESERVED_IDENTITY.host ? 'reserved:host=' : 'reserved:unknown='];
  }
  const record = cidrs?.find((one) => one.identity === identity);
  return record === undefined ? ['reserved:unknown='] : [`cidr:${record.cidr}=`, ...(record.labels ?? []), 'reserved:world='];
}

export function describeServer(index: PolicyIndex, address: string, row: ServerRow, targets: readonly Target[]): TraceServer {
  const { services } = index.snapshot;
  const [identity] = row.identities;
  let kind: TraceServer['kind'] = 'pod';
  if (row.services.length > 0) kind = 'service';
  else if (identity === RESERVED_IDENTITY.world || identity >= FIRST_CIDR_IDENTITY) kind = 'world';
  else if (identity < FIRST_POD_IDENTITY) kind = 'host';
  return {
    address,
    kind,
    services: row.services.map((at) => `${services[at].namespace}/${services[at].name}`),
    targets: targets.map(({ identity, ports }) => ({ identity, labels: labelsOf(index, identity), ports })),
  };
}
