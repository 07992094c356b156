/** What a complaint says of a word that is not known. */
import { nearestName } from '@tandem/core';

/** `; did you mean "toPorts"?`, or nothing. */
export function nearestHint(word: string, known: readonly string[]): string {
  const nearest = nearestName(word, known);
  return nearest === null ? '' : `; did you mean "${nearest}"?`;
}
