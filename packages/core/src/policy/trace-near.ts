/**
 * What a rule that did not allow something lacked, as one sentence each, and which was nearest to allowing it.
 *
 * Rules are held against a question or a connection in one order: peer, port, protocol, name, DNS type; the later the first thing
 * that a rule lacks, the nearer it was.
 */
import type { QueryView } from '@tandem/dns';
import { coversPort, coversProtocol, selectsIdentity, type Target } from './covering.js';
import { NameTable } from './name-table.js';
import { patternsOf } from './pattern.js';
import { L4_PROTOCOL, RESERVED_IDENTITY, type DnsPattern, type L4Protocol, type PolicyRule, type PortRange, type RuleOrigin } from './snapshot.js';

/** What a rule lacked first. `server` is the peer of a connection, too. */
export type TraceMiss = 'server' | 'port' | 'protocol' | 'name' | 'type';

export interface TraceNear {
  readonly origin: RuleOrigin;
  readonly missed: TraceMiss;
  /** One sentence. */
  readonly explanation: string;
}

export interface TracedName {
  readonly wire: Uint8Array;
  readonly view: QueryView;
  /** Lower case, with its final dot. */
  readonly name: string;
}

export const TRACE_NEAR_MAX = 20;

const MISS_DISTANCE: Readonly<Record<TraceMiss, number>> = { type: 0, name: 1, protocol: 2, port: 3, server: 4 };
const PROTOCOL_TEXT = new Map<number, string>(Object.entries(L4_PROTOCOL).map(([name, number]) => [number, name.toUpperCase()]));
const SHOWN_MAX = 3;

/** Nearest first, at most `TRACE_NEAR_MAX`. */
export function sortedNear(near: readonly TraceNear[]): TraceNear[] {
  return [...near].sort((a, b) => MISS_DISTANCE[a.missed] - MISS_DISTANCE[b.missed]).slice(0, TRACE_NEAR_MAX);
}

/** What the rule lacks to allow the question at the first target that it does not allow; null if it allows all, or allows nothing. */
export function nearestQuestion(rule: PolicyRule, targets: readonly Target[], protocol: L4Protocol, asked: TracedName): TraceNear | null {
  const { origin, dnsPatterns, queryTypes } = rule;
  if (rule.deny === true) return null;
  for (const target of targets) {
    if (!selectsIdentity(rule, target.identity)) {
      if (target.identity === RESERVED_IDENTITY.unknown) {
        return { origin, missed: 'server', explanation: 'the Service leads to no backend at this port and protocol' };
      }
      const why = rule.fqdns.length > 0 ? 'selects names to connect to (toFQDNs), no DNS server' : 'does not select the server';
      return { origin, missed: 'server', explanation: `the rule ${why} (identity ${target.identity})` };
    }
    const missing = missingPort(rule, target, protocol, 'query');
    if (missing !== null) return missing;
  }
  if (dnsPatterns === null) return null;
  if (matchingPattern(rule, asked.wire, asked.view) === null) {
    return { origin, missed: 'name', explanation: `the rule allows ${shown(dnsPatterns.map(describePattern))}, not ${asked.name}` };
  }
  if (queryTypes === undefined || queryTypes.includes(asked.view.type)) return null;
  return { origin, missed: 'type', explanation: `the rule allows the DNS types ${shown(queryTypes.map(String))}, not ${asked.view.type}` };
}

/** The same for a connection to (or from) one peer; `selects` says whether the rule's L3 part covers it. */
export function nearestConnection(rule: PolicyRule, target: Target, protocol: L4Protocol, selects: boolean): TraceNear | null {
  const { origin, fqdns } = rule;
  if (rule.deny === true) return null;
  if (!selects) {
    if (target.identity === RESERVED_IDENTITY.unknown) {
      return { origin, missed: 'server', explanation: 'the Service leads to no backend at this port and protocol' };
    }
    const why = fqdns.length > 0 ? `allows addresses of ${shown(fqdns.map(describePattern))}` : 'does not select the peer';
    return { origin, missed: 'server', explanation: `the rule ${why} (identity ${target.identity})` };
  }
  return missingPort(rule, target, protocol, 'connection');
}

function missingPort(rule: PolicyRule, target: Target, protocol: L4Protocol, what: 'query' | 'connection'): TraceNear | null {
  const { origin, ports } = rule;
  if (coversPort(ports, target.ports, protocol)) return null;
  const allowed = shown(ports.map(describeRange));
  const isPort = ports.some(({ first, last }) => target.ports.some((port) => port >= first && port <= last));
  if (!isPort || ports.every((range) => coversProtocol(range.protocol, protocol))) {
    return { origin, missed: 'port', explanation: `the rule allows ${allowed}, the ${what === 'query' ? "server's " : ''}port is ${target.ports.join(' or ')}` };
  }
  return { origin, missed: 'protocol', explanation: `the rule allows ${allowed}, the ${what} came by ${protocolText(protocol)}` };
}

/** Text of the first pattern of the rule that matches; null if the rule has none or none matches. */
export function matchingPattern(rule: PolicyRule, wire: Uint8Array, view: QueryView): string | null {
  const halves = (rule.dnsPatterns ?? []).flatMap((one): DnsPattern[] => [{ ...one, matchPattern: null }, { ...one, matchName: null }]);
  const entries = halves.flatMap((half, value) => patternsOf(half, 'dns').map((pattern) => ({ pattern, value })));
  const first = NameTable.compile(entries).match(wire, view);
  return first < 0 ? null : (halves[first].matchName ?? halves[first].matchPattern);
}

export function protocolText(protocol: number): string {
  return PROTOCOL_TEXT.get(protocol) ?? String(protocol);
}

function shown(texts: readonly string[]): string {
  const more = texts.length - SHOWN_MAX;
  return texts.slice(0, SHOWN_MAX).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

function describePattern({ matchName, matchPattern }: DnsPattern): string {
  const parts: string[] = [];
  if (matchName !== null) parts.push(`matchName ${matchName}`);
  if (matchPattern !== null) parts.push(`matchPattern ${matchPattern}`);
  return parts.join(' and ');
}

function describeRange({ first, last, protocol }: PortRange): string {
  const ports = first === last ? String(first) : `${first}-${last}`;
  return `${ports}/${protocol === null ? 'ANY' : protocolText(protocol)}`;
}
