/** IP addresses: canonical presentation form ↔ 4 or 16 bytes in network order. */
import { parseAddress, formatAddress } from '@tandem/core';

/** 4 bytes for IPv4, 16 for IPv6. The text is one that `formatAddress` wrote. */
export function addressToBytes(text: string): Uint8Array {
  const bytes = parseAddress(text);
  if (bytes === null) throw new RangeError(`not an IP address: ${text}`);
  return text.includes(':') ? bytes : bytes.subarray(12);
}

/** Canonical text, or null when the length is neither 4 nor 16. */
export function addressFromBytes(bytes: Uint8Array): string | null {
  if (bytes.length === 16) return formatAddress(bytes);
  if (bytes.length !== 4) return null;
  const mapped = new Uint8Array(16);
  mapped[10] = mapped[11] = 0xff;
  mapped.set(bytes, 12);
  return formatAddress(mapped);
}
