/**
 * The toFQDNs selectors that share a set of open addresses: those of one rule. Rules with equal lists share one set, over all pods.
 *
 * Invariant: the name of a group is its content, so whoever has the same policy means the same set, without a word.
 */
import { createHash } from 'node:crypto';
import type { FqdnSelector, Snapshot } from '@tandem/core';

export type GrantScope = 'node' | 'endpoint';

export interface FqdnGroup {
  /** 16 hex digits. */
  readonly key: string;
  readonly selectors: readonly FqdnSelector[];
  /** endpoint: an address is open for the pod that learned it alone; the set's elements are pod and address. */
  readonly scope: GrantScope;
}

/** The set's name in the tables of both families of addresses: at most 31 characters. */
export function fqdnSetName({ key, scope }: FqdnGroup, family: 4 | 6): string {
  return `${scope === 'node' ? 'fqdn' : 'pod-fqdn'}${family}-${key}`;
}

/** Its elements are a pod's address and one that is open for it. `set`: a name by `fqdnSetName`. */
export function isOfPods(set: string): boolean {
  return set.startsWith('pod-');
}

export function fqdnGroup(selectors: readonly FqdnSelector[], scope: GrantScope): FqdnGroup {
  const texts = selectors.map(({ matchName, matchPattern }) => (matchName === null ? `p ${matchPattern}` : `n ${matchName}`)).sort();
  return { key: createHash('sha256').update([...new Set(texts)].join('\n')).digest('hex').slice(0, 16), selectors, scope };
}

/** Every group of the snapshot's egress rules, each once. `scope`: what holds where a pod's policies do not say it. */
export function fqdnGroups(snapshot: Snapshot, scope: GrantScope): readonly FqdnGroup[] {
  const groups = new Map<string, FqdnGroup>();
  for (const ruleSet of snapshot.ruleSets) {
    for (const { fqdns } of ruleSet.rules) {
      if (fqdns.length === 0) continue;
      const group = fqdnGroup(fqdns, ruleSet.limits?.grantScope ?? scope);
      groups.set(fqdnSetName(group, 4), group);
    }
  }
  return [...groups.values()];
}
