/** Suggestions for misspelt words. Pure. */

/** At most one edit in three letters: beyond that a suggestion misleads. */
const LETTERS_PER_EDIT = 3;
const LENGTH_MAX = 100;

/** The known word nearest to `text` by edit distance, or null if none is near. */
export function nearestName(text: string, known: Iterable<string>): string | null {
  if (text.length > LENGTH_MAX) return null;
  let best: string | null = null;
  let bestDistance = Math.floor(text.length / LETTERS_PER_EDIT) + 1;
  for (const word of known) {
    const distance = editDistance(text, word);
    if (distance < bestDistance) {
      best = word;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(change, previous[j] + 1, row[j - 1] + 1));
    }
    previous = row;
  }
  return previous[b.length];
}
