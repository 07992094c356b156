/** Percentiles out of histogram buckets, as Prometheus estimates them: evenly spread within a bucket. */

/** The last bucket has no upper bound: a percentile there is at least the highest bound. */
export interface Quantile {
  readonly ms: number;
  readonly isAtLeast: boolean;
}

/**
 * `share` is 0 to 1; `counts` has one entry more than `boundsMs`, ascending bounds in milliseconds. null without a single count.
 */
export function quantile(share: number, boundsMs: readonly number[], counts: readonly number[]): Quantile | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total <= 0) return null;
  const rank = share * total;
  let below = 0;
  for (let i = 0; i < boundsMs.length; i++) {
    const count = counts[i];
    if (count > 0 && below + count >= rank) {
      const lowMs = i === 0 ? 0 : boundsMs[i - 1];
      return { ms: lowMs + (boundsMs[i] - lowMs) * Math.max(0, (rank - below) / count), isAtLeast: false };
    }
    below += count;
  }
  return { ms: boundsMs.at(-1) ?? 0, isAtLeast: true };
}
