/**
 * Whether our tables are as they were written: a small look that costs the kernel next to nothing, so that it can be taken often.
 *
 * First the generation of the whole rule set, one number; only when that has moved, the chains of our tables with their use counts.
 * A chain's count is its rules, and the rules and map elements that name it: so a rule, a map element, a chain or a table that
 * somebody took away shows. Addresses taken out of plain sets do not. Does not know what the tables should be.
 */
import { endianness } from 'node:os';
import { NETLINK, netlinkExchange, type NetlinkReply } from 'node-reuseport';
import { BRIDGE_TABLE, GUARD_TABLE, PORT_TABLE, TABLE } from '../names.js';

const LITTLE = endianness() === 'LE';
const HEADER_BYTES = 16;
const FAMILY_BYTES = 4;
const GET_CHAIN = (10 << 8) | 4;
const GET_GENERATION = (10 << 8) | 16;
const FLAG = { request: 1, ack: 4, dump: 0x300 } as const;
const FAMILY = { inet: 1, netdev: 5, bridge: 7 } as const;
const ATTRIBUTE = { chainTable: 1, chainHandle: 2, chainName: 3, chainUse: 6, generation: 1 } as const;
const DEADLINE_MS = 2000;
const BYTES_MAX = 4 * 1024 * 1024;
/** The tables changed while they were told, as where addresses are being opened all the time. */
const EAGAIN = 11;
const TRIES_MAX = 8;
const TABLES = [TABLE, GUARD_TABLE, BRIDGE_TABLE, PORT_TABLE];

/** Equal for equal states; null where the kernel did not say. */
export type Fingerprint = string | null;

/** Grows with every change of any table of the namespace; null where the kernel did not say. */
export async function generation(): Promise<number | null> {
  const reply = await ask(message(GET_GENERATION, FLAG.request | FLAG.ack, 0, null));
  if (reply === null) return null;
  for (const attributes of bodies(reply.messages)) {
    const value = attributes.get(ATTRIBUTE.generation);
    if (value?.length === 4) return new DataView(value.buffer, value.byteOffset).getUint32(0);
  }
  return null;
}

export async function fingerprint(): Promise<Fingerprint> {
  const texts: string[] = [];
  for (const { family, name } of TABLES) {
    const reply = await ask(message(GET_CHAIN, FLAG.request | FLAG.dump, FAMILY[family], name));
    if (reply === null) return null;
    for (const attributes of bodies(reply.messages)) {
      const fields = [ATTRIBUTE.chainTable, ATTRIBUTE.chainName, ATTRIBUTE.chainHandle, ATTRIBUTE.chainUse].map((one) => hex(attributes.get(one)));
      // Not every kernel keeps to the table that was asked for.
      if (fields[0] === hex(textBytes(name))) texts.push(`${family} ${fields.join(' ')}`);
    }
  }
  return texts.sort().join('\n');
}

/** null: there is no socket to be had, or the kernel does not say. */
async function ask(request: Uint8Array): Promise<NetlinkReply | null> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    try {
      const reply = await netlinkExchange({ protocol: NETLINK.netfilter, request, deadlineMs: DEADLINE_MS, bytesMax: BYTES_MAX });
      if (reply.errno === 0) return reply;
      if (reply.errno !== EAGAIN) return null;
    } catch {
      return null;
    }
  }
  return null;
}

function message(type: number, flags: number, family: number, table: string | null): Uint8Array {
  const text = table === null ? null : textBytes(table);
  const attributeBytes = text === null ? 0 : (4 + text.length + 3) & ~3;
  const bytes = new Uint8Array(HEADER_BYTES + FAMILY_BYTES + attributeBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, LITTLE);
  view.setUint16(4, type, LITTLE);
  view.setUint16(6, flags, LITTLE);
  view.setUint32(8, 1, LITTLE);
  bytes[HEADER_BYTES] = family;
  if (text !== null) {
    view.setUint16(HEADER_BYTES + FAMILY_BYTES, 4 + text.length, LITTLE);
    view.setUint16(HEADER_BYTES + FAMILY_BYTES + 2, ATTRIBUTE.chainTable, LITTLE);
    bytes.set(text, HEADER_BYTES + FAMILY_BYTES + 4);
  }
  return bytes;
}

/** The attributes of each message; what makes no sense ends it. */
function* bodies(bytes: Uint8Array): Generator<Map<number, Uint8Array>> {
  if (bytes.length === 0) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
    const length = view.getUint32(at, LITTLE);
    if (length < HEADER_BYTES || at + length > bytes.length) return;
    const attributes = new Map<number, Uint8Array>();
    for (let field = at + HEADER_BYTES + FAMILY_BYTES; field + 4 <= at + length; ) {
      const size = view.getUint16(field, LITTLE);
      if (size < 4 || field + size > at + length) break;
      attributes.set(view.getUint16(field + 2, LITTLE) & 0x3fff, bytes.subarray(field + 4, field + size));
      field += (size + 3) & ~3;
    }
    yield attributes;
    at += (length + 3) & ~3;
  }
}

function textBytes(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}

function hex(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? '' : Buffer.from(bytes).toString('hex');
}
