/**
 * Is a connection that was allowed once still allowed? For connections of before a change of policy or of places: the rules in the
 * kernel only look at first packets.
 *
 * The reading of rules is that of core's covering.ts; names count by the addresses that are open for them.
 * Invariant: what is neither endpoint's to decide is left alone. A flow's other end is taken as it is after DNAT; the port that was
 * asked for counts as well, as in the tables.
 */
import {
  coversPort, type IsOwnAddress, isOutside, parseAddress, type PolicyIndex, type PolicyRule, RESERVED_IDENTITY, selectsIdentity, wordsOfAddress,
} from '@tandem/core';
import { fqdnGroup, fqdnSetName, type GrantScope } from '../fqdn-groups.js';
import type { FlowJudgement, TrackedFlow } from '../conntrack/index.js';
import { elementText, type OpenElement } from '../opener/open-elements.js';

export type JudgedFlow = Pick<TrackedFlow, 'source' | 'backend' | 'backendPort' | 'destinationPort' | 'protocol' | 'icmpType'>;

export interface JudgeOptions {
  readonly index: PolicyIndex;
  readonly scope: GrantScope;
  readonly isOpen: (element: OpenElement) => boolean;
  /** The host's, whoever else is said to have it: so the tables take it. */
  readonly isOwn: IsOwnAddress;
}

const V4_AT = 12;
const HOST = [RESERVED_IDENTITY.host] as const;

export class Judge {
  private readonly options: JudgeOptions;

  constructor(options: JudgeOptions) {
    this.options = options;
  }

  /** Of a connection that is not allowed: denied whatever addresses names may have, or not open as far as is known here. */
  judge(flow: JudgedFlow): FlowJudgement {
    if (this.allows(flow)) return 'allowed';
    return this.allows(flow, true) ? 'unknown' : 'denied';
  }

  /** The same with addresses that another has opened: for few, as each costs a question. */
  async allowsInKernel(flow: JudgedFlow, isOpen: (element: OpenElement) => Promise<boolean>): Promise<boolean> {
    const asked: OpenElement[] = [];
    new Judge({ ...this.options, isOpen: (element) => asked.push(element) === 0 }).allows(flow);
    const open = new Set<string>();
    for (const element of asked) if (await isOpen(element)) open.add(elementText(element));
    return new Judge({ ...this.options, isOpen: (element) => open.has(elementText(element)) }).allows(flow);
  }

  /** `isAnyOpen`: as if every address were open that a name could open. */
  allows(flow: JudgedFlow, isAnyOpen = false): boolean {
    const from = this.rowOf(flow.source);
    const to = this.rowOf(flow.backend);
    if (from >= 0 && from === to) return true;
    const { index } = this.options;
    const ingress = to < 0 ? null : (index.endpoint(to).ingressRuleSet ?? null);
    const egress = from < 0 ? null : index.endpoint(from).ruleSet;
    return (egress === null || this.isAllowed(egress, flow, { opened: flow.backend, isAnyOpen })) && (ingress === null || this.isAllowed(ingress, flow, { opened: null, isAnyOpen }));
  }

  /** `opened`: the address that names may have opened, for egress; null for ingress. */
  private isAllowed(ruleSet: number, flow: JudgedFlow, { opened, isAnyOpen }: { readonly opened: string | null; readonly isAnyOpen: boolean }): boolean {
    const { index } = this.options;
    const peer = opened ?? flow.source;
    const isOwn = this.options.isOwn(peer);
    const known = index.identitiesOf(peer);
    const identities = isOwn && (opened === null || known.every(isOutside)) ? HOST : known;
    const selects = (rule: PolicyRule, identity: number): boolean => selectsIdentity(rule, identity) || (isOwn && selectsIdentity(rule, RESERVED_IDENTITY.host));
    const { rules, openByDefault, limits } = index.snapshot.ruleSets[ruleSet];
    // To whom it comes, the port behind DNAT alone counts.
    const ports = flow.icmpType !== null ? [flow.icmpType] : opened === null ? [flow.backendPort] : [flow.backendPort, flow.destinationPort];
    const covering = rules.filter((rule) => rule.dnsPatterns === null && coversPort(rule.ports, ports, flow.protocol));
    if (covering.some((rule) => rule.deny === true && identities.some((identity) => selects(rule, identity)))) return false;
    if (opened === null && identities.every((identity) => identity === RESERVED_IDENTITY.host)) return true;
    const scope = limits?.grantScope ?? this.options.scope;
    const isByName = (rule: PolicyRule): boolean => opened !== null && rule.fqdns.length > 0 && (isAnyOpen || this.isOpenFor(rule, scope, flow));
    const allowing = covering.filter((rule) => rule.deny !== true);
    const isAllowed = identities.every((identity) => allowing.some((rule) => selects(rule, identity))) || (identities.every(isOutside) && allowing.some(isByName));
    return isAllowed || openByDefault === true;
  }

  private isOpenFor(rule: PolicyRule, scope: GrantScope, { source, backend }: JudgedFlow): boolean {
    const group = fqdnGroup(rule.fqdns, scope);
    const to = fieldOf(backend);
    const set = fqdnSetName(group, to.length === 4 ? 4 : 6);
    if (scope === 'node') return this.options.isOpen({ set, key: to });
    const from = fieldOf(source);
    const key = new Uint8Array(from.length + to.length);
    key.set(from);
    key.set(to, from.length);
    return this.options.isOpen({ set, key });
  }

  private rowOf(address: string): number {
    return this.options.index.endpointAt(wordsOfAddress(address), 0);
  }
}

/** As a set's field: 4 or 16 bytes. */
function fieldOf(address: string): Uint8Array {
  const bytes = parseAddress(address)!;
  return address.includes(':') ? bytes : bytes.slice(V4_AT);
}
