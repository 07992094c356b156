/** Patterns against names in presentation form, for lists, cleans and traces: off the hot path. */
import { nameFromString, QueryView, SCAN, scanName } from '@tandem/dns';
import { AppError } from '../base/app-error.js';
import { NameTable } from './name-table.js';
import { admitMatchPattern, patternsOf, type NamePattern } from './pattern.js';
import type { FqdnSelector } from './snapshot.js';

/** @throws AppError USAGE for a pattern that is not admitted. */
export function nameMatcher(matchPattern: string): (name: string) => boolean {
  const admission = admitMatchPattern(matchPattern);
  if (!admission.ok) throw new AppError('USAGE', `the pattern ${JSON.stringify(matchPattern)} ${admission.reason}`);
  return matcherOf(patternsOf({ matchName: null, matchPattern: admission.text }, 'dns'));
}

/** toFQDNs selectors of a snapshot: whether one of them matches. */
export function selectorsMatcher(selectors: readonly FqdnSelector[]): (name: string) => boolean {
  return matcherOf(selectors.flatMap((selector) => patternsOf(selector, 'fqdn')));
}

function matcherOf(patterns: readonly NamePattern[]): (name: string) => boolean {
  const table = NameTable.compile(patterns.map((pattern) => ({ pattern, value: 0 })));
  const view = new QueryView();
  return (name) => {
    const wire = nameFromString(name);
    if (wire === null || scanName(wire, 0, wire.length, view) !== SCAN.ok) return false;
    return table.match(wire, view) >= 0;
  };
}
