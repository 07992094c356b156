/**
 * One nfnetlink batch of nftables set elements, as bytes: what opens addresses, in one transaction.
 *
 * Layout: struct nlmsghdr and nfgenmsg, attributes as in <linux/netfilter/nf_tables.h>; headers in host byte order, numbers in
 * attributes in network order. Each element is a message of its own that asks for an acknowledgement. Does not know who sends it.
 */
import { endianness } from 'node:os';
import { TABLE } from '../names.js';

const HEADER_BYTES = 16;
const FAMILY_BYTES = 4;
const ATTRIBUTE_BYTES = 4;

const SUBSYSTEM_NFTABLES = 10;
const BATCH_BEGIN = 16;
const BATCH_END = 17;
const NEW_SET_ELEMENT = (SUBSYSTEM_NFTABLES << 8) | 12;
const DELETE_SET_ELEMENT = (SUBSYSTEM_NFTABLES << 8) | 14;

const FLAG = { request: 1, ack: 4, create: 0x400 } as const;
const INET = 1;
const NESTED = 0x8000;
const ATTRIBUTE = { listTable: 1, listSet: 2, listElements: 3, listItem: 1, elementKey: 1, elementTimeout: 4, elementExpiration: 5, dataValue: 1 } as const;

/** The longest key: two IPv6 addresses. A name has at most 31 characters and its zero byte. */
const ELEMENT_BYTES_MAX = HEADER_BYTES + FAMILY_BYTES + 2 * (ATTRIBUTE_BYTES + 32) + 4 * ATTRIBUTE_BYTES + 2 * (ATTRIBUTE_BYTES + 8) + 32;
const FRAME_BYTES = 2 * (HEADER_BYTES + FAMILY_BYTES);

const LITTLE = endianness() === 'LE';

export class SetBatch {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private at = 0;
  private sequence = 0;
  private elements = 0;

  /** Room for so many elements. */
  constructor(capacity: number) {
    this.bytes = new Uint8Array(FRAME_BYTES + capacity * ELEMENT_BYTES_MAX);
    this.view = new DataView(this.bytes.buffer);
    this.begin();
  }

  /** Elements so far. */
  get size(): number {
    return this.elements;
  }

  get isFull(): boolean {
    return this.at + ELEMENT_BYTES_MAX + HEADER_BYTES + FAMILY_BYTES > this.bytes.length;
  }

  /** Adds the element, or sets its timeout anew (kernel 6.12). `key` is the concatenation of its fields, network byte order. */
  add(set: string, key: Uint8Array, timeoutMs: number): void {
    this.element(NEW_SET_ELEMENT, FLAG.request | FLAG.ack | FLAG.create, { set, key, timeoutMs });
  }

  /** Fails with ENOENT, and with it the batch, where there is none: add it first. */
  delete(set: string, key: Uint8Array): void {
    this.element(DELETE_SET_ELEMENT, FLAG.request | FLAG.ack, { set, key, timeoutMs: null });
  }

  /** The whole batch, valid until the next call; a new one begins. */
  take(): Uint8Array {
    this.message(BATCH_END, FLAG.request, 0, SUBSYSTEM_NFTABLES);
    const whole = this.bytes.subarray(0, this.at);
    this.begin();
    return whole;
  }

  private begin(): void {
    this.at = 0;
    this.sequence = 0;
    this.elements = 0;
    this.message(BATCH_BEGIN, FLAG.request, 0, SUBSYSTEM_NFTABLES);
  }

  private element(type: number, flags: number, { set, key, timeoutMs }: { set: string; key: Uint8Array; timeoutMs: number | null }): void {
    const start = this.message(type, flags, INET, 0);
    this.text(ATTRIBUTE.listTable, TABLE.name);
    this.text(ATTRIBUTE.listSet, set);
    const list = this.open(ATTRIBUTE.listElements);
    const item = this.open(ATTRIBUTE.listItem);
    const keyAt = this.open(ATTRIBUTE.elementKey);
    this.data(ATTRIBUTE.dataValue, key);
    this.close(keyAt);
    if (timeoutMs !== null) {
      this.number(ATTRIBUTE.elementTimeout, timeoutMs);
      this.number(ATTRIBUTE.elementExpiration, timeoutMs);
    }
    this.close(item);
    this.close(list);
    this.view.setUint32(start, this.at - start, LITTLE);
    this.elements++;
  }

  /** Returns where it starts; its length is that of header and family until it is set. */
  private message(type: number, flags: number, family: number, resource: number): number {
    const start = this.at;
    this.view.setUint32(start, HEADER_BYTES + FAMILY_BYTES, LITTLE);
    this.view.setUint16(start + 4, type, LITTLE);
    this.view.setUint16(start + 6, flags, LITTLE);
    this.view.setUint32(start + 8, ++this.sequence, LITTLE);
    this.view.setUint32(start + 12, 0, LITTLE);
    this.view.setUint8(start + 16, family);
    this.view.setUint8(start + 17, 0);
    this.view.setUint16(start + 18, resource);
    this.at += HEADER_BYTES + FAMILY_BYTES;
    return start;
  }

  private open(type: number): number {
    const start = this.at;
    this.view.setUint16(start + 2, type | NESTED, LITTLE);
    this.at += ATTRIBUTE_BYTES;
    return start;
  }

  private close(start: number): void {
    this.view.setUint16(start, this.at - start, LITTLE);
  }

  private data(type: number, value: Uint8Array): void {
    this.view.setUint16(this.at, ATTRIBUTE_BYTES + value.length, LITTLE);
    this.view.setUint16(this.at + 2, type, LITTLE);
    this.bytes.set(value, this.at + ATTRIBUTE_BYTES);
    this.pad(ATTRIBUTE_BYTES + value.length);
  }

  private text(type: number, value: string): void {
    this.view.setUint16(this.at, ATTRIBUTE_BYTES + value.length + 1, LITTLE);
    this.view.setUint16(this.at + 2, type, LITTLE);
    for (let i = 0; i < value.length; i++) this.bytes[this.at + ATTRIBUTE_BYTES + i] = value.charCodeAt(i);
    this.bytes[this.at + ATTRIBUTE_BYTES + value.length] = 0;
    this.pad(ATTRIBUTE_BYTES + value.length + 1);
  }

  private number(type: number, value: number): void {
    this.view.setUint16(this.at, ATTRIBUTE_BYTES + 8, LITTLE);
    this.view.setUint16(this.at + 2, type, LITTLE);
    this.view.setBigUint64(this.at + ATTRIBUTE_BYTES, BigInt(Math.max(1, Math.round(value))));
    this.at += ATTRIBUTE_BYTES + 8;
  }

  private pad(length: number): void {
    const padded = (length + 3) & ~3;
    this.bytes.fill(0, this.at + length, this.at + padded);
    this.at += padded;
  }
}
