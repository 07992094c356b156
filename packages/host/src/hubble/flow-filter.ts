/**
 * Flow filters as tests of flows, by Hubble's rules: all fields of a filter must match, one value of a field is enough, one filter of a
 * list is enough; what a filter of the second list matches is left out.
 *
 * Invariant: a test never throws and takes time linear in the flow. Knows no request and no ring.
 */
import { AppError } from '@tandem/core';
import type { FlowFilter } from '@tandem/proto';
import { endpointTests } from './filter-endpoints.js';
import type { FlowTest } from './filter-fields.js';
import { Patterns } from './filter-patterns.js';
import { trafficTests } from './filter-traffic.js';

/** Filters in one list, values in one field, values in all. */
export const FILTERS_MAX = 64;
export const VALUES_MAX = 256;
export const VALUES_IN_ALL_MAX = 2_048;
export const VALUE_CHARACTERS_MAX = 1_024;

export interface FilterLists {
  readonly whitelist: readonly FlowFilter[];
  readonly blacklist: readonly FlowFilter[];
}

/** @throws AppError USAGE for a filter that cannot be used, which it names. */
export function compileFilters({ whitelist, blacklist }: FilterLists): FlowTest {
  const patterns = new Patterns();
  const wanted = { values: 0 };
  const [allow, deny] = [listOf('whitelist', whitelist), listOf('blacklist', blacklist)];
  if (deny.length === 0) return allow.length === 0 ? () => true : anyOf(allow);
  const [isAllowed, isDenied] = [allow.length === 0 ? (): boolean => true : anyOf(allow), anyOf(deny)];
  return (flow) => isAllowed(flow) && !isDenied(flow);

  function listOf(name: string, filters: readonly FlowFilter[]): FlowTest[] {
    if (filters.length > FILTERS_MAX) throw new AppError('USAGE', `${name} has ${filters.length} filters; allowed: ${FILTERS_MAX}`);
    return filters.map((filter, index) => {
      try {
        checkBounds(filter, wanted);
        return compileFilter(filter, patterns);
      } catch (error) {
        throw error instanceof AppError ? new AppError(error.code, `${name}[${index}]: ${error.message}`, { cause: error }) : error;
      }
    });
  }
}

function compileFilter(filter: FlowFilter, patterns: Patterns): FlowTest {
  if (filter.experimental !== undefined && filter.experimental.celExpression.length > 0) {
    throw new AppError('USAGE', 'experimental.cel_expression: CEL is not spoken here; use the other fields');
  }
  const tests = [...endpointTests(filter), ...trafficTests(filter, patterns)];
  return tests.length === 1 ? tests[0] : (flow) => tests.every((test) => test(flow));
}

function anyOf(tests: readonly FlowTest[]): FlowTest {
  return tests.length === 1 ? tests[0] : (flow) => tests.some((test) => test(flow));
}

function checkBounds(filter: FlowFilter, wanted: { values: number }): void {
  for (const [field, values] of Object.entries(filter)) {
    if (!Array.isArray(values)) continue;
    const name = field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (values.length > VALUES_MAX) throw new AppError('USAGE', `${name} has ${values.length} values; allowed: ${VALUES_MAX}`);
    wanted.values += values.length;
    if (wanted.values > VALUES_IN_ALL_MAX) throw new AppError('USAGE', `${name}: the filters of the request have more than ${VALUES_IN_ALL_MAX} values in all`);
    const long = values.flatMap(textsOf).find((text) => text.length > VALUE_CHARACTERS_MAX);
    if (long !== undefined) throw new AppError('USAGE', `${name}: a value has ${long.length} characters; allowed: ${VALUE_CHARACTERS_MAX}`);
  }
}

/** Of a value, or of its fields (`Workload`, `HTTPHeader`, ...). */
function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).filter((field) => typeof field === 'string') : [];
}
