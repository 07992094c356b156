/** The known word nearest to one that is not known, if it is near enough to have been meant. */

/** One edit in three letters, and one in a shorter word: beyond that a suggestion misleads. */
const LETTERS_PER_EDIT = 3;
/** Longer words are not compared: the work is quadratic in their length. */
const LENGTH_MAX = 100;

/** By edit distance, letter case aside; of several that are as near the first. null: none is near. */
export function nearestName(text: string, known: Iterable<string>): string | null {
  let best: string | null = null;
  let bestDistance = Math.max(1, Math.floor(text.length / LETTERS_PER_EDIT)) + 1;
  for (const word of known) {
    const distance = editDistance(text.toLowerCase(), word.toLowerCase());
    if (distance < bestDistance) {
      best = word;
      bestDistance = distance;
    }
  }
  return best;
}

/** Insertions, deletions and replacements that lead from one text to the other. */
function editDistance(a: string, b: string): number {
  if (a.length > LENGTH_MAX || b.length > LENGTH_MAX) return Infinity;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}
