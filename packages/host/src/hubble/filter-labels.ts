/**
 * Label selectors of flow filters: Kubernetes' syntax over Cilium's labels, which have a source before the key (`k8s:app=web`). A key
 * without a source, or with `any:`, matches whatever source a label has; of several labels with the same key the first counts.
 */
import { AppError } from '@tandem/core';
import { quoted } from './filter-names.js';

export type LabelTest = (labels: readonly string[]) => boolean;

interface Label {
  readonly source: string;
  readonly key: string;
  readonly value: string;
}

type Requirement = (labels: readonly Label[]) => boolean;

const ANY = 'any';
const KEY = String.raw`((?:[^\s!=<>(),:]+:)?[^\s!=<>(),:]+)`;
const EXISTS = new RegExp(`^(!?)\\s*${KEY}$`);
const EQUALS = new RegExp(`^${KEY}\\s*(==|=|!=)\\s*([^\\s!=<>(),]*)$`);
const SET = new RegExp(`^${KEY}\\s+(in|notin)\\s*\\(([^()]*)\\)$`);
const ORDER = new RegExp(`^${KEY}\\s*([<>])\\s*(-?[0-9]{1,15})$`);

/** Flows of one endpoint often share their list of labels. */
const parsed = new WeakMap<readonly string[], readonly Label[]>();

/** `a=b`, `a==b`, `a!=b`, `a in (x,y)`, `a notin (x)`, `a`, `!a`, `a>1`, `a<1`, with commas between for "and". @throws AppError USAGE. */
export function labelTest(selector: string): LabelTest {
  const requirements = selector.trim() === '' ? [] : split(selector).map((part) => requirementOf(part.trim(), selector));
  return (labels) => {
    const all = labelsOf(labels);
    return requirements.every((requirement) => requirement(all));
  };
}

/** At the commas that are in no parentheses. */
function split(selector: string): string[] {
  return selector.split(/,(?![^(]*\))/);
}

function requirementOf(text: string, selector: string): Requirement {
  let match = EXISTS.exec(text);
  if (match !== null) {
    const find = finder(match[2]);
    return match[1] === '!' ? (labels) => find(labels) === undefined : (labels) => find(labels) !== undefined;
  }
  match = EQUALS.exec(text);
  if (match !== null) return match[2] === '!=' ? notIn(match[1], [match[3]]) : isIn(match[1], [match[3]]);
  match = SET.exec(text);
  if (match !== null) {
    const values = match[3].split(',').map((value) => value.trim());
    return match[2] === 'in' ? isIn(match[1], values) : notIn(match[1], values);
  }
  match = ORDER.exec(text);
  if (match !== null) return order(match[1], match[2], Number(match[3]));
  throw new AppError('USAGE', `${quoted(selector)} is no label selector, at ${quoted(text)}`);
}

function isIn(key: string, values: readonly string[]): Requirement {
  const find = finder(key);
  return (labels) => {
    const value = find(labels);
    return value !== undefined && values.includes(value);
  };
}

/** A label that is absent has no such value. */
function notIn(key: string, values: readonly string[]): Requirement {
  const matches = isIn(key, values);
  return (labels) => !matches(labels);
}

function order(key: string, sign: string, bound: number): Requirement {
  const find = finder(key);
  return (labels) => {
    const value = find(labels);
    if (value === undefined || !/^-?[0-9]{1,15}$/.test(value)) return false;
    return sign === '>' ? Number(value) > bound : Number(value) < bound;
  };
}

/** The value of the label with that key. */
function finder(text: string): (labels: readonly Label[]) => string | undefined {
  const colon = text.indexOf(':');
  const source = colon < 0 ? ANY : text.slice(0, colon);
  const key = text.slice(colon + 1);
  return (labels) => labels.find((label) => label.key === key && (source === ANY || label.source === source))?.value;
}

function labelsOf(texts: readonly string[]): readonly Label[] {
  let labels = parsed.get(texts);
  if (labels === undefined) {
    labels = texts.map(labelOf);
    parsed.set(texts, labels);
  }
  return labels;
}

function labelOf(text: string): Label {
  const equals = text.indexOf('=');
  const name = equals < 0 ? text : text.slice(0, equals);
  const colon = name.indexOf(':');
  return { source: colon < 0 ? '' : name.slice(0, colon), key: name.slice(colon + 1), value: equals < 0 ? '' : text.slice(equals + 1) };
}
