/** Puts connections into the kernel's table without any traffic, and reads rows of it. */
import { connectionStride, ConnectionWord } from '../index.js';
import { attribute, be32, Flag, message, nest } from './netlink-messages.js';

export const Protocol = { ICMP: 1, TCP: 6, UDP: 17, ICMPV6: 58 } as const;
const established = 3;
const v4 = 2;
const v6 = 10;
const CT_NEW = 1 << 8;

const be16 = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 255);

/** Bytes of a dotted IPv4 address, or of an IPv6 address written out (eight groups). */
export function addressBytes(address: string): Uint8Array {
  if (!address.includes(':')) return Uint8Array.from(address.split('.').map(Number));
  return Uint8Array.from(address.split(':').flatMap((group) => [parseInt(group, 16) >> 8, parseInt(group, 16) & 255]));
}

export interface End {
  readonly address: string;
  /** For ICMP: identifier at the source, type << 8 | code at the destination. */
  readonly port: number;
}

export interface Connection {
  readonly protocol: number;
  readonly source: End;
  readonly destination: End;
  /** After DNAT. Default: `destination`. */
  readonly backend?: End;
  readonly mark: number;
  readonly zone?: number;
}

function tuple(type: number, protocol: number, source: End, destination: End): Uint8Array {
  const [from, to] = [addressBytes(source.address), addressBytes(destination.address)];
  const isV4 = from.length === 4;
  const addresses = nest(1, attribute(isV4 ? 1 : 3, from), attribute(isV4 ? 2 : 4, to));
  const number = attribute(1, Uint8Array.of(protocol));
  if (protocol !== Protocol.ICMP && protocol !== Protocol.ICMPV6) {
    return nest(type, addresses, nest(2, number, attribute(2, be16(source.port)), attribute(3, be16(destination.port))));
  }
  const first = isV4 ? 4 : 7;
  const [icmpType, code] = be16(destination.port);
  return nest(type, addresses, nest(2, number, attribute(first, be16(source.port)), attribute(first + 1, Uint8Array.of(icmpType)), attribute(first + 2, Uint8Array.of(code))));
}

/** One nfnetlink message, acknowledged. */
export function newConnection(sequence: number, { protocol, source, destination, backend = destination, mark, zone = 0 }: Connection): Uint8Array {
  // What answers an echo request (8, 128) is an echo reply (0, 129).
  const answered = protocol === Protocol.ICMP ? { ...backend, port: source.port } : backend;
  const replyPort = protocol === Protocol.ICMP ? 0 : protocol === Protocol.ICMPV6 ? 129 << 8 : source.port;
  const reply =
    protocol === Protocol.ICMP || protocol === Protocol.ICMPV6
      ? tuple(2, protocol, { ...answered, port: source.port }, { ...source, port: replyPort })
      : tuple(2, protocol, backend, source);
  const state = protocol === Protocol.TCP ? [nest(4, nest(1, attribute(1, Uint8Array.of(established))))] : [];
  return message(
    CT_NEW,
    Flag.ACK | Flag.CREATE | Flag.EXCL,
    sequence,
    Uint8Array.of(source.address.includes(':') ? v6 : v4, 0, 0, 0),
    tuple(1, protocol, source, destination),
    reply,
    attribute(7, be32(3600)),
    attribute(8, be32(mark)),
    ...state,
    ...(zone === 0 ? [] : [attribute(18, be16(zone))]),
  );
}

export function addressIn(rows: Uint32Array, row: number, word: number): string {
  const at = row * connectionStride + word;
  const words = [...rows.subarray(at, at + 4)];
  if (words[0] === 0 && words[1] === 0 && words[2] === 0xffff) return [24, 16, 8, 0].map((shift) => String((words[3] >>> shift) & 255)).join('.');
  return words.flatMap((each) => [(each >>> 16).toString(16), (each & 0xffff).toString(16)]).join(':');
}

/** A row as one line: protocol, source>destination, reply source>destination, and what follows. */
export function line(rows: Uint32Array, row: number): string {
  const word = (index: number): number => rows[row * connectionStride + index];
  const ends = (from: number, to: number, ports: number): string =>
    `${addressIn(rows, row, from)}#${String(word(ports) >>> 16)}>${addressIn(rows, row, to)}#${String(word(ports) & 0xffff)}`;
  return [
    String(word(ConnectionWord.PROTOCOL)),
    ends(ConnectionWord.ORIGINAL_SOURCE, ConnectionWord.ORIGINAL_DESTINATION, ConnectionWord.ORIGINAL_PORTS),
    ends(ConnectionWord.REPLY_SOURCE, ConnectionWord.REPLY_DESTINATION, ConnectionWord.REPLY_PORTS),
    `icmp=${word(ConnectionWord.ICMP).toString(16)} mark=${word(ConnectionWord.MARK).toString(16)} zone=${String(word(ConnectionWord.ZONE))}`,
  ].join(' ');
}
