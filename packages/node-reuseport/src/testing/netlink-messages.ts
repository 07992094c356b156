/** Writes and reads netlink messages, just enough of them for the tests. Numbers are of <linux/netlink.h> and its like. */

export const Flag = { REQUEST: 1, ACK: 4, DUMP: 0x300, EXCL: 0x200, CREATE: 0x400 } as const;

const headerBytes = 16;
const align = (length: number): number => (length + 3) & ~3;

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export function message(type: number, flags: number, sequence: number, ...content: readonly Uint8Array[]): Uint8Array {
  const body = concat(...content);
  const all = new Uint8Array(align(headerBytes + body.length));
  const view = new DataView(all.buffer);
  view.setUint32(0, headerBytes + body.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags | Flag.REQUEST, true);
  view.setUint32(8, sequence, true);
  all.set(body, headerBytes);
  return all;
}

export function attribute(type: number, ...content: readonly Uint8Array[]): Uint8Array {
  const body = concat(...content);
  const all = new Uint8Array(align(4 + body.length));
  const view = new DataView(all.buffer);
  view.setUint16(0, 4 + body.length, true);
  view.setUint16(2, type, true);
  all.set(body, 4);
  return all;
}

const nested = 0x8000;
export const nest = (type: number, ...content: readonly Uint8Array[]): Uint8Array => attribute(type | nested, ...content);
export const text = (value: string): Uint8Array => new TextEncoder().encode(`${value}\0`);

/** Big-endian, as nfnetlink has it. */
export function be32(value: number): Uint8Array {
  const all = new Uint8Array(4);
  new DataView(all.buffer).setUint32(0, value);
  return all;
}

export interface Received {
  readonly type: number;
  readonly sequence: number;
  readonly body: Uint8Array;
}

export function messagesIn(bytes: Uint8Array): readonly Received[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const all: Received[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = view.getUint32(at, true);
    all.push({ type: view.getUint16(at + 4, true), sequence: view.getUint32(at + 8, true), body: bytes.subarray(at + headerBytes, at + length) });
    at += align(length);
  }
  return all;
}

const nfnetlink = (subsystem: number, type: number): number => (subsystem << 8) | type;
/** struct nfgenmsg. */
const generic = (family: number, resource = 0): Uint8Array => Uint8Array.of(family, 0, resource >> 8, resource & 255);
const nftables = 10;
const inet = 1;

/** A transaction of nftables: begin, the messages, end. */
export function batch(...messages: readonly Uint8Array[]): Uint8Array {
  return concat(message(16, 0, 0, generic(0, nftables)), ...messages, message(17, 0, 0, generic(0, nftables)));
}

export function newTable(sequence: number, name: string, flags = 0): Uint8Array {
  return message(nfnetlink(nftables, 0), Flag.ACK | Flag.CREATE | flags, sequence, generic(inet), attribute(1, text(name)));
}

export function setElements(op: 'add' | 'delete', sequence: number, where: { table: string; set: string }, addresses: readonly number[]): Uint8Array {
  const elements = addresses.map((address) => nest(1, nest(1, attribute(1, be32(address)))));
  return message(
    nfnetlink(nftables, op === 'add' ? 12 : 14),
    Flag.ACK | (op === 'add' ? Flag.CREATE : 0),
    sequence,
    generic(inet),
    attribute(1, text(where.table)),
    attribute(2, text(where.set)),
    nest(3, ...elements),
  );
}

/** struct ifinfomsg, for RTM_GETLINK (18) and RTM_NEWLINK (16). */
export const linkInfo = (index = 0): Uint8Array => {
  const all = new Uint8Array(16);
  new DataView(all.buffer).setInt32(4, index, true);
  return all;
};
