/**
 * The OPT record (RFC 6891), read into whichever view found it.
 *
 * Invariant: fields describe the one OPT record, or say that there is none.
 * Does not know: what the options mean, only that they fit.
 */
import { MIN_UDP_BYTES, OPTION_HEADER_BYTES, OPT_FIXED_BYTES } from './constants.js';
import { SCAN } from './scan-code.js';

/** What both views know of EDNS. Offsets are absolute. */
export interface EdnsFields {
  hasEdns: boolean;
  /** Largest UDP message that the sender takes, in bytes: never below 512, and 512 without EDNS. */
  ednsUdpSize: number;
  ednsVersion: number;
  /** The DO bit (RFC 3225). */
  ednsDnssecOk: boolean;
  /** Upper 8 bits of the response code. */
  ednsRcodeHigh: number;
  /** The OPT record's first byte (its root owner); 0 without EDNS. */
  ednsOffset: number;
  /** After the OPT record's last byte; 0 without EDNS. */
  ednsEnd: number;
}

/** The DO bit in the high byte of OPT's flags. */
const DNSSEC_OK_HIGH = 0x80;

export function resetEdns(out: EdnsFields): void {
  out.hasEdns = false;
  out.ednsUdpSize = MIN_UDP_BYTES;
  out.ednsVersion = 0;
  out.ednsDnssecOk = false;
  out.ednsRcodeHigh = 0;
  out.ednsOffset = 0;
  out.ednsEnd = 0;
}

/** Fills `out` from the OPT record in [offset, end), whose root owner and length the caller has checked. */
export function readEdns(bytes: Uint8Array, offset: number, end: number, out: EdnsFields): number {
  const udpSize = (bytes[offset + 3] << 8) | bytes[offset + 4];
  out.hasEdns = true;
  out.ednsUdpSize = udpSize < MIN_UDP_BYTES ? MIN_UDP_BYTES : udpSize;
  out.ednsRcodeHigh = bytes[offset + 5]!;
  out.ednsVersion = bytes[offset + 6]!;
  out.ednsDnssecOk = (bytes[offset + 7] & DNSSEC_OK_HIGH) !== 0;
  out.ednsOffset = offset;
  out.ednsEnd = end;
  let at = offset + OPT_FIXED_BYTES;
  while (at < end) {
    if (at + OPTION_HEADER_BYTES > end) return SCAN.ednsOptions;
    at += OPTION_HEADER_BYTES + ((bytes[at + 2] << 8) | bytes[at + 3]);
  }
  return at === end ? SCAN.ok : SCAN.ednsOptions;
}
