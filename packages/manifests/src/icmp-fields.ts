/** `icmps` of a rule: families and types become ranges of types, as Cilium has it (pkg/policy/api/icmp.go). */
import { L4_PROTOCOL, type PortRange, type PortSpec } from '@tandem/core';
import type { Field } from './field.js';
import { nearestHint } from './nearest.js';

/** Cilium's limit for one entry. */
const FIELDS_MAX = 40;
const TYPE_MAX = 255;
const ENTRY_KEYS = ['fields'];
const FIELD_KEYS = ['family', 'type'];

/** IANA's registries of ICMP and ICMPv6 types, in the spelling that Cilium takes. */
const TYPES = {
  IPv4: {
    EchoReply: 0, DestinationUnreachable: 3, Redirect: 5, Echo: 8, EchoRequest: 8, RouterAdvertisement: 9, RouterSelection: 10, TimeExceeded: 11,
    ParameterProblem: 12, Timestamp: 13, TimestampReply: 14, Photuris: 40, ExtendedEchoRequest: 42, ExtendedEchoReply: 43,
  },
  IPv6: {
    DestinationUnreachable: 1, PacketTooBig: 2, TimeExceeded: 3, ParameterProblem: 4, EchoRequest: 128, EchoReply: 129, MulticastListenerQuery: 130,
    MulticastListenerReport: 131, MulticastListenerDone: 132, RouterSolicitation: 133, RouterAdvertisement: 134, NeighborSolicitation: 135,
    NeighborAdvertisement: 136, RedirectMessage: 137, RouterRenumbering: 138, ICMPNodeInformationQuery: 139, ICMPNodeInformationResponse: 140,
    InverseNeighborDiscoverySolicitation: 141, InverseNeighborDiscoveryAdvertisement: 142, HomeAgentAddressDiscoveryRequest: 144,
    HomeAgentAddressDiscoveryReply: 145, MobilePrefixSolicitation: 146, MobilePrefixAdvertisement: 147, DuplicateAddressRequestCodeSuffix: 157,
    DuplicateAddressConfirmationCodeSuffix: 158, ExtendedEchoRequest: 160, ExtendedEchoReply: 161,
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, number>>>>;
type Family = keyof typeof TYPES;
const FAMILIES: readonly Family[] = ['IPv4', 'IPv6'];
const PROTOCOLS = { IPv4: L4_PROTOCOL.icmp, IPv6: L4_PROTOCOL.icmpv6 } as const;

/** One for each entry. */
export function readIcmps(items: readonly Field[]): PortSpec[] {
  return items.flatMap((item) => {
    const map = item.map();
    if (map === null) return [];
    map.checkKeys(ENTRY_KEYS);
    const field = map.get('fields');
    const fields = field?.list() ?? null;
    if (field === null || fields?.length === 0) (field ?? item).error('needs a type: an entry without one allows nothing');
    if (fields === null || fields.length === 0) return [];
    if (fields.length > FIELDS_MAX) field?.error(`has ${fields.length} types; the limit is ${FIELDS_MAX}`);
    return [{ path: item.step, ports: fields.flatMap(readType), dns: null }];
  });
}

function readType(item: Field): PortRange[] {
  const map = item.map();
  if (map === null) return [];
  map.checkKeys(FIELD_KEYS);
  const familyField = map.get('family');
  const familyText = familyField === null ? 'IPv4' : familyField.string();
  const family = FAMILIES.find((one) => one === familyText) ?? null;
  if (family === null && familyText !== null) familyField?.error(`is "${familyText}"; known are ${FAMILIES.join(' and ')}`);
  const typeField = map.get('type');
  if (typeField === null) item.error('has no type');
  const given = typeField?.integerOrString(0, TYPE_MAX) ?? null;
  if (typeField === null || given === null || family === null) return [];
  const type = typeof given === 'number' ? given : typeNumber(typeField, given, family);
  return type === null ? [] : [{ first: type, last: type, protocol: PROTOCOLS[family] }];
}

function typeNumber(field: Field, text: string, family: Family): number | null {
  if (/^(?:0|[1-9][0-9]{0,2})$/.test(text)) {
    return Number(text) <= TYPE_MAX ? Number(text) : field.error(`is ${text}; allowed are 0 to ${TYPE_MAX}`);
  }
  const known: Readonly<Record<string, number>> = TYPES[family];
  if (Object.hasOwn(known, text)) return known[text];
  const other: Family = family === 'IPv4' ? 'IPv6' : 'IPv4';
  if (Object.hasOwn(TYPES[other], text)) return field.error(`"${text}" is a type of ${other}; write "family: ${other}"`);
  return field.error(`"${text}" is no type of ${family}; write a number from 0 to ${TYPE_MAX} or its name${nearestHint(text, Object.keys(known))}`);
}
