/**
 * Data of SVCB and HTTPS records ↔ plain values (RFC 9460 §2.2), which dns-packet does not know.
 *
 * Invariant: what is read has strictly increasing keys; what is written is sorted by key.
 * Does not know: what a parameter's value means.
 */
import { nameFromString, nameToString } from '../name.js';
import { MAX_NAME_BYTES, HEADER_BYTES } from '../constants.js';
import { skipName } from '../wire-name.js';

/** One service parameter: key and value as on the wire. */
export interface ServiceParam {
  readonly key: number;
  readonly value: Uint8Array;
}

export interface ServiceData {
  readonly priority: number;
  readonly target: string;
  readonly params: readonly ServiceParam[];
}

const PRIORITY_BYTES = 2;
const PARAM_HEADER_BYTES = 4;

/** The data that fills `bytes`; null if malformed. */
export function decodeService(bytes: Uint8Array): ServiceData | null {
  if (bytes.length <= PRIORITY_BYTES) return null;
  // The name stands alone in a copy with room for a header before it, so no pointer in it can lead anywhere.
  const alone = new Uint8Array(HEADER_BYTES + Math.min(bytes.length - PRIORITY_BYTES, MAX_NAME_BYTES));
  alone.set(bytes.subarray(PRIORITY_BYTES, PRIORITY_BYTES + alone.length - HEADER_BYTES), HEADER_BYTES);
  const nameEnd = skipName(alone, 0, alone.length, HEADER_BYTES);
  if (nameEnd === 0) return null;
  const params: ServiceParam[] = [];
  let previousKey = -1;
  let at = PRIORITY_BYTES + nameEnd - HEADER_BYTES;
  while (at < bytes.length) {
    const value = at + PARAM_HEADER_BYTES;
    if (value > bytes.length) return null;
    const key = (bytes[at] << 8) | bytes[at + 1];
    const end = value + ((bytes[at + 2] << 8) | bytes[at + 3]);
    if (key <= previousKey || end > bytes.length) return null;
    params.push({ key, value: bytes.slice(value, end) });
    previousKey = key;
    at = end;
  }
  return { priority: (bytes[0] << 8) | bytes[1], target: nameToString(alone, 0, HEADER_BYTES), params };
}

/** The data as bytes; a string that says what is wrong where it cannot be written. */
export function encodeService(
  priority: number,
  target: string,
  params: readonly ServiceParam[],
): Uint8Array | string {
  const name = nameFromString(target);
  if (name === null) return `'${target}' is no name`;
  if (!Number.isInteger(priority) || priority < 0 || priority > 0xffff) return `priority ${String(priority)} is out of range`;
  const sorted = [...params].sort((a, b) => a.key - b.key);
  const parts: number[] = [priority >>> 8, priority & 0xff, ...name];
  let previousKey = -1;
  for (const { key, value } of sorted) {
    if (!Number.isInteger(key) || key < 0 || key > 0xffff) return `key ${String(key)} is out of range`;
    if (key === previousKey) return `key ${String(key)} is given twice`;
    if (value.length > 0xffff) return `the value of key ${String(key)} is too long`;
    parts.push(key >>> 8, key & 0xff, value.length >>> 8, value.length & 0xff, ...value);
    previousKey = key;
  }
  return Uint8Array.from(parts);
}
