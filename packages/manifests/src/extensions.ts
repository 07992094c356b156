/**
 * What Tandem adds to the policy language: annotations under `tandem.dev/` (docs/reference/policy.md). Kubernetes keeps them for any
 * object, and Cilium does not look at them.
 *
 * Invariant: an annotation under the prefix is understood or an error; one that is misspelt must not fall away in silence.
 */
import { GRANT_SCOPES, LIMIT_ACTIONS, NO_EXTENSIONS, queryType, type FqdnSelector, type Labels, type PolicyExtensions, type PolicySpec } from '@tandem/core';
import type { Field, MapField } from './field.js';
import { readName } from './name-fields.js';
import { nearestHint } from './nearest.js';

const PREFIX = 'tandem.dev/';
const QUERIES_PER_SECOND_MAX = 1_000_000;
/** A label of 63 bytes that are all different has less than that. */
const LABEL_BITS_MAX = 400;
/** Kubernetes' limit on all annotations of an object together. */
const TEXT_CHARACTERS_MAX = 262_144;
const NO_NAMES = 'none';
const QUERY_TYPES = `${PREFIX}query-types`;
const LIMIT_ACTION = `${PREFIX}limit-action`;

/** Key without the prefix → how it is read; null where it is wrong (reported). */
const READERS: Readonly<Record<string, (field: Field, text: string) => Partial<PolicyExtensions>>> = {
  'query-types': (field, text) => ({ queryTypes: readTypes(field, text) }),
  'deny-fqdns': (field, text) => ({ denyFqdns: readNames(field, text) }),
  'grant-scope': (field, text) => ({ grantScope: readWord(field, text, GRANT_SCOPES) }),
  'query-rate': (field, text) => ({ queryRate: readNumber(field, text, { max: QUERIES_PER_SECOND_MAX, unit: 'queries per second' }) }),
  'label-entropy': (field, text) => ({ labelEntropyBits: readNumber(field, text, { max: LABEL_BITS_MAX, unit: 'bits' }) }),
  'limit-action': (field, text) => ({ limitAction: readWord(field, text, LIMIT_ACTIONS) }),
  'private-addresses': (field, text) => ({ privateNames: readPrivateNames(field, text) }),
};

/** `annotations` of any policy, null where there are none, and what it says. */
export function readExtensions(annotations: Field | null, specs: readonly PolicySpec[]): PolicyExtensions {
  const map = annotations?.map() ?? null;
  let extensions = NO_EXTENSIONS;
  for (const key of map?.keys() ?? []) {
    if (map === null) continue;
    if (!key.startsWith(PREFIX)) {
      warnOfPrefix(map, key);
      continue;
    }
    const name = key.slice(PREFIX.length);
    if (!Object.hasOwn(READERS, name)) {
      map.keyField(key).error(`is unknown${nearestHint(name, Object.keys(READERS))}`);
      continue;
    }
    const field = map.getRaw(key);
    const text = field?.string() ?? null;
    if (field === null || text === null) continue;
    if (text.length > TEXT_CHARACTERS_MAX) field.error(`has ${text.length} characters; the limit is ${TEXT_CHARACTERS_MAX}`);
    else extensions = { ...extensions, ...READERS[name](field, text) };
  }
  if (extensions.queryTypes !== null && !specs.some(hasDnsRules)) {
    map?.keyField(QUERY_TYPES).warning('has no effect: it narrows rules.dns, and the policy has none');
  }
  if (extensions.limitAction !== null && extensions.queryRate === null && extensions.labelEntropyBits === null) {
    map?.keyField(LIMIT_ACTION).warning('has no effect: it is about query-rate and label-entropy, and the policy has neither');
  }
  return extensions;
}

/** One of ours under a misspelt prefix would fall away in silence. */
function warnOfPrefix(map: MapField, key: string): void {
  const slash = key.lastIndexOf('/');
  const name = key.slice(slash + 1);
  const prefix = key.slice(0, slash + 1).toLowerCase();
  if (!Object.hasOwn(READERS, name) || (prefix !== '' && !prefix.includes('tandem'))) return;
  map.keyField(key).warning(`has no effect; did you mean "${PREFIX}${name}"?`);
}

/** They would fall away in silence: nothing but a policy has them. */
export function warnOfIdleExtensions(annotations: Field | null): void {
  const map = annotations?.map() ?? null;
  for (const key of map?.keys() ?? []) {
    if (key.startsWith(PREFIX)) map?.keyField(key).warning('has no effect: such annotations belong to policies');
  }
}

/** `labels` as read from the policy `object`: one of ours among them would fall away, too. */
export function warnOfLabels(object: MapField, labels: Labels): void {
  for (const key of Object.keys(labels)) {
    if (!key.startsWith(PREFIX)) continue;
    object.get('metadata')?.map()?.get('labels')?.map()?.keyField(key).warning('has no effect as a label; write it under annotations');
  }
}

function hasDnsRules({ egress }: PolicySpec): boolean {
  return egress.allow?.some(({ ports }) => ports?.some(({ dns }) => dns !== null)) ?? false;
}

/** Commas between; blanks do not count. An entry that is empty is an error: nobody means it. */
function entriesOf(field: Field, text: string, example: string): string[] {
  const entries = text.split(',').map((one) => one.trim());
  const filled = entries.filter((one) => one !== '');
  if (filled.length === entries.length) return filled;
  field.error(filled.length === 0 ? `is empty; write a list such as "${example}"` : `has an empty entry; write a list such as "${example}"`);
  return filled;
}

/** Numbers, rising, each once; null when any is none. */
function readTypes(field: Field, text: string): number[] | null {
  let isWhole = true;
  const types = entriesOf(field, text, 'A, AAAA').flatMap((entry) => {
    const type = queryType(entry);
    isWhole &&= type !== null;
    if (type === null) field.error(`"${entry}" is no DNS type that may be asked for; write A, AAAA, …, or TYPE and a number from 1 to 65535`);
    return type ?? [];
  });
  return isWhole && types.length > 0 ? [...new Set(types)].sort((a, b) => a - b) : null;
}

/** With a star it is a matchPattern, else a matchName. */
function readNames(field: Field, text: string): FqdnSelector[] {
  return entriesOf(field, text, '*.example.com, example.com').flatMap((entry) => {
    const isPattern = entry.includes('*');
    const name = readName(field, entry, isPattern ? 'matchPattern' : 'matchName');
    if (name === null) return [];
    return [{ matchName: isPattern ? null : name, matchPattern: isPattern ? name : null }];
  });
}

function readPrivateNames(field: Field, text: string): FqdnSelector[] {
  if (text.trim() === NO_NAMES) return [];
  const entries = text.split(',').map((one) => one.trim());
  if (entries.includes(NO_NAMES)) field.error(`has "${NO_NAMES}" beside names; write one of the two`);
  return readNames(field, text);
}

function readWord<T extends string>(field: Field, text: string, words: readonly T[]): T | null {
  const word = words.find((one) => one === text.trim());
  return word ?? field.error(`is "${text}"; known are ${words.join(' and ')}${nearestHint(text, words)}`);
}

function readNumber(field: Field, text: string, { max, unit }: { readonly max: number; readonly unit: string }): number | null {
  const number = /^[1-9][0-9]{0,8}$/.test(text.trim()) ? Number(text) : 0;
  return number >= 1 && number <= max ? number : field.error(`is "${text}"; a whole number from 1 to ${max} (${unit}) is wanted`);
}
