/** What some drills need of the machine, and what to do when it is not there. */
import type { Drill, Need } from './drill.js';

const CHECKS: Readonly<Record<Need, () => string | null>> = {
  root: () => (process.geteuid?.() === 0 ? null : 'needs root; run it as root'),
};

/** The first need that is not met, with its remedy; null when all are. */
export function missingNeed(drill: Drill): string | null {
  for (const need of drill.needs ?? []) {
    const missing = CHECKS[need]();
    if (missing !== null) return missing;
  }
  return null;
}
