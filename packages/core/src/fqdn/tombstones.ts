/**
 * The cleans that are remembered, so that copies of what they removed do not come back.
 *
 * Invariant: of the cleans with one target only the latest is kept, and at a bound the earliest go: what is kept is a
 * function of the set of cleans, not of the order they came in. Does not know what is in the cache.
 */
import type { MonoMs } from '../base/seams.js';
import { type Clean, compareTexts, type LookedUp } from './mapping.js';

/** Cleans of names remembered; each is looked at when a mapping older than the latest of them comes. */
export const PATTERN_CLEANS_MAX = 256;
/** Endpoints that are gone: found by their UID. Some days of pods that come and go once a minute. */
export const ENDPOINT_CLEANS_MAX = 4096;
/** How many beyond the bound are let in before the earliest go, so that sorting is rare. */
const SLACK_SHARE = 8;

interface Kept {
  readonly clean: Clean;
  readonly matches: (mapping: LookedUp) => boolean;
}

export class Tombstones {
  private readonly matcher: (matchPattern: string) => (name: string) => boolean;
  private patterns: Kept[] = [];
  private latestPatternMs = -Infinity;
  private readonly endpoints = new Map<string, MonoMs>();
  private latestEndpointMs = -Infinity;
  /** The latest of the endpoints' that were let go of: what comes no later is applied, and not remembered. */
  private forgotten: Clean | null = null;

  /** `matcher` compiles a matchPattern to a test on names in presentation form. */
  constructor(matcher: (matchPattern: string) => (name: string) => boolean) {
    this.matcher = matcher;
  }

  /** True when a clean beats the mapping. */
  covers(mapping: LookedUp): boolean {
    const { lookupMs } = mapping;
    if (lookupMs <= this.latestEndpointMs && lookupMs <= (this.endpoints.get(mapping.endpointUid) ?? -Infinity)) return true;
    if (lookupMs > this.latestPatternMs) return false;
    return this.patterns.some(({ clean, matches }) => lookupMs <= clean.atMs && matches(mapping));
  }

  /** Remembers a clean: the test for what it beats, or null when a later one with the same target is known. */
  add(clean: Clean): ((mapping: LookedUp) => boolean) | null {
    return clean.endpointUid !== null && clean.matchPattern === null ? this.addEndpoint(clean.endpointUid, clean.atMs) : this.addPattern(clean);
  }

  /** Oldest first. */
  all(): Clean[] {
    return [...this.patterns.map(({ clean }) => clean), ...this.endpointCleans()].sort(byTime);
  }

  private addEndpoint(endpointUid: string, atMs: MonoMs): ((mapping: LookedUp) => boolean) | null {
    const known = this.endpoints.get(endpointUid);
    if (known !== undefined && known >= atMs) return null;
    const clean = { matchPattern: null, endpointUid, atMs };
    if (this.forgotten === null || byTime(clean, this.forgotten) > 0) {
      this.endpoints.set(endpointUid, atMs);
      this.latestEndpointMs = Math.max(this.latestEndpointMs, atMs);
      if (this.endpoints.size > ENDPOINT_CLEANS_MAX + ENDPOINT_CLEANS_MAX / SLACK_SHARE) this.forgetEndpoints();
    }
    return (mapping) => mapping.endpointUid === endpointUid && mapping.lookupMs <= atMs;
  }

  private forgetEndpoints(): void {
    const oldest = this.endpointCleans().sort(byTime).slice(0, -ENDPOINT_CLEANS_MAX);
    for (const { endpointUid } of oldest) this.endpoints.delete(endpointUid!);
    this.forgotten = oldest.at(-1)!;
  }

  private endpointCleans(): Clean[] {
    return [...this.endpoints].map(([endpointUid, atMs]) => ({ matchPattern: null, endpointUid, atMs }));
  }

  private addPattern(clean: Clean): ((mapping: LookedUp) => boolean) | null {
    const { endpointUid, matchPattern, atMs } = clean;
    const isSameTarget = (kept: Kept): boolean => kept.clean.matchPattern === matchPattern && kept.clean.endpointUid === endpointUid;
    if (this.patterns.some((kept) => isSameTarget(kept) && kept.clean.atMs >= atMs)) return null;
    const matchesName = matchPattern === null ? () => true : this.matcher(matchPattern);
    const matches = (mapping: LookedUp): boolean =>
      (endpointUid === null || mapping.endpointUid === endpointUid) && matchesName(mapping.name);
    this.patterns = this.patterns.filter((kept) => !isSameTarget(kept));
    this.patterns.push({ clean: { ...clean }, matches });
    this.patterns.sort((a, b) => byTime(a.clean, b.clean));
    if (this.patterns.length > PATTERN_CLEANS_MAX) this.patterns.shift();
    this.latestPatternMs = Math.max(this.latestPatternMs, atMs);
    return (mapping) => mapping.lookupMs <= atMs && matches(mapping);
  }
}

function byTime(a: Clean, b: Clean): number {
  return a.atMs - b.atMs || compareTexts(a.matchPattern ?? '', b.matchPattern ?? '') || compareTexts(a.endpointUid ?? '', b.endpointUid ?? '');
}
