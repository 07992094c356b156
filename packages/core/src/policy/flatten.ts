/**
 * Policies → flat egress rules with their selectors resolved to identities, one rule per `toPorts` entry. The order is
 * that of the policies' kind, namespace and name, then as written: traces and hashes do not depend on the source's order.
 *
 * What an egress entry means: without L3 part and without `toPorts` it allows nothing (`egress: [{}]`); with `toPorts`
 * alone, any server; with an L3 part alone, every port. An empty L3 list selects nothing. A spec that says nothing about
 * egress is kept, without rules: people ask for it.
 */
import type { IdentityDirectory } from './identity-directory.js';
import type { EgressSpec, LabelSelector, PolicyObject, PolicySpec, PortSpec } from './objects.js';
import { peerRequirements, subjectRequirements, type Requirement } from './selector.js';
import type { DnsPattern, PolicyRule, FqdnSelector, PortRange, RuleOrigin } from './snapshot.js';
import { byText, sortedDistinct } from './sort.js';

export interface FlatSpec {
  /** `path` is the spec's own. */
  readonly origin: RuleOrigin;
  /** Which endpoints it applies to; null for a host policy: none. */
  readonly subject: readonly Requirement[] | null;
  /** Whether selecting an endpoint closes its egress to all that no rule allows. */
  readonly defaultDeny: boolean;
  readonly rules: readonly PolicyRule[];
}

export function flattenPolicies(policies: readonly PolicyObject[], directory: IdentityDirectory): FlatSpec[] {
  const sorted = [...policies].sort(
    (a, b) => byText(a.kind, b.kind) || byText(a.namespace, b.namespace) || byText(a.name, b.name),
  );
  const flat: FlatSpec[] = [];
  for (const policy of sorted) {
    for (const spec of policy.specs) flat.push(flattenSpec(policy, spec, directory));
  }
  return flat;
}

function flattenSpec(policy: PolicyObject, spec: PolicySpec, directory: IdentityDirectory): FlatSpec {
  const { kind, namespace, name } = policy;
  const specOrigin: RuleOrigin = { kind, namespace, name, path: spec.path };
  const selector = spec.endpointSelector;
  if (selector === null) return { origin: specOrigin, subject: null, defaultDeny: false, rules: [] };
  const rules: PolicyRule[] = [];
  (spec.egress ?? []).forEach((entry, index) => {
    const servers = serversOf(entry, namespace, selector, directory);
    if (entry.toPorts === null || entry.toPorts.length === 0) {
      if (!hasL3(entry)) return;
      const origin = { kind, namespace, name, path: `${spec.path}.egress[${index}]` };
      rules.push({ ...servers, ports: [], dnsPatterns: null, origin });
      return;
    }
    entry.toPorts.forEach((ports, p) => {
      const origin: RuleOrigin = { kind, namespace, name, path: `${spec.path}.egress[${index}].toPorts[${p}]` };
      rules.push({ ...servers, ports: sortedDistinct(ports.ports.map(portRange)), dnsPatterns: dnsPatternsOf(ports), origin });
    });
  });
  return {
    origin: specOrigin,
    subject: subjectRequirements(selector, namespace),
    defaultDeny: spec.defaultDenyEgress ?? spec.egress !== null,
    rules,
  };
}

function hasL3(entry: EgressSpec): boolean {
  return entry.toEndpoints !== null || entry.toFqdns !== null;
}

function serversOf(
  entry: EgressSpec,
  namespace: string,
  subject: LabelSelector,
  directory: IdentityDirectory,
): { identities: readonly number[] | null; fqdns: readonly FqdnSelector[] } {
  const fqdns = sortedDistinct((entry.toFqdns ?? []).map(plainSelector));
  if (!hasL3(entry)) return { identities: null, fqdns };
  const identities = new Set<number>();
  for (const peer of entry.toEndpoints ?? []) {
    for (const identity of directory.select(peerRequirements(peer, namespace, subject))) identities.add(identity);
  }
  return { identities: [...identities].sort((a, b) => a - b), fqdns };
}

/** `dns: []` and `dns: [{}]` mean every name, as in Cilium; a snapshot says so in words. */
function dnsPatternsOf({ dns }: PortSpec): readonly DnsPattern[] | null {
  if (dns === null) return null;
  const written = dns.filter(({ matchName, matchPattern }) => matchName !== null || matchPattern !== null);
  if (written.length === 0) return [{ matchName: null, matchPattern: '*' }];
  return sortedDistinct(written.map(plainSelector));
}

/** Only the known fields, in a fixed order, so that texts compare. */
function plainSelector({ matchName, matchPattern }: FqdnSelector): FqdnSelector {
  return { matchName, matchPattern };
}

function portRange({ first, last, protocol }: PortRange): PortRange {
  return { first, last, protocol };
}
