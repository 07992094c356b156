/** `toPorts` of a rule: ports, protocols and `rules.dns`, with Cilium's limits (pkg/policy/api/rule_validation.go). */
import { L4_PROTOCOL, SNAPSHOT_LIMITS, type FqdnSelector, type L4Protocol, type NamedPortRef, type PortRange, type PortSpec } from '@tandem/core';
import type { Field, MapField } from './field.js';
import { readDnsRules } from './name-fields.js';

/** What may stand in a `toPorts` entry depends on where its rule stands. */
export interface PortPlace {
  readonly direction: 'egress' | 'ingress';
  readonly deny: boolean;
  /** Whether its rule names destinations by toFQDNs. */
  readonly underFqdns: boolean;
}

const KEYS = ['ports', 'rules'];
const UNSUPPORTED: Readonly<Record<string, string>> = {
  terminatingTLS: 'leave it out',
  originatingTLS: 'leave it out',
  serverNames: 'name destinations by toFQDNs',
  listener: 'leave it out',
};
const RULE_KEYS = ['dns'];
const UNSUPPORTED_RULES = ['http', 'kafka', 'l7proto', 'l7'];
const PORT_KEYS = ['port', 'endPort', 'protocol'];
const PORT_MAX = 65535;
const PORT_PROTOCOLS = { TCP: L4_PROTOCOL.tcp, UDP: L4_PROTOCOL.udp, SCTP: L4_PROTOCOL.sctp } as const;
export type PortProtocol = (typeof PORT_PROTOCOLS)[keyof typeof PORT_PROTOCOLS];
const PROTOCOL_TEXT = 'TCP, UDP, SCTP and ANY are';
const ICMP_PROTOCOLS = ['ICMP', 'ICMPv6'];
const OTHER_PROTOCOLS = ['VRRP', 'IGMP'];
/** IANA service names (RFC 6335 §5.1): what Kubernetes and Cilium take for the name of a port. */
const NAMED_PORT = /^(?=.*[A-Za-z])(?!.*--)[A-Za-z0-9]([-A-Za-z0-9]{0,13}[A-Za-z0-9])?$/;

/** Empty when the entry cannot be used (reported). */
export function readPortSpec(item: Field, place: PortPlace): PortSpec[] {
  const map = item.map();
  if (map === null) return [];
  refuseKeys(map, UNSUPPORTED);
  map.checkKeys([...KEYS, ...map.keys().filter((key) => Object.hasOwn(UNSUPPORTED, key))]);
  const dns = readRules(map.get('rules'), place);
  const portsField = map.get('ports');
  const items = portsField?.list() ?? null;
  if (items === null || items.length === 0) {
    if (portsField === null || items !== null) {
      (portsField ?? item).error(dns === null ? 'needs a port: an entry without one allows nothing' : 'needs a port: rules.dns applies to ports');
    }
    return [];
  }
  const limit = SNAPSHOT_LIMITS.portsPerRule;
  if (items.length > limit) portsField?.error(`has ${items.length} ports; the limit is ${limit}, so write a second entry of toPorts`);
  return [{ path: item.step, ports: items.flatMap((one) => readPort(one, dns !== null)), dns }];
}

/** null when it is none. Lower case: names of ports compare without regard to case, as in Cilium. */
export function namedPort(text: string): string | null {
  return NAMED_PORT.test(text) ? text.toLowerCase() : null;
}

function readRules(field: Field | null, { direction, deny, underFqdns }: PortPlace): FqdnSelector[] | null {
  const map = field?.map() ?? null;
  if (field === null || map === null) return null;
  if (deny) {
    field.error('stands in a rule that denies, which takes whole ports; for names write the annotation tandem.dev/deny-fqdns');
    return null;
  }
  refuseKeys(map, Object.fromEntries(UNSUPPORTED_RULES.map((key) => [key, 'only rules.dns is enforced; leave it out'])));
  map.checkKeys([...RULE_KEYS, ...UNSUPPORTED_RULES]);
  const kinds = map.keys().filter((key) => key === 'dns' || UNSUPPORTED_RULES.includes(key));
  if (kinds.includes('dns') && kinds.length > 1) field.error(`has ${kinds.join(' and ')}; one entry of toPorts takes one kind of rule`);
  const dns = map.get('dns');
  if (dns === null) return null;
  if (direction === 'ingress') dns.error('stands in an ingress rule; what pods may ask is an egress rule of the pods that ask');
  if (underFqdns) dns.error('stands in a rule with toFQDNs, which selects no DNS server; put it into a rule with toEndpoints');
  return readDnsRules(dns);
}

function refuseKeys(map: MapField, refused: Readonly<Record<string, string>>): void {
  for (const key of map.keys()) {
    if (Object.hasOwn(refused, key)) map.keyField(key).error(`is not supported by this version: ${refused[key]}`);
  }
}

function readPort(item: Field, hasDns: boolean): (PortRange | NamedPortRef)[] {
  const map = item.map();
  if (map === null) return [];
  map.checkKeys(PORT_KEYS);
  const protocol = readProtocol(map.get('protocol'), hasDns);
  const portField = map.get('port');
  const port = portField === null ? item.error('has no port') : readPortText(portField);
  const endField = map.get('endPort');
  const end = endField?.integer(0, PORT_MAX) ?? null;
  if (portField === null || port === null || protocol === undefined) return [];
  if (typeof port === 'string') {
    // Cilium reads an endPort of 0 as none.
    if (end !== null && end > 0) endField?.error('stands next to a named port; a range needs numbers');
    return [{ portName: port, protocol }];
  }
  if (port === 0) {
    if (hasDns) portField.error('is 0 (every port), which rules.dns cannot have; write 53');
    if (end !== null && end > 0) endField?.error('makes no sense with port 0, which means every port');
    return [{ first: 0, last: PORT_MAX, protocol }];
  }
  if (end === null || end === 0) return [{ first: port, last: port, protocol }];
  if (end < port) endField?.error(`is ${end}, below port ${port}`);
  if (hasDns && end > port) endField?.error('makes a range, which rules.dns cannot have; list the ports');
  return end < port ? [] : [{ first: port, last: end, protocol }];
}

/** A number, or the name of a port. */
function readPortText(field: Field): number | string | null {
  const text = field.string();
  if (text === null) return null;
  if (/^(?:0|[1-9][0-9]*)$/.test(text)) {
    const port = Number(text);
    return port <= PORT_MAX ? port : field.error(`is ${text}; allowed are 0 to ${PORT_MAX}`);
  }
  return namedPort(text) ?? field.error(`"${text}" is no port; write a decimal number from 0 to ${PORT_MAX}, or the name of a container port`);
}

/** undefined when it cannot be used (reported); null is ANY. */
function readProtocol(field: Field | null, hasDns: boolean): L4Protocol | null | undefined {
  const text = field === null ? 'ANY' : field.string();
  if (field === null || text === null) return text === null ? undefined : null;
  if (text === 'ANY') return null;
  const protocol = portProtocol(text);
  if (protocol !== null) {
    if (hasDns && protocol === L4_PROTOCOL.sctp) field.error('is SCTP, which DNS does not come by; write ANY');
    return protocol;
  }
  if (ICMP_PROTOCOLS.includes(text)) field.error(`"${text}" has no ports; write icmps in a rule of its own`);
  else field.error(`"${text}" ${OTHER_PROTOCOLS.includes(text) ? 'is not enforced by this version' : 'is no protocol'}; ${PROTOCOL_TEXT}`);
  return undefined;
}

/** Kubernetes' protocols that have ports; null for any other text. */
export function portProtocol(text: string): PortProtocol | null {
  return text === 'TCP' || text === 'UDP' || text === 'SCTP' ? PORT_PROTOCOLS[text] : null;
}
