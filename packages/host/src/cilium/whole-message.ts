/**
 * Are these bytes a whole protobuf message, to the last one? The generated decoder stops without a word at a field number of zero, and
 * lets a message within another reach beyond its end: what it makes of such bytes is a part of the message, and here a part is nothing.
 */

/** The fields that are messages themselves, by number. */
export interface Shape {
  readonly [field: number]: Shape;
}

export const POLICY_STATE: Shape = { 1: { 3: {} }, 3: { 2: {} }, 4: {} };
export const FQDN_MAPPING: Shape = { 7: { 1: {}, 2: {} } };
export const NO_MESSAGES: Shape = {};

const WIRE_TYPE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;
const VARINT_BYTES_MAX = 10;
const FIELD_MAX = 2 ** 29 - 1;

export function isWhole(bytes: Uint8Array, shape: Shape, start = 0, end = bytes.length): boolean {
  let at = start;
  /** Of `end`, or less: the bytes ended in the middle. */
  const varint = (): number => {
    let value = 0;
    for (let i = 0; i < VARINT_BYTES_MAX && at < end; i++) {
      const byte = bytes[at++];
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    return NaN;
  };
  while (at < end) {
    const tag = varint();
    const field = Math.floor(tag / 8);
    if (!(field >= 1 && field <= FIELD_MAX)) return false;
    switch (tag % 8) {
      case WIRE_TYPE.varint:
        if (Number.isNaN(varint())) return false;
        break;
      case WIRE_TYPE.fixed64:
        at += 8;
        break;
      case WIRE_TYPE.fixed32:
        at += 4;
        break;
      case WIRE_TYPE.bytes: {
        const length = varint();
        if (!(length <= end - at)) return false;
        const nested = Object.hasOwn(shape, field) ? shape[field] : null;
        if (nested !== null && !isWhole(bytes, nested, at, at + length)) return false;
        at += length;
        break;
      }
      default:
        return false;
    }
  }
  return at === end;
}
