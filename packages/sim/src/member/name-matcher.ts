/** matchPattern against names in presentation form, as host compiles it for the cache. */
import { AppError, admitMatchPattern, NameTable, patternsOf } from '@tandem/core';
import { nameFromString, QueryView, SCAN, scanName } from '@tandem/dns';

/** @throws AppError USAGE for a pattern that is not admitted. */
export function nameMatcher(matchPattern: string): (name: string) => boolean {
  const admission = admitMatchPattern(matchPattern);
  if (!admission.ok) throw new AppError('USAGE', `the pattern ${JSON.stringify(matchPattern)} ${admission.reason}`);
  const patterns = patternsOf({ matchName: null, matchPattern: admission.text }, 'dns');
  const table = NameTable.compile(patterns.map((pattern) => ({ pattern, value: 0 })));
  const view = new QueryView();
  return (name) => {
    const wire = nameFromString(name);
    if (wire === null || scanName(wire, 0, wire.length, view) !== SCAN.ok) return false;
    return table.match(wire, view) >= 0;
  };
}
