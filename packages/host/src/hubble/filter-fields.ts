/** How one field of a flow filter becomes a test. */
import { AppError } from '@tandem/core';
import type { Flow } from '@tandem/proto';

export type FlowTest = (flow: Flow) => boolean;

/**
 * The test of a field: one of its values is enough. `compile` reads a value; `matches` holds it against a flow.
 * No value: no test. @throws AppError USAGE with the field's name before what `compile` says.
 */
export function fieldTest<V, T>(name: string, values: readonly V[], compile: (value: V) => T, matches: (flow: Flow, test: T) => boolean): FlowTest[] {
  if (values.length === 0) return [];
  const tests = values.map((value) => {
    try {
      return compile(value);
    } catch (error) {
      throw error instanceof AppError ? new AppError(error.code, `${name}: ${error.message}`, { cause: error }) : error;
    }
  });
  if (tests.length === 1) {
    const [test] = tests;
    return [(flow) => matches(flow, test)];
  }
  return [(flow) => tests.some((test) => matches(flow, test))];
}

/** The test of a field whose values are compared as they are. */
export function equalityTest<V>(values: readonly V[], valueOf: (flow: Flow) => V | undefined): FlowTest[] {
  if (values.length === 0) return [];
  const wanted = new Set<V>(values);
  return [(flow) => {
    const value = valueOf(flow);
    return value !== undefined && wanted.has(value);
  }];
}
