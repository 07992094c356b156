/**
 * Messages written by hand for this package's tests: with compression, with lies in the counts, with any bytes in labels.
 *
 * Invariant: writes what it is told, right or wrong; it is deliberately plain, since the scanner is held to it.
 * Does not know: limits.
 */

/** A name as its labels' bytes, root not included. */
export type Labels = readonly (readonly number[])[];

/** The labels of a plain ASCII name: 'www.example.org'; '' and '.' are the root. */
export function labelsOf(text: string): Labels {
  const labels: number[][] = [];
  for (const label of text.split('.')) {
    if (label !== '') labels.push([...label].map((character) => character.charCodeAt(0)));
  }
  return labels;
}

/** Bytes from hexadecimal text; white space is ignored. */
export function hex(text: string): Uint8Array {
  const digits = text.replace(/\s/g, '');
  const bytes = new Uint8Array(digits.length / 2);
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = parseInt(digits.slice(i * 2, i * 2 + 2), 16);
  return bytes;
}

/** Position of each section's count in the header. */
export const COUNT_AT = { question: 4, answer: 6, authority: 8, additional: 10 } as const;
export type Section = 'answer' | 'authority' | 'additional';

export class MessageWriter {
  readonly bytes: number[] = [];
  /** Offset at which each name, letter case included, was written; those that must not be compressed are not pointed at. */
  private readonly known = new Map<string, number>();
  private readonly compress: boolean;

  constructor(header: { id?: number; flags?: number; compress?: boolean } = {}) {
    this.compress = header.compress ?? true;
    this.u16(header.id ?? 0x1234);
    this.u16(header.flags ?? 0x0100);
    for (let i = 0; i < 8; i += 1) this.bytes.push(0);
  }

  u8(value: number): this {
    this.bytes.push(value & 0xff);
    return this;
  }

  u16(value: number): this {
    return this.u8(value >>> 8).u8(value);
  }

  u32(value: number): this {
    return this.u16(value >>> 16).u16(value);
  }

  raw(bytes: Iterable<number>): this {
    for (const byte of bytes) this.bytes.push(byte);
    return this;
  }

  /** Adds one to a section's count. */
  count(section: keyof typeof COUNT_AT): this {
    const at = COUNT_AT[section];
    const value = ((this.bytes[at] << 8) | this.bytes[at + 1]) + 1;
    this.bytes[at] = value >>> 8;
    this.bytes[at + 1] = value & 0xff;
    return this;
  }

  name(labels: Labels, compress: boolean = this.compress): this {
    for (let i = 0; i < labels.length; i += 1) {
      if (compress) {
        const key = JSON.stringify(labels.slice(i));
        const at = this.known.get(key);
        if (at !== undefined) return this.u16(0xc000 | at);
        if (this.bytes.length < 0x4000) this.known.set(key, this.bytes.length);
      }
      this.u8(labels[i].length).raw(labels[i]);
    }
    return this.u8(0);
  }

  question(labels: Labels, type = 1, klass = 1): this {
    return this.count('question').name(labels).u16(type).u16(klass);
  }

  /** A record whose data `write` puts down; its length is filled in afterwards. */
  record(
    section: Section,
    owner: Labels,
    fields: { type: number; class?: number; ttlSeconds?: number },
    write: (writer: this) => void,
  ): this {
    this.count(section).name(owner).u16(fields.type).u16(fields.class ?? 1).u32(fields.ttlSeconds ?? 300).u16(0);
    const dataStart = this.bytes.length;
    write(this);
    const dataBytes = this.bytes.length - dataStart;
    this.bytes[dataStart - 2] = dataBytes >>> 8;
    this.bytes[dataStart - 1] = dataBytes & 0xff;
    return this;
  }

  opt(fields: { udpSize?: number; rcodeHigh?: number; version?: number; dnssecOk?: boolean; options?: Iterable<number> } = {}): this {
    const flags = (fields.dnssecOk ?? false) ? 0x8000 : 0;
    const ttlSeconds = (((fields.rcodeHigh ?? 0) << 24) | ((fields.version ?? 0) << 16) | flags) >>> 0;
    return this.record('additional', [], { type: 41, class: fields.udpSize ?? 1232, ttlSeconds }, (writer) => {
      writer.raw(fields.options ?? []);
    });
  }

  finish(): Uint8Array {
    return Uint8Array.from(this.bytes);
  }
}

/** A plain query for an ASCII name. */
export function plainQuery(name: string, type = 1): Uint8Array {
  return new MessageWriter().question(labelsOf(name), type).finish();
}
