/**
 * A value in a manifest together with its place. Readers ask it for a type; what does not fit is reported with file, line
 * and field path, and reads as null, so that reading goes on and all complaints come out.
 *
 * Does not know: which fields exist; that is the readers' part.
 */
import { isMap, isPair, isScalar, isSeq, type Node } from 'yaml';
import { nearestHint } from './nearest.js';
import type { Problem } from './problem.js';
import type { YamlSource } from './yaml-source.js';

export class Field {
  readonly source: YamlSource;
  readonly path: string;
  private readonly node: Node | null;
  /** Of the key, for a value that is empty or absent. */
  private readonly offset: number;

  constructor(source: YamlSource, node: Node | null, place: { readonly path: string; readonly offset: number }) {
    this.source = source;
    this.path = place.path;
    this.offset = node?.range?.[0] ?? place.offset;
    this.node = source.resolve(node);
  }

  /** The last step of the path: `toPorts[1]`. */
  get step(): string {
    return this.path.slice(this.path.lastIndexOf('.') + 1);
  }

  /** No value, `null` or `~`. */
  get isNull(): boolean {
    return this.node === null || (isScalar(this.node) && this.node.value === null);
  }

  get isEmptyList(): boolean {
    return isSeq(this.node) && this.node.items.length === 0;
  }

  error(message: string): null {
    this.source.report(this.offset, this.path, message, 'error');
    return null;
  }

  warning(message: string): void {
    this.source.report(this.offset, this.path, message, 'warning');
  }

  /** An error about this field that somebody else reports: it holds nothing of the source. */
  problem(message: string): Problem {
    return { ...this.source.placeOf(this.offset), field: this.path, message, severity: 'error' };
  }

  map(): MapField | null {
    if (isMap(this.node)) return new MapField(this, this.node.items.filter(isPair));
    return this.error(`is ${this.describe()}; a mapping is wanted`);
  }

  list(): Field[] | null {
    if (!isSeq(this.node)) return this.error(`is ${this.describe()}; a list is wanted`);
    return this.node.items.map(
      (item, i) => new Field(this.source, item as Node | null, { path: `${this.path}[${i}]`, offset: this.offset }),
    );
  }

  string(): string | null {
    if (isScalar(this.node) && typeof this.node.value === 'string') return this.node.value;
    const { value } = isScalar(this.node) ? this.node : { value: null };
    const remedy = typeof value === 'number' || typeof value === 'boolean' ? `: write "${String(value)}" in quotes` : '';
    return this.error(`is ${this.describe()}; a string is wanted${remedy}`);
  }

  boolean(): boolean | null {
    if (isScalar(this.node) && typeof this.node.value === 'boolean') return this.node.value;
    return this.error(`is ${this.describe()}; true or false is wanted`);
  }

  integer(min: number, max: number): number | null {
    const value: unknown = isScalar(this.node) ? this.node.value : null;
    if (typeof value !== 'number' || !Number.isInteger(value)) {
      return this.error(`is ${this.describe()}; a whole number from ${min} to ${max} is wanted`);
    }
    if (value < min || value > max) return this.error(`is ${value}; allowed are ${min} to ${max}`);
    return value;
  }

  /** A number as such, or a string: for fields that take both. */
  integerOrString(min: number, max: number): number | string | null {
    if (isScalar(this.node) && typeof this.node.value === 'string') return this.node.value;
    return this.integer(min, max);
  }

  private describe(): string {
    if (isMap(this.node)) return 'a mapping';
    if (isSeq(this.node)) return 'a list';
    if (this.isNull) return 'empty';
    const value: unknown = isScalar(this.node) ? this.node.value : null;
    return typeof value === 'string' ? 'a string' : `the ${typeof value} ${String(value)}`;
  }
}

export class MapField {
  readonly field: Field;
  private readonly values = new Map<string, { readonly node: Node | null; readonly offset: number }>();

  constructor(field: Field, pairs: readonly { readonly key: unknown; readonly value: unknown }[]) {
    this.field = field;
    for (const { key, value } of pairs) {
      if (!isScalar(key) || typeof key.value !== 'string') continue;
      this.values.set(key.value, { node: value as Node | null, offset: key.range?.[0] ?? 0 });
    }
  }

  /** null when absent or without a value. */
  get(key: string): Field | null {
    const field = this.getRaw(key);
    return field === null || field.isNull ? null : field;
  }

  /** null when absent; a key without a value gives a field that `isNull`. */
  getRaw(key: string): Field | null {
    const value = this.values.get(key);
    return value === undefined ? null : new Field(this.field.source, value.node, { path: this.pathOf(key), offset: value.offset });
  }

  keys(): string[] {
    return [...this.values.keys()];
  }

  /** The place of a key, to complain about the key itself. */
  keyField(key: string): Field {
    return new Field(this.field.source, null, { path: this.pathOf(key), offset: this.values.get(key)?.offset ?? 0 });
  }

  /** Reports every key that is not known, with the nearest one that is; and known keys that have no value. */
  checkKeys(known: readonly string[]): void {
    for (const key of this.keys()) {
      if (!known.includes(key)) this.keyField(key).error(`is unknown${nearestHint(key, known)}`);
      else if (this.getRaw(key)?.isNull === true) {
        this.keyField(key).error('has no value; leave the field out or give it one');
      }
    }
  }

  private pathOf(key: string): string {
    const plain = /^[A-Za-z0-9_-]+$/.test(key) ? key : undefined;
    const { path } = this.field;
    if (plain === undefined) return `${path}[${JSON.stringify(key)}]`;
    return path === '' ? plain : `${path}.${plain}`;
  }
}
