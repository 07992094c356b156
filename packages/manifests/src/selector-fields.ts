/** Label selectors: matchLabels and matchExpressions, with Cilium's source prefixes or, where Kubernetes itself selects, without. */
import { LABEL_OPERATORS, type LabelExpression, type LabelOperator, type LabelSelector } from '@tandem/core';
import type { Field } from './field.js';
import { readLabels } from './metadata.js';
import { nearestHint } from './nearest.js';

const KEYS = ['matchLabels', 'matchExpressions'];
const EXPRESSION_KEYS = ['key', 'operator', 'values'];
/** Where labels of endpoints come from here; Cilium has others (containers, mesos), which no pod has. */
const SOURCES = ['k8s', 'any', 'reserved'];
const KEY = /^[A-Za-z0-9]([-A-Za-z0-9_./]{0,314}[A-Za-z0-9])?$/;
const VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;

/** `sourced` keys may name where a label comes from (`k8s:app`), `plain` ones are as in Kubernetes. */
export type KeyForm = 'sourced' | 'plain';

/** null when it is no mapping (reported). */
export function readSelector(field: Field, form: KeyForm): LabelSelector | null {
  const map = field.map();
  if (map === null) return null;
  map.checkKeys(KEYS);
  const labelsField = map.get('matchLabels');
  const matchLabels = readLabels(labelsField);
  for (const [key, value] of Object.entries(matchLabels)) {
    const place = labelsField?.map()?.getRaw(key) ?? field;
    checkKey(key, place, form);
    checkValue(value, place);
  }
  const matchExpressions = map.get('matchExpressions')?.list()?.flatMap((item) => readExpression(item, form)) ?? [];
  return { matchLabels, matchExpressions };
}

function readExpression(item: Field, form: KeyForm): LabelExpression[] {
  const map = item.map();
  if (map === null) return [];
  map.checkKeys(EXPRESSION_KEYS);
  const keyField = map.get('key');
  const operatorField = map.get('operator');
  if (keyField === null) item.error('has no key');
  if (operatorField === null) item.error('has no operator');
  const key = keyField?.string() ?? null;
  if (key !== null && keyField !== null) checkKey(key, keyField, form);
  const operator = operatorField?.string() ?? null;
  const valueFields = map.get('values')?.list() ?? [];
  const values = valueFields.flatMap((one) => {
    const value = one.string();
    if (value !== null) checkValue(value, one);
    return value ?? [];
  });
  if (operator === null || key === null) return [];
  if (!isOperator(operator)) {
    operatorField?.error(`is "${operator}"; known are ${LABEL_OPERATORS.join(', ')}${nearestHint(operator, LABEL_OPERATORS)}`);
    return [];
  }
  const wantsValues = operator === 'In' || operator === 'NotIn';
  if (wantsValues && valueFields.length === 0) item.error(`${operator} needs values`);
  if (!wantsValues && valueFields.length > 0) map.keyField('values').error(`${operator} takes no values`);
  return [{ key, operator, values }];
}

function isOperator(text: string): text is LabelOperator {
  return (LABEL_OPERATORS as readonly string[]).includes(text);
}

function checkKey(text: string, field: Field, form: KeyForm): void {
  const colon = text.indexOf(':');
  if (colon >= 0 && form === 'plain') {
    field.error(`"${text}" has a source prefix, which Kubernetes does not know; write "${text.slice(colon + 1)}"`);
    return;
  }
  const source = colon < 0 ? 'any' : text.slice(0, colon);
  if (!SOURCES.includes(source)) {
    field.error(`the label source "${source}" is unknown; known are ${SOURCES.map((one) => `${one}:`).join(', ')}`);
  } else if (!KEY.test(text.slice(colon + 1))) {
    field.error(`"${text}" is no label key`);
  }
}

function checkValue(text: string, field: Field): void {
  if (!VALUE.test(text)) field.error(`"${text}" is no label value: 63 letters, digits, "-", "_" and "." at most`);
}
