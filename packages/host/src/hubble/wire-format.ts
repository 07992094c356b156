/** The protobuf wire format, as far as messages are cut and framed here without decoding them. */

export const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

const VARINT_BYTES_MAX = 10;
const FIXED64_BYTES = 8;
const FIXED32_BYTES = 4;

export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}

/** Where it ends. Numbers up to 2^53. */
export function writeVarint(out: Uint8Array, at: number, value: number): number {
  let rest = value;
  let end = at;
  while (rest >= 0x80) {
    out[end++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  out[end++] = rest;
  return end;
}

/** One field of a message in bytes. */
export interface WireField {
  number: number;
  type: number;
  /** Of the tag. */
  start: number;
  /** Of what follows the tag, and, of `bytes`, the length. */
  content: number;
  end: number;
}

/** Goes through the fields of a message. What is no message ends it early: the bytes here are of our own encoder. */
export class WireReader {
  readonly field: WireField = { number: 0, type: 0, start: 0, content: 0, end: 0 };
  private readonly bytes: Uint8Array;
  private readonly end: number;
  private at: number;
  private value = 0;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  /** Fills `field`; false at the end. */
  next(): boolean {
    const { field } = this;
    field.start = this.at;
    if (this.at >= this.end || !this.varint()) return false;
    field.number = Math.floor(this.value / 8);
    field.type = this.value % 8;
    field.content = this.at;
    if (!this.skip(field.type)) return false;
    field.end = this.at;
    return field.end <= this.end;
  }

  private skip(type: number): boolean {
    switch (type) {
      case WIRE.varint:
        return this.varint();
      case WIRE.fixed64:
        this.at += FIXED64_BYTES;
        return true;
      case WIRE.bytes:
        if (!this.varint()) return false;
        this.field.content = this.at;
        this.at += this.value;
        return true;
      case WIRE.fixed32:
        this.at += FIXED32_BYTES;
        return true;
      default:
        return false;
    }
  }

  private varint(): boolean {
    let factor = 1;
    this.value = 0;
    for (let i = 0; i < VARINT_BYTES_MAX && this.at < this.end; i++, factor *= 0x80) {
      const byte = this.bytes[this.at++];
      this.value += (byte & 0x7f) * factor;
      if (byte < 0x80) return true;
    }
    return false;
  }
}
