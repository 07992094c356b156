/** `toPorts` of an egress rule: ports, protocols and `rules.dns`, with Cilium's limits (pkg/policy/api/rule_validation.go). */
import { PROTOCOL, SNAPSHOT_LIMITS, type FqdnSelector, type PortRange, type PortSpec, type Protocol } from '@tandem/core';
import type { Field, MapField } from './field.js';
import { readDnsRules } from './name-fields.js';

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
const OTHER_PROTOCOLS = ['SCTP', 'ICMP', 'ICMPv6', 'VRRP', 'IGMP'];
/** IANA service names: what Cilium takes for a named port. */
const NAMED_PORT = /^(?=.*[A-Za-z])[A-Za-z0-9]([-A-Za-z0-9]{0,13}[A-Za-z0-9])?$/;

/** Empty when the entry cannot be used (reported). */
export function readPortSpec(item: Field, underFqdns: boolean): PortSpec[] {
  const map = item.map();
  if (map === null) return [];
  refuseKeys(map, UNSUPPORTED);
  map.checkKeys([...KEYS, ...map.keys().filter((key) => Object.hasOwn(UNSUPPORTED, key))]);
  const dns = readRules(map.get('rules'), underFqdns);
  const portsField = map.get('ports');
  const items = portsField?.list() ?? null;
  if (items === null || items.length === 0) {
    if (portsField === null || items !== null) {
      (portsField ?? item).error(dns === null ? 'needs a port: an entry without one allows nothing' : 'needs a port: rules.dns applies to ports');
    }
    return [];
  }
  const limit = SNAPSHOT_LIMITS.portsPerRule;
  if (items.length > limit) portsField?.error(`has ${items.length} ports; the limit is ${limit}`);
  return [{ ports: items.flatMap((one) => readPort(one, dns !== null)), dns }];
}

function readRules(field: Field | null, underFqdns: boolean): FqdnSelector[] | null {
  const map = field?.map() ?? null;
  if (map === null) return null;
  refuseKeys(map, Object.fromEntries(UNSUPPORTED_RULES.map((key) => [key, 'only rules.dns is enforced; leave it out'])));
  map.checkKeys([...RULE_KEYS, ...UNSUPPORTED_RULES]);
  const dns = map.get('dns');
  if (dns === null) return null;
  if (underFqdns) dns.error('stands in a rule with toFQDNs, which selects no DNS server; put it into a rule with toEndpoints');
  return readDnsRules(dns);
}

function refuseKeys(map: MapField, refused: Readonly<Record<string, string>>): void {
  for (const key of map.keys()) {
    if (Object.hasOwn(refused, key)) map.keyField(key).error(`is not supported by this version: ${refused[key]}`);
  }
}

function readPort(item: Field, hasDns: boolean): PortRange[] {
  const map = item.map();
  if (map === null) return [];
  map.checkKeys(PORT_KEYS);
  const protocol = readProtocol(map.get('protocol'));
  const portField = map.get('port');
  const port = portField === null ? item.error('has no port') : readPortNumber(portField);
  const endField = map.get('endPort');
  const end = endField?.integer(0, PORT_MAX) ?? null;
  if (portField === null || port === null || protocol === undefined) return [];
  if (port === 0) {
    if (hasDns) portField.error('is 0 (every port), which rules.dns cannot have; write 53');
    if (end !== null && end > 0) endField?.error('makes no sense with port 0, which means every port');
    return [{ first: 0, last: PORT_MAX, protocol }];
  }
  // Cilium reads an endPort of 0 as none.
  if (end === null || end === 0) return [{ first: port, last: port, protocol }];
  if (end < port) endField?.error(`is ${end}, below port ${port}`);
  if (hasDns && end > port) endField?.error('makes a range, which rules.dns cannot have; list the ports');
  return end < port ? [] : [{ first: port, last: end, protocol }];
}

function readPortNumber(field: Field): number | null {
  const text = field.string();
  if (text === null) return null;
  if (/^(?:0|[1-9][0-9]*)$/.test(text)) {
    const port = Number(text);
    return port <= PORT_MAX ? port : field.error(`is ${text}; allowed are 0 to ${PORT_MAX}`);
  }
  if (NAMED_PORT.test(text)) return field.error(`"${text}" is a named port, not supported by this version; write its number`);
  return field.error(`"${text}" is no port; write a decimal number from 0 to ${PORT_MAX}`);
}

/** undefined when it cannot be used (reported); null is ANY. */
function readProtocol(field: Field | null): Protocol | null | undefined {
  const text = field === null ? 'ANY' : field.string();
  if (text === 'ANY') return null;
  if (text === 'TCP') return PROTOCOL.tcp;
  if (text === 'UDP') return PROTOCOL.udp;
  if (field !== null && text !== null) {
    const known = OTHER_PROTOCOLS.includes(text) ? 'is not enforced by this version' : 'is no protocol';
    field.error(`"${text}" ${known}; TCP, UDP and ANY are`);
  }
  return undefined;
}
