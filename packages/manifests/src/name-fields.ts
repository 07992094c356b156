/** matchName and matchPattern, in `toFQDNs` selectors, in `rules.dns` and in annotations. */
import { admitMatchName, admitMatchPattern, parsePattern, type FqdnSelector } from '@tandem/core';
import type { Field, MapField } from './field.js';

const KEYS = ['matchName', 'matchPattern'];

/** Each entry has one of the two, not both. */
export function readFqdnSelectors(field: Field): FqdnSelector[] {
  const selectors: FqdnSelector[] = [];
  for (const item of field.list() ?? []) {
    const map = item.map();
    if (map === null) continue;
    const selector = readNames(map);
    const count = KEYS.filter((key) => map.get(key) !== null).length;
    if (count === 2) item.error('has both matchName and matchPattern; write two entries');
    else if (count === 0) item.error('has neither matchName nor matchPattern');
    else selectors.push(selector);
  }
  return selectors;
}

/** Entries may have both (then both apply) or none. */
export function readDnsRules(field: Field): FqdnSelector[] {
  const rules: FqdnSelector[] = [];
  let isEmpty = true;
  for (const item of field.list() ?? []) {
    const map = item.map();
    if (map !== null) rules.push(readNames(map));
    if (map === null || map.keys().length > 0) isEmpty = false;
  }
  if (isEmpty) {
    field.warning('names nothing, which allows every name (as in Cilium); write matchPattern "*" to say so');
  }
  return rules;
}

function readNames(map: MapField): FqdnSelector {
  map.checkKeys(KEYS);
  return {
    matchName: readNameField(map.get('matchName'), 'matchName'),
    matchPattern: readNameField(map.get('matchPattern'), 'matchPattern'),
  };
}

function readNameField(field: Field | null, form: keyof FqdnSelector): string | null {
  const text = field?.string() ?? null;
  return field === null || text === null ? null : readName(field, text, form);
}

/** As admitted; null when it is not (reported). */
export function readName(field: Field, text: string, form: keyof FqdnSelector): string | null {
  const admission = form === 'matchName' ? admitMatchName(text) : admitMatchPattern(text);
  if (!admission.ok) return field.error(admission.reason);
  if (parsePattern(admission.text, 'dns').kind === 'never') {
    field.warning('matches nothing: a DNS name has labels of 63 bytes at most, 255 bytes in all');
  }
  return admission.text;
}
