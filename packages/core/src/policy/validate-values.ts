/**
 * Plain data of somebody else's, value by value: the value if it is what it should be, or a refusal that names its field. `at` is the
 * field's path from the snapshot on.
 */
import { AppError } from '../base/app-error.js';
import { canonicalAddress } from '../base/socket-address.js';
import { SNAPSHOT_LIMITS as LIMITS } from './limits.js';

export function address(value: unknown, at: string): string {
  const given = text(value, at);
  if (canonicalAddress(given) !== given) refuse(at, `"${given}" is not a canonical address`);
  return given;
}

export function text(value: unknown, at: string): string {
  if (typeof value !== 'string') refuse(at, 'is not a string');
  if (value.length > LIMITS.textCharacters) refuse(at, `has more than ${LIMITS.textCharacters} characters`);
  return value;
}

export function integer(value: unknown, at: string, min: number, max: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value)) refuse(at, 'is not a whole number');
  if (value < min || value > max) refuse(at, `is ${value}; allowed are ${min} to ${max}`);
  return value;
}

export function list<T>(value: unknown, at: string, max: number, item: (value: unknown, at: string) => T): T[] {
  if (!Array.isArray(value)) refuse(at, 'is not a list');
  if (value.length > max) refuse(at, `has ${value.length} entries; the limit is ${max}`);
  return (value as unknown[]).map((one, i) => item(one, `${at}[${i}]`));
}

export function record(value: unknown, at: string, keys: readonly string[], optional: readonly string[] = []): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(at, 'is not an object');
  const given = value as Readonly<Record<string, unknown>>;
  for (const key of keys) if (!Object.hasOwn(given, key)) refuse(`${at}.${key}`, 'is missing');
  for (const key of Object.keys(given)) if (!keys.includes(key) && !optional.includes(key)) refuse(`${at}.${key}`, 'is unknown');
  return given;
}

export function distinct(values: readonly string[], at: string, what: string): void {
  const seen = new Set<string>();
  for (const value of values) {
    if (seen.has(value)) refuse(at, `has the ${what} ${value} twice`);
    seen.add(value);
  }
}

export function refuse(field: string, reason: string): never {
  throw new AppError('SNAPSHOT_REFUSED', `policy snapshot refused: ${field} ${reason}`, { details: { field } });
}
