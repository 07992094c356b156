/** The words for a packet's fourth layer, as Hubble's parser writes them. */
import type { flowPb, Layer4 } from '@tandem/proto';
import type { PacketRecord } from './packet-record.js';

const IP_PROTOCOL = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;
/** In the order of Hubble's summary; bits of byte 13 of the header (RFC 9293 §3.1). */
const FLAG_BITS: readonly (readonly [keyof flowPb.TCPFlags, number])[] = [
  ['SYN', 0x02], ['ACK', 0x10], ['RST', 0x04], ['FIN', 0x01], ['PSH', 0x08], ['URG', 0x20], ['ECE', 0x40], ['CWR', 0x80],
];
const ICMP_TYPES: Readonly<Record<number, string>> = {
  0: 'EchoReply', 3: 'DestinationUnreachable', 4: 'SourceQuench', 5: 'Redirect', 8: 'EchoRequest', 9: 'RouterAdvertisement', 10: 'RouterSolicitation',
  11: 'TimeExceeded', 12: 'ParameterProblem', 13: 'TimestampRequest', 14: 'TimestampReply',
};
const ICMPV6_TYPES: Readonly<Record<number, string>> = {
  1: 'DestinationUnreachable', 2: 'PacketTooBig', 3: 'TimeExceeded', 4: 'ParameterProblem', 128: 'EchoRequest', 129: 'EchoReply', 133: 'RouterSolicitation',
  134: 'RouterAdvertisement', 135: 'NeighborSolicitation', 136: 'NeighborAdvertisement', 137: 'Redirect',
};

/** Undefined for a protocol that Hubble has no form for. */
export function layer4Of(record: PacketRecord): Layer4 | undefined {
  const { sourcePort, destinationPort, icmpType: type, icmpCode: code } = record;
  switch (record.protocol) {
    case IP_PROTOCOL.tcp:
      return { protocol: { $case: 'TCP', value: { sourcePort, destinationPort, flags: flagsOf(record.tcpFlags) } } };
    case IP_PROTOCOL.udp:
      return { protocol: { $case: 'UDP', value: { sourcePort, destinationPort } } };
    case IP_PROTOCOL.sctp:
      return { protocol: { $case: 'SCTP', value: { sourcePort, destinationPort } } };
    case IP_PROTOCOL.icmp:
      return { protocol: { $case: 'ICMPv4', value: { type, code } } };
    case IP_PROTOCOL.icmpv6:
      return { protocol: { $case: 'ICMPv6', value: { type, code } } };
    default:
      return undefined;
  }
}

/** `TCP Flags: SYN`, `UDP`, `ICMPv4 EchoRequest`. */
export function packetSummary({ protocol, tcpFlags, icmpType, icmpCode }: PacketRecord): string {
  switch (protocol) {
    case IP_PROTOCOL.tcp:
      return `TCP Flags: ${FLAG_BITS.filter(([, bit]) => (tcpFlags & bit) !== 0).map(([name]) => name).join(', ')}`;
    case IP_PROTOCOL.udp:
      return 'UDP';
    case IP_PROTOCOL.sctp:
      return 'SCTP';
    case IP_PROTOCOL.icmp:
      return `ICMPv4 ${icmpText(ICMP_TYPES[icmpType], icmpType, icmpCode)}`;
    case IP_PROTOCOL.icmpv6:
      return `ICMPv6 ${icmpText(ICMPV6_TYPES[icmpType], icmpType, icmpCode)}`;
    default:
      return `IP protocol ${protocol}`;
  }
}

function icmpText(name: string | undefined, type: number, code: number): string {
  if (name === undefined) return `${type}(${code})`;
  return code === 0 ? name : `${name}(Code: ${code})`;
}

function flagsOf(bits: number): flowPb.TCPFlags {
  const flags: flowPb.TCPFlags = { FIN: false, SYN: false, RST: false, PSH: false, ACK: false, URG: false, ECE: false, CWR: false, NS: false };
  for (const [name, bit] of FLAG_BITS) flags[name] = (bits & bit) !== 0;
  return flags;
}
