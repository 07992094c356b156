/**
 * Port ranges of rules as nft's matches.
 *
 * A rule's port is held against the port at which the packet arrives (behind DNAT: the backend's) and, in egress, against the one that
 * was asked. For icmp and icmpv6 a port is a type.
 */
import { L4_PROTOCOL, type L4Protocol, type PortRange } from '@tandem/core';

export interface PortMatches {
  /** Of the packet's own port; [''] where every port and protocol is meant. */
  readonly arriving: readonly string[];
  /** Of the port that was asked, for connections with DNAT only. */
  readonly asked: readonly string[];
}

const PORT_MAX = 65535;
const ICMP_TYPE_MAX = 255;
const PROTOCOL_WORD: Readonly<Record<L4Protocol, string>> = { 6: 'tcp', 17: 'udp', 132: 'sctp', 1: 'icmp', 58: 'icmpv6' };
const ANY: readonly L4Protocol[] = [L4_PROTOCOL.tcp, L4_PROTOCOL.udp, L4_PROTOCOL.sctp];
type Span = Pick<PortRange, 'first' | 'last'>;

export function portMatches(ranges: readonly PortRange[]): PortMatches {
  if (ranges.length === 0) return { arriving: [''], asked: [] };
  const byProtocol = spansByProtocol(ranges);
  const arriving: string[] = [];
  const asked: string[] = [];
  // Protocols that share their ports share a line.
  const shared = new Map<string, L4Protocol[]>();
  for (const [protocol, spans] of byProtocol) {
    if (protocol === L4_PROTOCOL.icmp || protocol === L4_PROTOCOL.icmpv6) {
      arriving.push(isAll(spans, ICMP_TYPE_MAX) ? `meta l4proto ${PROTOCOL_WORD[protocol]}` : `${PROTOCOL_WORD[protocol]} type ${listText(spans)}`);
      continue;
    }
    const text = isAll(spans, PORT_MAX) ? '' : ` th dport ${listText(spans)}`;
    shared.set(text, [...(shared.get(text) ?? []), protocol]);
    // No set here: nft 1.0.6 writes one of asked ports in a form that it does not read.
    if (text !== '') asked.push(...spans.map((span) => `meta l4proto ${PROTOCOL_WORD[protocol]} ct original proto-dst ${spanText(span)}`));
  }
  for (const [text, protocols] of shared) arriving.push(`${protocolsText(protocols)}${text}`);
  return { arriving, asked };
}

/** TCP and UDP ports of these ranges, for what DNS may come by: matches of the port on that side. */
export function dnsMatches(ranges: readonly PortRange[], side: 'dport' | 'sport'): readonly string[] {
  const shared = new Map<string, L4Protocol[]>();
  for (const [protocol, spans] of spansByProtocol(ranges)) {
    if (protocol !== L4_PROTOCOL.tcp && protocol !== L4_PROTOCOL.udp) continue;
    const text = listText(spans);
    shared.set(text, [...(shared.get(text) ?? []), protocol]);
  }
  return [...shared].map(([text, protocols]) => `${protocolsText(protocols)} th ${side} ${text}`);
}

function protocolsText(protocols: readonly L4Protocol[]): string {
  const words = protocols.map((one) => PROTOCOL_WORD[one]);
  return `meta l4proto ${words.length === 1 ? words[0] : `{ ${words.join(', ')} }`}`;
}

/** Merged, rising, by protocol; ANY stands for three. */
function spansByProtocol(ranges: readonly PortRange[]): ReadonlyMap<L4Protocol, readonly Span[]> {
  const found = new Map<L4Protocol, Span[]>();
  for (const { first, last, protocol } of ranges) {
    for (const one of protocol === null ? ANY : [protocol]) found.set(one, [...(found.get(one) ?? []), { first, last }]);
  }
  return new Map([...found].sort(([a], [b]) => a - b).map(([protocol, spans]) => [protocol, merged(spans)]));
}

function merged(spans: readonly Span[]): readonly Span[] {
  const result: { first: number; last: number }[] = [];
  for (const { first, last } of [...spans].sort((a, b) => a.first - b.first)) {
    const before = result.at(-1);
    if (before !== undefined && first <= before.last + 1) before.last = Math.max(before.last, last);
    else result.push({ first, last });
  }
  return result;
}

function isAll(spans: readonly Span[], max: number): boolean {
  return spans.length === 1 && spans[0].first === 0 && spans[0].last >= max;
}

function listText(spans: readonly Span[]): string {
  return spans.length === 1 ? spanText(spans[0]) : `{ ${spans.map(spanText).join(', ')} }`;
}

function spanText({ first, last }: Span): string {
  return first === last ? String(first) : `${first}-${last}`;
}
