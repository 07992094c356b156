/** Addresses in the rows of the connection table. As keys they cost little, as text (canonical) more: for what is told, not for what is looked at. */
import { ADDRESS_BYTES, formatAddress, parseAddress } from '@tandem/core';

/** IPv4: the number that the address is. IPv6: eight characters, one per group. Equal addresses have equal keys, in this process. */
export type AddressKey = number | string;

const MAPPED = 0xffff;
const GROUPS = 8;

/** `at`: index of the first of the address's four words. */
export function addressKey(rows: Uint32Array, at: number): AddressKey {
  const [first, second, third, fourth] = [rows[at], rows[at + 1], rows[at + 2], rows[at + 3]];
  if (first === 0 && second === 0 && third === MAPPED) return fourth;
  return String.fromCharCode(
    first >>> 16, first & 0xffff, second >>> 16, second & 0xffff, third >>> 16, third & 0xffff, fourth >>> 16, fourth & 0xffff,
  );
}

/** null for what is no address. */
export function keyOfText(address: string): AddressKey | null {
  const bytes = parseAddress(address);
  if (bytes === null) return null;
  const view = new DataView(bytes.buffer);
  return addressKey(Uint32Array.of(view.getUint32(0), view.getUint32(4), view.getUint32(8), view.getUint32(12)), 0);
}

export function textOfKey(key: AddressKey): string {
  if (typeof key === 'number') return `${key >>> 24}.${(key >>> 16) & 255}.${(key >>> 8) & 255}.${key & 255}`;
  const bytes = new Uint8Array(ADDRESS_BYTES);
  for (let i = 0; i < GROUPS; i++) {
    bytes[2 * i] = key.charCodeAt(i) >>> 8;
    bytes[2 * i + 1] = key.charCodeAt(i) & 255;
  }
  return formatAddress(bytes);
}
