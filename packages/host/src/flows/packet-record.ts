/**
 * A logged packet's record in a flow ring: who to whom, what the kernel made of it and by which rule, and the names by which the pod had
 * learned the other end. Those are kept, as they expire; pods and policies are looked up by whoever reads it.
 *
 * Shape: the words that tell time and addresses are those of a query's record (flow-record.ts), so that one walk goes over both kinds.
 */
import { PACKET_DIRECTIONS, PACKET_VERDICTS, type PacketDirection, type PacketVerdict } from '@tandem/core';
import { FLOW, recordTime } from './flow-record.js';
import { CELL_BYTES, RECORD, RECORD_KIND } from './flow-ring.js';

/** Beyond a record's common words (RECORD). */
export const PACKET = {
  /** Verdict in the second byte, direction in the third, TCP flags in the fourth. */
  kind: RECORD.kind,
  /** Endpoint ID of the pod that was judged (0: none) in the low half, bytes of the names in the high one. */
  endpoint: 3,
  /** When it was read. */
  atMs: FLOW.endedAtMs,
  interface: 6,
  /** IP protocol number, ICMP type, ICMP code, MATCH, a byte each. */
  protocol: 7,
  /** As `PolicyIndex.decide` says it, an int32. */
  rule: FLOW.rule,
  /** Of the policy that decided, modulo 2^32. */
  revision: FLOW.revision,
  /** Source's in the low half, destination's in the high one. */
  ports: FLOW.ports,
  source: FLOW.clientAddress,
  destination: FLOW.serverAddress,
  bootedAtMs: FLOW.bootedAtMs,
  /** ASCII, a line feed between two. */
  names: 22,
} as const;

/** How much of a connection a rule looks at, with Hubble's numbers (policy_match_type). */
export const MATCH = { none: 0, l3: 1, l3l4: 2, l4: 3, all: 4, l3protocol: 5, protocol: 6 } as const;
export type Match = (typeof MATCH)[keyof typeof MATCH];

const VERDICT_SHIFT = 8;
const DIRECTION_SHIFT = 16;
const TCP_FLAGS_SHIFT = 24;
const TYPE_SHIFT = 8;
const CODE_SHIFT = 16;
const MATCH_SHIFT = 24;

export const NAMES_AT = PACKET.names * 4;
/** Whole cells: a record with one ordinary name takes two. */
export const NAMES_BYTES_MAX = 16 * CELL_BYTES - NAMES_AT;

export function packetKindWord(verdict: PacketVerdict, direction: PacketDirection, tcpFlags: number): number {
  return RECORD_KIND.packet | (PACKET_VERDICTS.indexOf(verdict) << VERDICT_SHIFT) | (PACKET_DIRECTIONS.indexOf(direction) << DIRECTION_SHIFT) | (tcpFlags << TCP_FLAGS_SHIFT);
}

export function packetProtocolWord(packet: { readonly protocol: number; readonly icmpType: number; readonly icmpCode: number }, match: Match): number {
  return packet.protocol | (packet.icmpType << TYPE_SHIFT) | (packet.icmpCode << CODE_SHIFT) | (match << MATCH_SHIFT);
}

/** What was denied is told twice, as Hubble does: the verdict, and the drop. */
export function flowsOfPacket(verdict: PacketVerdict): 1 | 2 {
  return verdict === 'denied' ? 2 : 1;
}

/** One record, read. Valid until the next is read into the same memory. */
export class PacketRecord {
  private readonly words: Uint32Array;
  private readonly signed: Int32Array;
  private readonly times: Float64Array;
  /** The whole record. */
  readonly bytes: Uint8Array;

  constructor(record: Uint32Array) {
    this.words = record;
    this.signed = new Int32Array(record.buffer, record.byteOffset, record.length);
    this.times = new Float64Array(record.buffer, record.byteOffset, record.length / 2);
    this.bytes = new Uint8Array(record.buffer, record.byteOffset, record.byteLength);
  }

  get firstFlow(): number {
    return this.words[RECORD.firstFlow];
  }

  /** One that is not known here (a newer peer's) is a denial. */
  get verdict(): PacketVerdict {
    return (PACKET_VERDICTS as readonly (PacketVerdict | undefined)[])[this.byteOf(PACKET.kind, VERDICT_SHIFT)] ?? 'denied';
  }

  get direction(): PacketDirection {
    return this.byteOf(PACKET.kind, DIRECTION_SHIFT) === 0 ? 'egress' : 'ingress';
  }

  get tcpFlags(): number {
    return this.byteOf(PACKET.kind, TCP_FLAGS_SHIFT);
  }

  get endpointId(): number {
    return this.words[PACKET.endpoint] & 0xffff;
  }

  get interfaceIndex(): number {
    return this.words[PACKET.interface];
  }

  get protocol(): number {
    return this.byteOf(PACKET.protocol, 0);
  }

  get icmpType(): number {
    return this.byteOf(PACKET.protocol, TYPE_SHIFT);
  }

  get icmpCode(): number {
    return this.byteOf(PACKET.protocol, CODE_SHIFT);
  }

  get match(): number {
    return this.byteOf(PACKET.protocol, MATCH_SHIFT);
  }

  /** Milliseconds of CLOCK_BOOTTIME. */
  get atMs(): number {
    return recordTime(this.times, PACKET.atMs);
  }

  /** Time of day at boot, milliseconds since 1970. */
  get bootedAtMs(): number {
    return recordTime(this.times, PACKET.bootedAtMs);
  }

  get rule(): number {
    return this.signed[PACKET.rule];
  }

  get revision(): number {
    return this.words[PACKET.revision];
  }

  get sourcePort(): number {
    return this.words[PACKET.ports] & 0xffff;
  }

  get destinationPort(): number {
    return this.words[PACKET.ports] >>> 16;
  }

  /** Byte offset of 16 address bytes in `bytes`. */
  get sourceAt(): number {
    return PACKET.source * 4;
  }

  get destinationAt(): number {
    return PACKET.destination * 4;
  }

  get names(): readonly string[] {
    const length = Math.min(this.words[PACKET.endpoint] >>> 16, NAMES_BYTES_MAX);
    if (length === 0) return [];
    return String.fromCharCode(...this.bytes.subarray(NAMES_AT, NAMES_AT + length)).split('\n').filter((name) => name !== '');
  }

  private byteOf(word: number, shift: number): number {
    return (this.words[word] >>> shift) & 0xff;
  }
}
