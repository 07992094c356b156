/**
 * The time of day at boot, by which times since boot are shown and read. The wall clock is read in whole milliseconds, so each reading
 * puts the boot elsewhere by up to one; one of them is kept until the clock is really another, so that a time is always shown alike.
 */
import { bootTimeMs } from 'node-reuseport';
import type { WallTimes } from '../control/cache-entries.js';

/** A difference beyond this is the clock's, not the rounding's. */
const STEP_MS = 10;

let keptMs = NaN;

export function wallTimes(): WallTimes {
  const nowMs = Date.now();
  const bootedAtMs = nowMs - bootTimeMs();
  if (!(Math.abs(bootedAtMs - keptMs) <= STEP_MS)) keptMs = bootedAtMs;
  return { nowMs, bootedAtMs: keptMs };
}
