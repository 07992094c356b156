/**
 * Which rules cover a peer at a port: the one reading of a rule's L3 and L4 part, for verdicts and for traces.
 *
 * Does not know: names, deny or allow, addresses.
 */
import { FIRST_CIDR_IDENTITY, L4_PROTOCOL, type L4Protocol, type PolicyRule, type PortRange, RESERVED_IDENTITY } from './snapshot.js';

/** One thing that must be allowed: an identity, asked by any of these ports. */
export interface Target {
  readonly identity: number;
  readonly ports: readonly number[];
}

/** Is it nobody's in the cluster: of the world, or of a prefix? Names open only such addresses. */
export function isOutside(identity: number): boolean {
  return identity === RESERVED_IDENTITY.world || identity >= FIRST_CIDR_IDENTITY;
}

/** DNS types. */
export function asksFor({ queryTypes }: PolicyRule, type: number): boolean {
  return queryTypes === undefined || queryTypes.includes(type);
}

/** Indexes of the rules that cover the target, rising; those that deny among them. */
export function coveringRules(rules: readonly PolicyRule[], target: Target, protocol: number): number[] {
  const covering: number[] = [];
  for (let index = 0; index < rules.length; index++) {
    const rule = rules[index];
    if (selectsIdentity(rule, target.identity) && coversPort(rule.ports, target.ports, protocol)) covering.push(index);
  }
  return covering;
}

export function selectsIdentity(rule: PolicyRule, identity: number): boolean {
  if (rule.identities === null) return rule.fqdns.length === 0;
  let low = 0;
  let high = rule.identities.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (rule.identities[middle] < identity) low = middle + 1;
    else high = middle;
  }
  return rule.identities[low] === identity;
}

export function coversPort(ranges: readonly PortRange[], ports: readonly number[], protocol: number): boolean {
  if (ranges.length === 0) return true;
  return ranges.some(
    (range) =>
      coversProtocol(range.protocol, protocol) &&
      ports.some((port) => port >= range.first && port <= range.last),
  );
}

/** ANY is TCP, UDP and SCTP. */
export function coversProtocol(ruled: L4Protocol | null, protocol: number): boolean {
  return ruled === null ? protocol !== L4_PROTOCOL.icmp && protocol !== L4_PROTOCOL.icmpv6 : ruled === protocol;
}
