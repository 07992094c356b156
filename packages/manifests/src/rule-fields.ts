/**
 * One entry of `egress`, `egressDeny`, `ingress` or `ingressDeny` of Cilium's policies: whom it names, and which ports.
 *
 * Invariant: at most one of the lists that name peers stands in an entry, as Cilium admits it; an empty list is kept, since
 * it selects nothing, while an absent one does not restrict.
 */
import type { PortSpec, RuleSpec } from '@tandem/core';
import { readCidrSet, readCidrs } from './cidr-fields.js';
import type { Field, MapField } from './field.js';
import { readIcmps } from './icmp-fields.js';
import { readFqdnSelectors } from './name-fields.js';
import { readEntities, readServices } from './peer-fields.js';
import { readPortSpec } from './port-fields.js';
import { readSelector } from './selector-fields.js';

/** Where a rule stands. */
export interface RulePlace {
  readonly direction: 'egress' | 'ingress';
  readonly deny: boolean;
}

const PEER_KEYS = {
  egress: ['toEndpoints', 'toCIDR', 'toCIDRSet', 'toEntities', 'toServices', 'toFQDNs'],
  ingress: ['fromEndpoints', 'fromCIDR', 'fromCIDRSet', 'fromEntities'],
} as const;
const PORT_KEYS = ['toPorts', 'icmps'];
/** Of Cilium's language, not enforced here: what to do instead. */
const UNSUPPORTED: Readonly<Record<RulePlace['direction'], Readonly<Record<string, string>>>> = {
  egress: {
    toNodes: 'write toEntities with host or remote-node, or the addresses of the nodes as toCIDR',
    toGroups: 'write the addresses of the group as toCIDRSet, or its names as toFQDNs',
    toRequires: 'put the labels into every selector of toEndpoints',
    authentication: 'leave it out; connections are judged by labels and addresses',
  },
  ingress: {
    fromNodes: 'write fromEntities with host or remote-node, or the addresses of the nodes as fromCIDR',
    fromGroups: 'write the addresses of the group as fromCIDRSet',
    fromRequires: 'put the labels into every selector of fromEndpoints',
    authentication: 'leave it out; connections are judged by labels and addresses',
  },
};

export function readRule(rule: MapField, place: RulePlace): RuleSpec {
  const { direction, deny } = place;
  const refused = rule.keys().filter((key) => refuse(rule, key, direction));
  rule.checkKeys([...PEER_KEYS[direction], ...PORT_KEYS, ...refused]);
  refuseSeveral(rule, place);
  warnOfNobody(rule, place);
  const prefix = direction === 'egress' ? 'to' : 'from';
  const names = direction === 'egress' ? rule.get('toFQDNs') : null;
  if (names !== null && deny) {
    names.error('stands in a rule that denies, where Cilium has no names; write them in the annotation tandem.dev/deny-fqdns');
  }
  const entities = rule.get(`${prefix}Entities`);
  const services = direction === 'egress' ? rule.get('toServices') : null;
  return {
    endpoints: rule.get(`${prefix}Endpoints`)?.list()?.flatMap((item) => readSelector(item, 'sourced') ?? []) ?? null,
    cidrs: readAllCidrs(rule.get(`${prefix}CIDR`), rule.get(`${prefix}CIDRSet`)),
    entities: entities === null ? null : readEntities(entities),
    services: services === null ? null : readServices(services),
    fqdns: names === null ? null : readFqdnSelectors(names),
    ports: readPorts(rule, place, names !== null),
  };
}

/** Whether the key is one of Cilium's that has no place here: reported. */
function refuse(rule: MapField, key: string, direction: RulePlace['direction']): boolean {
  const advice = UNSUPPORTED[direction];
  if (Object.hasOwn(advice, key)) {
    rule.keyField(key).error(`is not supported by this version: ${advice[key]}`);
    return true;
  }
  const other = direction === 'egress' ? 'ingress' : 'egress';
  if (!PEER_KEYS[other].some((one) => one === key)) return false;
  const twin = direction === 'egress' ? key.replace('from', 'to') : key.replace('to', 'from');
  const instead = PEER_KEYS[direction].some((one) => one === twin) ? `here write ${twin}` : 'name those who connect by labels or addresses';
  rule.keyField(key).error(`belongs into ${other} rules; ${instead}`);
  return true;
}

function refuseSeveral(rule: MapField, { direction, deny }: RulePlace): void {
  const [first, ...others] = PEER_KEYS[direction].filter((key) => rule.get(key) !== null);
  for (const key of others) {
    rule.get(key)?.error(`stands next to ${first}; write two ${direction}${deny ? 'Deny' : ''} rules`);
  }
}

/** Where nobody is named, a denial denies nothing: hardly what is meant. And an empty toFQDNs is not read as Cilium does. */
function warnOfNobody(rule: MapField, { direction, deny }: RulePlace): void {
  const entities = direction === 'egress' ? 'toEntities' : 'fromEntities';
  if (deny && rule.keys().length === 0) rule.field.warning(`is empty, which denies nothing (as in Cilium); write "${entities}: [all]" to deny all`);
  for (const key of PEER_KEYS[direction]) {
    const field = rule.get(key);
    if (field?.isEmptyList !== true) continue;
    if (deny) field.warning(`is an empty list, so that the rule denies nothing (as in Cilium); write "${entities}: [all]" to deny all`);
    else if (key === 'toFQDNs') field.warning('is an empty list, which selects nobody; in Cilium it restricts nothing, so leave it out if that is meant');
  }
}

function readAllCidrs(plain: Field | null, set: Field | null): RuleSpec['cidrs'] {
  if (plain === null && set === null) return null;
  return [...(plain === null ? [] : readCidrs(plain)), ...(set === null ? [] : readCidrSet(set))];
}

function readPorts(rule: MapField, place: RulePlace, underFqdns: boolean): PortSpec[] | null {
  const ports = filledList(rule.get('toPorts'));
  const icmps = filledList(rule.get('icmps'));
  if (ports !== null && icmps !== null) rule.get('icmps')?.error('stands next to toPorts; write two rules');
  if (ports === null && icmps === null) return null;
  return [...(ports ?? []).flatMap((item) => readPortSpec(item, { ...place, underFqdns })), ...readIcmps(icmps ?? [])];
}

/** Unlike peers, no ports at all are as good as absent, as in Cilium. */
function filledList(field: Field | null): Field[] | null {
  const items = field?.list() ?? null;
  if (items?.length !== 0) return items;
  field?.warning('is an empty list, which restricts nothing (as in Cilium); leave it out');
  return null;
}
