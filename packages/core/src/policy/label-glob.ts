/**
 * One label against one pattern with stars. The label's bytes are already known to be of the wildcard's class, so a star
 * stands for any run of them. Work is bounded by pattern bytes × label bytes (both ≤ 63 or so). Allocates nothing.
 */
import { LOWER_CASE } from '@tandem/dns';

const STAR = 0x2a;

/** `pattern` is lower-case ASCII with `*`; the label lies in `bytes` from `start` to `end`. */
export function matchLabelGlob(pattern: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  let p = 0;
  let starAt = -1;
  let retryAt = start;
  while (at < end) {
    if (p < pattern.length && pattern[p] === STAR) {
      starAt = p++;
      retryAt = at;
    } else if (p < pattern.length && pattern[p] === LOWER_CASE[bytes[at]]) {
      p++;
      at++;
    } else if (starAt >= 0) {
      // Only the last star needs another try: what an earlier one could take, the last one can take as well.
      p = starAt + 1;
      at = ++retryAt;
    } else {
      return false;
    }
  }
  while (p < pattern.length && pattern[p] === STAR) p++;
  return p === pattern.length;
}
