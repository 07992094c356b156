/**
 * Addresses in the bytes of Cilium's FQDNData messages: raw in what the agent says of endpoints and prefixes, text in what a proxy says of
 * mappings. Both are read in both places, whatever the bytes: what is neither is null, never an exception.
 */
import { canonicalAddress, parsePrefix } from '@tandem/core';
import { addressFromBytes } from '@tandem/proto';

/** The longest text: an IPv6 address that ends in dotted decimal. */
const ADDRESS_TEXT_MAX = 45;
const PREFIX_TEXT_MAX = ADDRESS_TEXT_MAX + '/128'.length;
const V4_BYTES = 4;
const V6_BYTES = 16;

/** Of a field that holds 4 or 16 raw bytes: canonical text; null if it is no address. */
export function addressOfRaw(bytes: Uint8Array): string | null {
  return addressFromBytes(bytes) ?? addressText(bytes);
}

/** Of a field that holds text: a text of 4 or 16 characters is taken for text. */
export function addressOfText(bytes: Uint8Array): string | null {
  return addressText(bytes) ?? addressFromBytes(bytes);
}

/** Address bytes and one more for the length, or text; canonical, host bits zero; null if it is neither. */
export function prefixOf(bytes: Uint8Array): string | null {
  if (bytes.length !== V4_BYTES + 1 && bytes.length !== V6_BYTES + 1) return prefixText(bytes);
  const address = addressFromBytes(bytes.subarray(0, -1));
  const length = bytes[bytes.length - 1];
  // The length of an IPv4-mapped prefix counts the 96 bits in front of it.
  if (address === null || bytes.length === V4_BYTES + 1 || address.includes(':')) return address === null ? null : (parsePrefix(`${address}/${length}`)?.cidr ?? null);
  return length < 96 || length > 128 ? null : (parsePrefix(`${address}/${length - 96}`)?.cidr ?? null);
}

/** As the agent reads it: the text of an address. */
export function textBytes(address: string): Buffer {
  return Buffer.from(address, 'latin1');
}

function addressText(bytes: Uint8Array): string | null {
  return bytes.length > ADDRESS_TEXT_MAX ? null : canonicalAddress(Buffer.from(bytes).toString('latin1'));
}

function prefixText(bytes: Uint8Array): string | null {
  if (bytes.length > PREFIX_TEXT_MAX) return null;
  const text = Buffer.from(bytes).toString('latin1');
  return text.includes('/') ? (parsePrefix(text)?.cidr ?? null) : null;
}
