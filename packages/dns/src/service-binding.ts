/**
 * Address hints in the data of SVCB and HTTPS records (RFC 9460).
 *
 * Invariant: offsets given out lie wholly inside the record's data; nothing else is read.
 * Does not know: parameters other than the two hints, beyond their shape.
 *
 * | Rule | Source |
 * |---|---|
 * | priority 0 is an alias, its parameters are ignored | RFC 9460 §2.4.2 |
 * | target name is not compressed | RFC 9460 §2.2 |
 * | keys strictly increasing, else the record is malformed | RFC 9460 §2.2 |
 * | ipv4hint and ipv6hint: one or more whole addresses | RFC 9460 §7.3 |
 */
import { MAX_LABEL_BYTES, MAX_NAME_BYTES, SVC_PARAM } from './constants.js';
import { SCAN } from './scan-code.js';

/** Most addresses of one family that are taken from one record; the rest are counted. */
export const MAX_HINTS = 64;

const PRIORITY_BYTES = 2;
const PARAM_HEADER_BYTES = 4;
const IPV4_BYTES = 4;
const IPV6_BYTES = 16;

/** One per thread, used again for every record. Offsets are relative to the message's start. */
export class ServiceBindingHints {
  /** 0 is an alias to the target name. */
  priority = 0;
  /** The target name, uncompressed; a lone root byte stands for the owner name (or "no service" in an alias). */
  targetOffset = 0;
  ipv4Count = 0;
  /** Each of a 4-byte address in network order. */
  readonly ipv4Offsets: Uint16Array = new Uint16Array(MAX_HINTS);
  ipv6Count = 0;
  /** Each of a 16-byte address in network order. */
  readonly ipv6Offsets: Uint16Array = new Uint16Array(MAX_HINTS);
  /** Addresses beyond `MAX_HINTS`, not taken. */
  droppedCount = 0;
}

/**
 * Reads a SVCB or HTTPS record's data, as found by `scanAnswer`.
 *
 * @param start absolute offset of the message
 * @param dataOffset of the data, relative to `start` (`AnswerView.dataOffset[i]`)
 * @param dataLength bytes of the data (`AnswerView.dataLength[i]`)
 * @returns `SCAN.ok` or `SCAN.recordData`; on an error no hint is given
 */
export function scanServiceBinding(
  bytes: Uint8Array,
  start: number,
  dataOffset: number,
  dataLength: number,
  out: ServiceBindingHints,
): number {
  out.priority = 0;
  out.targetOffset = 0;
  out.ipv4Count = 0;
  out.ipv6Count = 0;
  out.droppedCount = 0;
  const data = start + dataOffset;
  const end = data + dataLength;
  if (!(start >= 0 && dataOffset >= 0 && dataLength >= PRIORITY_BYTES + 1 && end <= bytes.length)) return SCAN.recordData;
  const firstParam = skipPlainName(bytes, data + PRIORITY_BYTES, end);
  if (firstParam === 0) return SCAN.recordData;
  const priority = (bytes[data] << 8) | bytes[data + 1];
  if (priority !== 0) {
    const code = readParams(bytes, start, firstParam, end, out);
    if (code !== SCAN.ok) {
      out.ipv4Count = 0;
      out.ipv6Count = 0;
      out.droppedCount = 0;
      return code;
    }
  }
  out.priority = priority;
  out.targetOffset = dataOffset + PRIORITY_BYTES;
  return SCAN.ok;
}

function readParams(bytes: Uint8Array, start: number, offset: number, end: number, out: ServiceBindingHints): number {
  let at = offset;
  let previousKey = -1;
  while (at < end) {
    const value = at + PARAM_HEADER_BYTES;
    if (value > end) return SCAN.recordData;
    const key = (bytes[at] << 8) | bytes[at + 1];
    const valueBytes = (bytes[at + 2] << 8) | bytes[at + 3];
    if (key <= previousKey || value + valueBytes > end) return SCAN.recordData;
    previousKey = key;
    if (key === SVC_PARAM.ipv4Hint || key === SVC_PARAM.ipv6Hint) {
      const addressBytes = key === SVC_PARAM.ipv4Hint ? IPV4_BYTES : IPV6_BYTES;
      if (valueBytes === 0 || valueBytes % addressBytes !== 0) return SCAN.recordData;
      const count = valueBytes / addressBytes;
      const taken = count > MAX_HINTS ? MAX_HINTS : count;
      const offsets = key === SVC_PARAM.ipv4Hint ? out.ipv4Offsets : out.ipv6Offsets;
      for (let i = 0; i < taken; i += 1) offsets[i] = value - start + i * addressBytes;
      if (key === SVC_PARAM.ipv4Hint) out.ipv4Count = taken;
      else out.ipv6Count = taken;
      out.droppedCount += count - taken;
    }
    at = value + valueBytes;
  }
  return SCAN.ok;
}

/** Offset after an uncompressed name; 0 if it is malformed or compressed. */
function skipPlainName(bytes: Uint8Array, offset: number, end: number): number {
  let at = offset;
  while (at < end) {
    const length = bytes[at];
    if (length > MAX_LABEL_BYTES) return 0;
    at += length + 1;
    if (at - offset > MAX_NAME_BYTES) return 0;
    if (length === 0) return at;
  }
  return 0;
}
