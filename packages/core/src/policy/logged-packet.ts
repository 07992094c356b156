/**
 * A packet that the kernel judged and logged: the seam between who reads the kernel's log and who keeps flows. The first packet of a
 * connection that was allowed, and each packet that was turned away, as far as the log's rate allows.
 *
 * Does not know: policies and pods by name; the numbers here are the kernel's and the snapshot's.
 */
import type { MonoMs } from '../base/seams.js';

export const PACKET_DIRECTIONS = ['egress', 'ingress'] as const;
/** Seen from the local pod that was judged. */
export type PacketDirection = (typeof PACKET_DIRECTIONS)[number];

export const PACKET_VERDICTS = ['allowed', 'denied', 'stranger', 'audited', 'audited-stranger'] as const;
/** `stranger`: the address is a local pod's, and the packet came from elsewhere (IDENTITY_STALE). Both that are audited would have been refused, and audit mode let them pass. */
export type PacketVerdict = (typeof PACKET_VERDICTS)[number];

/** Characters of a rule set's key that the kernel's log repeats: its first ones. */
export const LOGGED_KEY_LENGTH = 16;

export interface LoggedPacket {
  readonly direction: PacketDirection;
  readonly verdict: PacketVerdict;
  /** The first LOGGED_KEY_LENGTH hex digits of the key of the rule set that judged; null: none did. */
  readonly ruleSet: string | null;
  /** Index in that rule set of the rule that allowed or denied; null: none did. */
  readonly rule: number | null;
  /** 16 bytes each, network byte order; IPv4 is IPv4-mapped. After address translation, as far as it has happened. */
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  /** IP protocol number; of IPv6 that behind the extension headers. */
  readonly protocol: number;
  /** 0 where the protocol has none, or they lie beyond what was logged. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Byte 13 of a TCP header (RFC 9293 §3.1); 0 otherwise. */
  readonly tcpFlags: number;
  /** ICMP and ICMPv6; 0 otherwise. */
  readonly icmpType: number;
  readonly icmpCode: number;
  /** Index of the pod's side: egress where it came in, ingress where it leaves; 0: the log did not say. */
  readonly interfaceIndex: number;
  /** When it was read. */
  readonly atMs: MonoMs;
}
