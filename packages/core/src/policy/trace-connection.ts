/**
 * May this peer connect to that one? Both directions where both ends are local pods: what the first may reach, and who may reach the
 * second. Around each verdict stands what a person needs: the rule that decided, or what each rule lacked, the nearest first.
 *
 * Invariant: a rule that denies beats every rule that allows. Replies need no rule. This node itself (identity host) may reach its
 * pods unless a rule denies it, as with Cilium under Kubernetes (probes). Its addresses are the host's, also those that no object tells of.
 * Shape: plain JSON, part of the stable output of `tandem policy trace -o json`.
 */
import { nameFromString, nameToString } from '@tandem/dns';
import { AppError } from '../base/app-error.js';
import { canonicalAddress } from '../base/socket-address.js';
import { wordsOfAddress } from './address-table.js';
import { coversPort, isOutside, selectsIdentity, type Target } from './covering.js';
import type { PolicyIndex } from './decide.js';
import { selectorsMatcher } from './name-matcher.js';
import { L4_PROTOCOL, RESERVED_IDENTITY, type EndpointRecord, type L4Protocol, type PolicyRule, type RuleOrigin } from './snapshot.js';
import { closing, describeServer, findEndpoint, type TraceServer } from './trace.js';
import { nearestConnection, protocolText, sortedNear, type TraceNear } from './trace-near.js';

export interface ConnectionRequest {
  /** `namespace/pod` or a pod's name alone (local ones), or an address. */
  readonly from: string;
  readonly to: string;
  /** A port; with icmp and icmpv6 a type. */
  readonly port: number;
  readonly protocol: L4Protocol;
  /** The name by which `to` was learned, presentation form; null: by none. */
  readonly name: string | null;
}

export interface ConnectionTrace {
  readonly verdict: 'allowed' | 'denied';
  readonly from: TraceParty;
  readonly to: TraceParty;
  readonly port: number;
  /** `tcp`, `udp`, `sctp`, `icmp`, `icmpv6`. */
  readonly protocol: string;
  /** Lower case, with its final dot. */
  readonly name: string | null;
  readonly egress: DirectionTrace;
  readonly ingress: DirectionTrace;
  readonly revision: number;
}

export interface TraceParty extends TraceServer {
  /** null: no local pod. */
  readonly endpoint: EndpointRecord | null;
}

export interface DirectionTrace {
  readonly verdict: 'allowed' | 'denied';
  /** `not-local`: no pod of this node is on that end. `no-policy`: no policy closes the direction. `host`: this node may, unless denied.
   * `itself`: what a pod sends to its own address does not leave it. */
  readonly reason: 'rule' | 'no-policy' | 'no-rule' | 'denied-by-rule' | 'not-local' | 'host' | 'itself';
  /** The rule that allows, or denies; null where none does. */
  readonly rule: RuleOrigin | null;
  /** Where no rule allows: what each lacked, nearest first. */
  readonly near: readonly TraceNear[];
  /** Where no rule allows: the specs that close the direction. */
  readonly deniedBy: readonly RuleOrigin[];
}

const UNJUDGED = { verdict: 'allowed', rule: null, near: [], deniedBy: [] } as const;
const PORT_MAX = 65535;
const ICMP_TYPE_MAX = 255;

/** Whether an address is this node's own, as its kernel has it. */
export type IsOwnAddress = (address: string) => boolean;

const HOST = [RESERVED_IDENTITY.host] as const;

/** Throws AppError: NOT_FOUND for a pod that is no local endpoint, USAGE for a malformed address, port or name. */
export function traceConnection(index: PolicyIndex, request: ConnectionRequest, isOwn: IsOwnAddress = () => false): ConnectionTrace {
  const { port, protocol } = request;
  const isTyped = protocol === L4_PROTOCOL.icmp || protocol === L4_PROTOCOL.icmpv6;
  const max = isTyped ? ICMP_TYPE_MAX : PORT_MAX;
  if (!Number.isInteger(port) || port < 0 || port > max) throw new AppError('USAGE', `${isTyped ? 'ICMP type' : 'port'} ${port} is not in 0 to ${max}`);
  const from = partyOf({ index, isOwn }, request.from, port, protocol);
  const to = partyOf({ index, isOwn }, request.to, port, protocol);
  const wire = request.name === null ? null : nameFromString(request.name);
  if (request.name !== null && wire === null) throw new AppError('USAGE', `"${request.name}" is not a DNS name`);
  const name = wire === null ? null : nameToString(wire, 0, 0);
  const isItself = from.row >= 0 && from.row === to.row;
  const itself: DirectionTrace = { ...UNJUDGED, reason: 'itself' };
  const egress = isItself ? itself : judge(index, from.row, { direction: 'egress', targets: to.targets, protocol, name });
  const ingress = isItself ? itself : ingressOf(index, from, to, protocol);
  return {
    verdict: egress.verdict === 'allowed' && ingress.verdict === 'allowed' ? 'allowed' : 'denied',
    from: from.party,
    to: to.party,
    port,
    protocol: protocolText(protocol).toLowerCase(),
    name,
    egress,
    ingress,
    revision: index.snapshot.revision,
  };
}

interface Party {
  /** Of the local pod, or −1. */
  readonly row: number;
  /** One, or all that a contested address may be. */
  readonly identities: readonly number[];
  /** All that must be allowed for a connection to it. */
  readonly targets: readonly Target[];
  /** The local pods that a connection to it may reach, and at which port: itself, or a Service's backends. */
  readonly local: readonly { readonly row: number; readonly port: number }[];
  readonly party: TraceParty;
}

interface Node {
  readonly index: PolicyIndex;
  readonly isOwn: IsOwnAddress;
}

function partyOf({ index, isOwn }: Node, text: string, port: number, protocol: L4Protocol): Party {
  const row = findEndpoint(index, text);
  const address = row < 0 ? canonicalAddress(text)! : index.endpoint(row).addresses[0];
  if (address === undefined) throw new AppError('USAGE', `the pod "${text}" has no address of its own`);
  const serverRow = index.serverAt(wordsOfAddress(address), 0);
  const identitiesOf = (one: string): readonly number[] => {
    const known = index.identitiesOf(one);
    return isOwn(one) && known.every(isOutside) ? HOST : known;
  };
  const server = index.server(serverRow);
  const isHost = row < 0 && server.services.length === 0 && identitiesOf(address) === HOST;
  const targets = isHost ? HOST.map((identity) => ({ identity, ports: [port] })) : index.targetsOf(serverRow, port, protocol, identitiesOf);
  const backends = index.backendsOf(serverRow, port, protocol).map((one) => ({ row: index.endpointAt(wordsOfAddress(one.address), 0), port: one.port }));
  return {
    row,
    identities: row >= 0 ? [index.endpoint(row).identity] : isOwn(address) ? HOST : identitiesOf(address),
    targets,
    local: row >= 0 ? [{ row, port }] : backends.filter((one) => one.row >= 0),
    party: { ...describeServer(index, address, isHost ? { ...server, identities: HOST } : server, targets), endpoint: row < 0 ? null : index.endpoint(row) },
  };
}

/** A Service's local backends must all let it in. */
function ingressOf(index: PolicyIndex, from: Party, to: Party, protocol: L4Protocol): DirectionTrace {
  if (to.local.length === 0) return { ...UNJUDGED, reason: 'not-local' };
  const verdicts = to.local.map(({ row, port }) => judge(index, row, { direction: 'ingress', targets: from.identities.map((identity) => ({ identity, ports: [port] })), protocol, name: null }));
  return verdicts.find(({ verdict }) => verdict === 'denied') ?? verdicts[0];
}

interface Asked {
  readonly direction: 'egress' | 'ingress';
  readonly targets: readonly Target[];
  readonly protocol: L4Protocol;
  readonly name: string | null;
}

function judge(index: PolicyIndex, row: number, asked: Asked): DirectionTrace {
  if (row < 0) return { ...UNJUDGED, reason: 'not-local' };
  const { ruleSet, ingressRuleSet } = index.endpoint(row);
  const at = asked.direction === 'egress' ? ruleSet : (ingressRuleSet ?? null);
  if (at === null) return { ...UNJUDGED, reason: 'no-policy' };
  const { rules, openByDefault } = index.snapshot.ruleSets[at];
  const { targets, protocol, name } = asked;
  const selects = peerSelection(name);
  const covers = (rule: PolicyRule, target: Target): boolean => selects(rule, target) && coversPort(rule.ports, target.ports, protocol);
  const denial = rules.find((rule) => rule.deny === true && rule.dnsPatterns === null && targets.some((target) => covers(rule, target)));
  if (denial !== undefined) return { ...UNJUDGED, verdict: 'denied', reason: 'denied-by-rule', rule: denial.origin };
  if (asked.direction === 'ingress' && targets.every(({ identity }) => identity === RESERVED_IDENTITY.host)) return { ...UNJUDGED, reason: 'host' };
  const allowing = rules.filter(({ deny }) => deny !== true);
  const missing = targets.find((target) => !allowing.some((rule) => covers(rule, target)));
  if (missing === undefined) return { ...UNJUDGED, reason: 'rule', rule: allowing.find((rule) => covers(rule, targets[0]))!.origin };
  if (openByDefault === true) return { ...UNJUDGED, reason: 'no-policy' };
  const near = sortedNear(allowing.flatMap((rule) => nearestConnection(rule, missing, protocol, selects(rule, missing)) ?? []));
  return { verdict: 'denied', reason: 'no-rule', rule: null, near, deniedBy: closing(index, row, asked.direction) };
}

/**
 * Whether a rule's L3 part covers a peer. toFQDNs means addresses outside the cluster: a pod or node is itself, whatever name leads to
 * it. A rule's names are matched once, all in one table: a rule may have thousands, and a trace runs where queries are answered.
 */
function peerSelection(name: string | null): (rule: PolicyRule, target: Target) => boolean {
  const named = new Map<PolicyRule, boolean>();
  const isNamed = (rule: PolicyRule, name: string): boolean => {
    let known = named.get(rule);
    if (known === undefined) {
      known = selectorsMatcher(rule.fqdns)(name);
      named.set(rule, known);
    }
    return known;
  };
  return (rule, { identity }) => {
    if (selectsIdentity(rule, identity)) return true;
    return isOutside(identity) && name !== null && rule.fqdns.length > 0 && isNamed(rule, name);
  };
}
