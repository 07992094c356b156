/** The two hashes of a snapshot: of its content, and of one rule set. See content-hash.ts for the function. */
import { contentHash } from './content-hash.js';
import type { PolicyRule, Snapshot } from './snapshot.js';

/** Hash of a snapshot's content: all but `revision` and `hash`, as canonical JSON, SHA-256, 64 lower-case hex digits. */
export function snapshotHash(snapshot: Omit<Snapshot, 'revision' | 'hash'>): string {
  const { nodeName, endpoints, identities, services, ruleSets, fqdnSelectors, policies } = snapshot;
  return contentHash({ nodeName, endpoints, identities, services, ruleSets, fqdnSelectors, policies });
}

/** Key of a rule set: equal keys mean equal rules. */
export function ruleSetKey(rules: readonly PolicyRule[]): string {
  return contentHash(rules);
}
