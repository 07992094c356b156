/**
 * Policies → flat rules of both directions with their selectors resolved to identities, one rule per `toPorts` entry. The order is
 * that of the policies' kind, namespace and name, then as written, what denies after what allows: traces and hashes do not depend
 * on the source's order.
 *
 * What an entry means: without L3 part and without ports it covers nothing (`egress: [{}]`); with ports alone, any peer; with an L3
 * part alone, every port. An empty L3 list selects nothing. A spec that says nothing is kept, without rules: people ask for it.
 *
 * What a snapshot cannot hold is closed, and alone: a policy that anybody may write must not hold up everybody's.
 */
import { AppError } from '../base/app-error.js';
import { SNAPSHOT_LIMITS as LIMITS } from './limits.js';
import { NO_EXTENSIONS } from './objects.js';
import type {
  DirectionSpec, LabelSelector, NamedPort, NamedPortRef, PolicyExtensions, PolicyObject, PolicySpec, PortSpec, RuleSpec,
} from './objects.js';
import type { PeerResolver } from './peers.js';
import { subjectRequirements } from './selector.js';
import type { DnsPattern, FqdnSelector, PolicyRule, PortRange, RuleOrigin } from './snapshot.js';
import { byText, sortedDistinct } from './sort.js';
import { rule as checkRule } from './validate-rules.js';

export interface FlatSpec {
  /** No two of one Flattener have the same. */
  readonly serial: number;
  /** `path` is the spec's own. */
  readonly origin: RuleOrigin;
  /** Identities of the pods that it applies to, rising; null for a host policy: none. */
  readonly selected: readonly number[] | null;
  readonly egress: FlatDirection;
  readonly ingress: FlatDirection;
  readonly extensions: PolicyExtensions;
}

export interface FlatDirection {
  /** There is such a section. */
  readonly isSaid: boolean;
  /** Whether selecting an endpoint closes this direction to all that no rule allows. */
  readonly defaultDeny: boolean;
  readonly rules: readonly FlatRule[];
  /** Why this direction is closed in place of what is written, or null. */
  readonly refusal: string | null;
}

/** A rule whose named ports are not looked up yet: in ingress they are the selected pod's own. */
export interface FlatRule {
  readonly rule: PolicyRule;
  readonly named: readonly NamedPortRef[];
}

const ANNOTATION_DENY_FQDNS = 'metadata.annotations["tandem.dev/deny-fqdns"]';
const NOTHING: FlatDirection = { isSaid: false, defaultDeny: false, rules: [], refusal: null };

/** Flattens policies, each once for as long as it is the same object and its peers are resolved alike. */
export class Flattener {
  private readonly peers: PeerResolver;
  private known = new Map<PolicyObject, readonly FlatSpec[]>();
  private serial = 0;

  constructor(peers: PeerResolver) {
    this.peers = peers;
  }

  flatten(policies: readonly PolicyObject[]): FlatSpec[] {
    const sorted = [...policies].sort(
      (a, b) => byText(a.kind, b.kind) || byText(a.namespace, b.namespace) || byText(a.name, b.name),
    );
    const before = this.known;
    // Policies that are gone are forgotten.
    this.known = new Map();
    return sorted.flatMap((policy) => {
      const specs = before.get(policy) ?? policy.specs.map((spec) => flattenSpec(policy, spec, { peers: this.peers, serial: ++this.serial }));
      this.known.set(policy, specs);
      return specs;
    });
  }
}

/**
 * Its ports as numbers: a name is looked up among these. None where it has ports, and none of them is known: it covers nothing. Several
 * where one name stands for more ports than a rule holds: pods choose the numbers, and must not make the policy too large to publish.
 */
export function withPorts({ rule, named }: FlatRule, known: readonly NamedPort[]): PolicyRule[] {
  if (named.length === 0) return [rule];
  const found = named.flatMap(({ portName, protocol }) =>
    known
      .filter((one) => one.name === portName && (protocol === null || protocol === one.protocol))
      .map((one): PortRange => ({ first: one.port, last: one.port, protocol: one.protocol })),
  );
  const ports = sortedDistinct([...rule.ports, ...found]);
  const rules: PolicyRule[] = [];
  for (let at = 0; at < ports.length; at += LIMITS.portsPerRule) rules.push({ ...rule, ports: ports.slice(at, at + LIMITS.portsPerRule) });
  return rules;
}

function flattenSpec(policy: PolicyObject, spec: PolicySpec, { peers, serial }: { readonly peers: PeerResolver; readonly serial: number }): FlatSpec {
  const { kind, namespace, name, extensions } = policy;
  const origin: RuleOrigin = { kind, namespace, name, path: spec.path };
  const selector = spec.endpointSelector;
  if (selector === null) return { serial, origin, selected: null, egress: NOTHING, ingress: NOTHING, extensions: NO_EXTENSIONS };
  const flatten = (direction: 'egress' | 'ingress'): FlatDirection => {
    const said = spec[direction];
    const section: Section = { origin, direction, selector, peers, queryTypes: extensions.queryTypes };
    const names = direction === 'egress' ? deniedNames(extensions, origin) : [];
    return closedIfRefused({
      isSaid: said.allow !== null || said.deny !== null,
      defaultDeny: said.defaultDeny ?? (said.allow !== null || said.deny !== null),
      rules: [...rulesOf(said, section), ...names],
      refusal: null,
    }, `${spec.path}.${direction}`);
  };
  return {
    serial,
    origin,
    selected: peers.select(subjectRequirements(selector, namespace)),
    egress: flatten('egress'),
    ingress: flatten('ingress'),
    extensions,
  };
}

/** With what a snapshot cannot hold it allows nothing. Its denials stay; where one of them cannot be held, all is denied. */
function closedIfRefused(direction: FlatDirection, path: string): FlatDirection {
  const refusals = direction.rules.map(({ rule }) => refusalOf(rule));
  const { rules } = direction;
  const refusal = rules.length > LIMITS.rulesPerSet ? `${path} has ${rules.length} rules; the limit is ${LIMITS.rulesPerSet}` : (refusals.find((one) => one !== null) ?? null);
  if (refusal === null) return direction;
  const denials = rules.filter(({ rule: { deny } }) => deny === true);
  const isHeld = denials.length <= LIMITS.rulesPerSet && !rules.some(({ rule: { deny } }, i) => deny === true && refusals[i] !== null);
  return { ...direction, defaultDeny: true, rules: isHeld ? denials : [denialOfAll(denials[0].rule)], refusal };
}

function refusalOf(rule: PolicyRule): string | null {
  try {
    checkRule(rule, rule.origin.path);
    return null;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return error.message;
  }
}

function denialOfAll({ origin }: PolicyRule): FlatRule {
  return { rule: { identities: null, fqdns: [], ports: [], dnsPatterns: null, deny: true, origin }, named: [] };
}

interface Section {
  readonly origin: RuleOrigin;
  readonly direction: 'egress' | 'ingress';
  readonly selector: LabelSelector;
  readonly peers: PeerResolver;
  readonly queryTypes: readonly number[] | null;
}

function rulesOf({ allow, deny }: DirectionSpec, section: Section): FlatRule[] {
  const { path } = section.origin;
  return [
    ...(allow ?? []).flatMap((entry, i) => flattenEntry(entry, `${path}.${section.direction}[${i}]`, section)),
    ...(deny ?? [])
      .flatMap((entry, i) => flattenEntry(entry, `${path}.${section.direction}Deny[${i}]`, section))
      .map(({ rule, named }): FlatRule => ({ rule: { ...rule, deny: true }, named })),
  ];
}

function flattenEntry(entry: RuleSpec, path: string, { origin, selector, peers, queryTypes }: Section): FlatRule[] {
  const identities = peers.resolve(entry, origin.namespace, selector);
  const fqdns = sortedDistinct((entry.fqdns ?? []).map(plainSelector));
  const { ports } = entry;
  if (ports === null || ports.length === 0) {
    if (identities === null && entry.entities === null) return [];
    return [{ rule: { identities, fqdns, ports: [], dnsPatterns: null, origin: { ...origin, path } }, named: [] }];
  }
  return ports.map((one) => {
    const dnsPatterns = dnsPatternsOf(one);
    const rule: PolicyRule = {
      identities,
      fqdns,
      ports: sortedDistinct(one.ports.filter((port) => 'first' in port).map(portRange)),
      dnsPatterns,
      ...(dnsPatterns !== null && queryTypes !== null ? { queryTypes: [...new Set(queryTypes)].sort((a, b) => a - b) } : {}),
      origin: { ...origin, path: `${path}.${one.path}` },
    };
    return { rule, named: one.ports.filter((port) => 'portName' in port) };
  });
}

/** Neither asked for, nor connected to. */
function deniedNames({ denyFqdns }: PolicyExtensions, origin: RuleOrigin): FlatRule[] {
  if (denyFqdns === null || denyFqdns.length === 0) return [];
  const names = sortedDistinct(denyFqdns.map(plainSelector));
  const common = { ports: [], deny: true, origin: { ...origin, path: ANNOTATION_DENY_FQDNS } } as const;
  return [
    { rule: { ...common, identities: [], fqdns: names, dnsPatterns: null }, named: [] },
    { rule: { ...common, identities: null, fqdns: [], dnsPatterns: names }, named: [] },
  ];
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
