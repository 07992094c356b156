/**
 * Field masks of flows, applied to their bytes: fields that are wanted are copied, the others passed over, nothing is decoded. The stock
 * client sends one with every request.
 */
import { AppError } from '@tandem/core';
import { FLOW_FIELDS, type MessageFields } from './flow-fields.js';
import { quoted } from './filter-names.js';
import { varintBytes, WIRE, WireReader, writeVarint } from './wire-format.js';

/** Cuts a flow's bytes to the fields that are wanted. */
export type FieldMask = (bytes: Uint8Array) => Uint8Array;

export const PATHS_MAX = 256;

/** Field number to what is wanted of it: all, or some fields of the message that it is. */
type Wanted = Map<number, Wanted | 'all'>;

/** Null where there are no paths: everything is wanted. @throws AppError USAGE for a path that a flow does not have. */
export function compileFieldMask(paths: readonly string[]): FieldMask | null {
  if (paths.length === 0) return null;
  if (paths.length > PATHS_MAX) throw new AppError('USAGE', `field_mask has ${paths.length} paths; allowed: ${PATHS_MAX}`);
  const wanted: Wanted = new Map();
  for (const path of paths) add(wanted, path);
  return (bytes) => {
    const out = new Uint8Array(bytes.length);
    return out.subarray(0, copy(new WireReader(bytes), bytes, wanted, { bytes: out, at: 0 }));
  };
}

function add(root: Wanted, path: string): void {
  let wanted = root;
  let fields: MessageFields = FLOW_FIELDS;
  const names = path.split('.');
  for (const [depth, name] of names.entries()) {
    if (!Object.hasOwn(fields, name)) throw new AppError('USAGE', `field_mask: a flow has no field ${quoted(path.slice(0, 200))}`);
    const field = fields[name];
    const { number, fields: inner } = typeof field === 'number' ? { number: field, fields: {} } : field;
    const before = wanted.get(number);
    if (before === 'all') return;
    if (depth === names.length - 1) {
      wanted.set(number, 'all');
      return;
    }
    const next: Wanted = before ?? new Map<number, Wanted | 'all'>();
    wanted.set(number, next);
    wanted = next;
    fields = inner;
  }
}

interface Output {
  readonly bytes: Uint8Array;
  at: number;
}

/** Where the output ends. It is never longer than what it is taken from. */
function copy(reader: WireReader, bytes: Uint8Array, wanted: Wanted, out: Output): number {
  const { field } = reader;
  while (reader.next()) {
    const part = wanted.get(field.number);
    if (part === undefined) continue;
    if (part === 'all' || field.type !== WIRE.bytes) {
      out.bytes.set(bytes.subarray(field.start, field.end), out.at);
      out.at += field.end - field.start;
    } else {
      out.at = writeVarint(out.bytes, out.at, field.number * 8 + WIRE.bytes);
      copyMessage(new WireReader(bytes, field.content, field.end), bytes, part, out);
    }
  }
  return out.at;
}

/** Its length goes before it, and is known after it. */
function copyMessage(reader: WireReader, bytes: Uint8Array, wanted: Wanted, out: Output): void {
  const lengthAt = out.at++;
  const length = copy(reader, bytes, wanted, out) - lengthAt - 1;
  const extra = varintBytes(length) - 1;
  if (extra > 0) {
    out.bytes.copyWithin(lengthAt + 1 + extra, lengthAt + 1, out.at);
    out.at += extra;
  }
  writeVarint(out.bytes, lengthAt, length);
}
