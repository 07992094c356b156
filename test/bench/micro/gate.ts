/** What the baseline says of measured ratios. Pure. */

/** A subject may cost so many times its baseline: runs on one machine differ by up to 1.15, kinds of processors by more. */
export const TOLERANCE = 1.35;

export interface Finding {
  /** `scan: scanQuery, 20-byte name`. */
  readonly subject: string;
  readonly baseline: number | null;
  readonly ratio: number | null;
  readonly verdict: 'ok' | 'slower' | 'faster' | 'new' | 'gone';
}

/** Ratios by subject. Both ways: what has become faster by as much wants a new baseline, else later losses hide in it. */
export function judge(baseline: Readonly<Record<string, number>>, ratios: Readonly<Record<string, number>>): Finding[] {
  const subjects = [...new Set([...Object.keys(baseline), ...Object.keys(ratios)])];
  return subjects.map((subject) => {
    const [before, now] = [baseline[subject] ?? null, ratios[subject] ?? null];
    return { subject, baseline: before, ratio: now, verdict: verdictOf(before, now) };
  });
}

/** Exit code 1. `faster` is said and passes. */
export function isFailure({ verdict }: Finding): boolean {
  return verdict === 'slower' || verdict === 'new' || verdict === 'gone';
}

function verdictOf(before: number | null, now: number | null): Finding['verdict'] {
  if (before === null) return 'new';
  if (now === null) return 'gone';
  if (now > before * TOLERANCE) return 'slower';
  return now < before / TOLERANCE ? 'faster' : 'ok';
}
