/**
 * Netlink messages as bytes: headers and attributes, written and read (linux/netlink.h, linux/rtnetlink.h).
 *
 * Invariant: whatever the bytes, nothing outside of them is read and nothing is thrown: what is cut short ends the list.
 * Lengths and numbers are in the byte order of the machine; values of attributes are the caller's.
 * Does not know: sockets, and what a message is about.
 */
import { endianness } from 'node:os';

export const isLittleEndian = endianness() === 'LE';

/** struct nlmsghdr. */
const HEADER_BYTES = 16;
/** struct nlattr. */
const ATTRIBUTE_HEADER_BYTES = 4;
/** Two bits of an attribute's type that say how it is written (NLA_TYPE_MASK). */
const ATTRIBUTE_TYPE_MASK = 0x3fff;
const NESTED = 0x8000;

export const NLM_F = { request: 1, ack: 4, replace: 0x100, excl: 0x200, create: 0x400, dump: 0x300 } as const;

const aligned = (length: number): number => (length + 3) & ~3;

/** One attribute: its type, and its bytes, which may be other attributes. */
export type Attribute = readonly [type: number, value: Uint8Array | readonly Attribute[]];

/** `body`: the fixed part behind the header. Padded, so that messages can stand one behind the other. */
export function message(type: number, options: { readonly flags: number; readonly sequence?: number }, body: Uint8Array, attributes: readonly Attribute[] = []): Uint8Array {
  const rest = attributeBytes(attributes);
  const bodyBytes = aligned(body.length);
  const bytes = new Uint8Array(HEADER_BYTES + bodyBytes + rest.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, isLittleEndian);
  view.setUint16(4, type, isLittleEndian);
  view.setUint16(6, options.flags | NLM_F.request, isLittleEndian);
  view.setUint32(8, options.sequence ?? 0, isLittleEndian);
  bytes.set(body, HEADER_BYTES);
  bytes.set(rest, HEADER_BYTES + bodyBytes);
  return bytes;
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

export function bytes32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, isLittleEndian);
  return bytes;
}

/** With its final zero. */
export function textBytes(text: string): Uint8Array {
  return Uint8Array.from([...new TextEncoder().encode(text), 0]);
}

/** Attributes one behind the other, as they stand in a message or behind a fixed part in an attribute. */
export function attributeBytes(attributes: readonly Attribute[]): Uint8Array {
  return joined(attributes.map(([type, value]) => {
    const isNested = !(value instanceof Uint8Array);
    const content = isNested ? attributeBytes(value) : value;
    const bytes = new Uint8Array(aligned(ATTRIBUTE_HEADER_BYTES + content.length));
    const view = new DataView(bytes.buffer);
    view.setUint16(0, ATTRIBUTE_HEADER_BYTES + content.length, isLittleEndian);
    view.setUint16(2, isNested ? type | NESTED : type, isLittleEndian);
    bytes.set(content, ATTRIBUTE_HEADER_BYTES);
    return bytes;
  }));
}

export interface Message {
  readonly type: number;
  readonly flags: number;
  /** All behind the header, a view into the given bytes. */
  readonly body: Uint8Array;
}

export function messagesOf(bytes: Uint8Array): Message[] {
  // An empty one may be without memory.
  if (bytes.length < HEADER_BYTES) return [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: Message[] = [];
  for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
    const length = view.getUint32(at, isLittleEndian);
    if (length < HEADER_BYTES || at + length > bytes.length) break;
    found.push({
      type: view.getUint16(at + 4, isLittleEndian),
      flags: view.getUint16(at + 6, isLittleEndian),
      body: bytes.subarray(at + HEADER_BYTES, at + length),
    });
    at += aligned(length);
  }
  return found;
}

/** By type; of two of one type the last counts. `from`: the length of the fixed part before them. */
export function attributesOf(body: Uint8Array, from = 0): ReadonlyMap<number, Uint8Array> {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const found = new Map<number, Uint8Array>();
  for (let at = aligned(from); at + ATTRIBUTE_HEADER_BYTES <= body.length; ) {
    const length = view.getUint16(at, isLittleEndian);
    if (length < ATTRIBUTE_HEADER_BYTES || at + length > body.length) break;
    found.set(view.getUint16(at + 2, isLittleEndian) & ATTRIBUTE_TYPE_MASK, body.subarray(at + ATTRIBUTE_HEADER_BYTES, at + length));
    at += aligned(length);
  }
  return found;
}

/** null: absent, or too short for one. */
export function number32(bytes: Uint8Array | undefined, at = 0): number | null {
  if (bytes === undefined || bytes.length < at + 4) return null;
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(at, isLittleEndian);
}

export function number16(bytes: Uint8Array | undefined, at = 0): number | null {
  if (bytes === undefined || bytes.length < at + 2) return null;
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint16(at, isLittleEndian);
}

/** Up to its first zero; '' where it is absent. */
export function textOf(bytes: Uint8Array | undefined): string {
  if (bytes === undefined) return '';
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
