/** The two hashes of a snapshot: of its content, and of one rule set. See content-hash.ts for the function. */
import { contentHash } from './content-hash.js';
import type { RuleSet, Snapshot } from './snapshot.js';

/** Hash of a snapshot's content: all but `revision` and `hash`, as canonical JSON, SHA-256, 64 lower-case hex digits. */
export function snapshotHash({ nodeName, endpoints, identities, cidrs, services, ruleSets, fqdnSelectors, policies }: Omit<Snapshot, 'revision' | 'hash'>): string {
  return contentHash({ nodeName, endpoints, identities, ...(cidrs === undefined ? {} : { cidrs }), services, ruleSets, fqdnSelectors, policies });
}

/** Key of a rule set: equal keys mean equal rules. One that says nothing but its rules is hashed as their list alone, as ever. */
export function ruleSetKey({ rules, openByDefault, limits }: Omit<RuleSet, 'key'>): string {
  if (openByDefault === undefined && limits === undefined) return contentHash(rules);
  return contentHash({ rules, ...(openByDefault === undefined ? {} : { openByDefault }), ...(limits === undefined ? {} : { limits }) });
}
