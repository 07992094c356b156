/**
 * Regular expressions of flow filters: RE2's syntax, so that a match takes time linear in the text. What a request may have of them is
 * bounded by the size of the programs they become, not of their text: `(a{30}){30}` is short.
 */
import { AppError } from '@tandem/core';
import { RE2JS, RE2JSException } from 're2js';
import { quoted, type TextTest } from './filter-names.js';

/** Of one request. The longest name takes some milliseconds with a program of this size, at worst. */
export const PROGRAM_SIZE_MAX = 2_000;
/** Before anything is compiled. */
export const PATTERN_CHARACTERS_MAX = 256;

export class Patterns {
  private size = 0;

  /** Finds the pattern anywhere in a text. @throws AppError USAGE for what is none, and at the bounds. */
  test(pattern: string): TextTest {
    if (pattern.length > PATTERN_CHARACTERS_MAX) throw new AppError('USAGE', `a pattern has ${pattern.length} characters; allowed: ${PATTERN_CHARACTERS_MAX}`);
    let compiled: RE2JS;
    try {
      compiled = RE2JS.compile(pattern);
    } catch (error) {
      if (!(error instanceof RE2JSException)) throw error;
      throw new AppError('USAGE', `${quoted(pattern)} is no RE2 regular expression: ${error.message}`, { cause: error });
    }
    this.size += compiled.programSize();
    if (this.size > PROGRAM_SIZE_MAX) throw new AppError('USAGE', `the patterns of the request are too large, at ${quoted(pattern)}; allowed: ${PROGRAM_SIZE_MAX} steps in all`);
    return (text) => compiled.test(text);
  }
}
