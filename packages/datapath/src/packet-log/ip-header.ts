/**
 * The first bytes of an IP packet: who to whom, by what.
 *
 * Invariant: whatever the bytes, nothing outside of them is read, and nothing is thrown; what lies beyond them, in an extension header
 * that is not known, or in another fragment, is 0.
 * Shapes: RFC 791 §3.1, RFC 8200 §3 and §4, RFC 9293 §3.1, RFC 768, RFC 9260 §3.1, RFC 792, RFC 4443 §2.1.
 */
import type { LoggedPacket } from '@tandem/core';

export type IpHeader = Pick<LoggedPacket, 'source' | 'destination' | 'protocol' | 'sourcePort' | 'destinationPort' | 'tcpFlags' | 'icmpType' | 'icmpCode'>;

const V4_HEADER_BYTES = 20;
const V4 = { lengthAt: 0, fragmentAt: 6, protocolAt: 9, sourceAt: 12, destinationAt: 16, addressBytes: 4 } as const;
const FRAGMENT_OFFSET_MASK = 0x1fff;
const V6_HEADER_BYTES = 40;
const V6 = { nextAt: 6, sourceAt: 8, destinationAt: 24, addressBytes: 16 } as const;
const V6_FRAGMENT = { offsetAt: 2, offsetMask: 0xfff8, bytes: 8 } as const;
const MAPPED_PREFIX = [0xff, 0xff] as const;
const MAPPED_PREFIX_AT = 10;

const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132, udpLite: 136 } as const;
const EXTENSION = { hopByHop: 0, routing: 43, fragment: 44, authentication: 51, destination: 60, mobility: 135 } as const;
/** More than any packet has that a host of ours would send (RFC 8200 §4.1 names seven). */
const EXTENSIONS_MAX = 8;
const TCP_FLAGS_AT = 13;

/** Null for what is neither IPv4 nor IPv6, or shorter than its header. */
export function parseIpHeader(bytes: Uint8Array): IpHeader | null {
  if (bytes.length === 0) return null;
  const version = bytes[0] >>> 4;
  if (version === 4) return parseV4(bytes);
  return version === 6 ? parseV6(bytes) : null;
}

function parseV4(bytes: Uint8Array): IpHeader | null {
  const headerBytes = (bytes[V4.lengthAt] & 0xf) * 4;
  if (bytes.length < V4_HEADER_BYTES || headerBytes < V4_HEADER_BYTES) return null;
  const isFirst = (uint16(bytes, V4.fragmentAt) & FRAGMENT_OFFSET_MASK) === 0;
  return {
    source: mapped(bytes, V4.sourceAt),
    destination: mapped(bytes, V4.destinationAt),
    ...transport(bytes, isFirst ? headerBytes : bytes.length, bytes[V4.protocolAt]),
  };
}

function parseV6(bytes: Uint8Array): IpHeader | null {
  if (bytes.length < V6_HEADER_BYTES) return null;
  let next = bytes[V6.nextAt];
  let at = V6_HEADER_BYTES;
  for (let i = 0; i < EXTENSIONS_MAX; i++) {
    const length = extensionBytes(bytes, at, next);
    if (length === 0) break;
    const isLater = next === EXTENSION.fragment && (uint16(bytes, at + V6_FRAGMENT.offsetAt) & V6_FRAGMENT.offsetMask) !== 0;
    next = bytes[at];
    at = isLater ? bytes.length : at + length;
  }
  return {
    source: bytes.slice(V6.sourceAt, V6.sourceAt + V6.addressBytes),
    destination: bytes.slice(V6.destinationAt, V6.destinationAt + V6.addressBytes),
    ...transport(bytes, at, next),
  };
}

/** 0 where no extension header begins, or its first bytes are not there. */
function extensionBytes(bytes: Uint8Array, at: number, type: number): number {
  if (at + V6_FRAGMENT.bytes > bytes.length) return 0;
  switch (type) {
    case EXTENSION.hopByHop:
    case EXTENSION.routing:
    case EXTENSION.destination:
    case EXTENSION.mobility:
      return (bytes[at + 1] + 1) * 8;
    case EXTENSION.fragment:
      return V6_FRAGMENT.bytes;
    case EXTENSION.authentication:
      // In units of four bytes, unlike the others (RFC 4302 §2.2).
      return (bytes[at + 1] + 2) * 4;
    default:
      return 0;
  }
}

function transport(bytes: Uint8Array, at: number, protocol: number): Omit<IpHeader, 'source' | 'destination'> {
  const has = (count: number): boolean => at + count <= bytes.length;
  const hasPorts = has(4) && (protocol === PROTOCOL.tcp || protocol === PROTOCOL.udp || protocol === PROTOCOL.sctp || protocol === PROTOCOL.udpLite);
  const hasType = has(2) && (protocol === PROTOCOL.icmp || protocol === PROTOCOL.icmpv6);
  return {
    protocol,
    sourcePort: hasPorts ? uint16(bytes, at) : 0,
    destinationPort: hasPorts ? uint16(bytes, at + 2) : 0,
    tcpFlags: protocol === PROTOCOL.tcp && has(TCP_FLAGS_AT + 1) ? bytes[at + TCP_FLAGS_AT] : 0,
    icmpType: hasType ? bytes[at] : 0,
    icmpCode: hasType ? bytes[at + 1] : 0,
  };
}

function mapped(bytes: Uint8Array, at: number): Uint8Array {
  const address = new Uint8Array(V6.addressBytes);
  address.set(MAPPED_PREFIX, MAPPED_PREFIX_AT);
  address.set(bytes.subarray(at, at + V4.addressBytes), V6.addressBytes - V4.addressBytes);
  return address;
}

function uint16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}
