/**
 * Policy rules and routes of routing tables (linux/fib_rules.h, linux/rtnetlink.h) as bytes: those that lead redirected DNS to this
 * node itself, and what else there is in their table.
 *
 * Does not know: which of them ought to be there.
 */
import { attributesOf, bytes32, isLittleEndian, message, messagesOf, NLM_F, number16, number32, textBytes, textOf, type Attribute } from '../links/netlink-bytes.js';
import { FAMILY, TABLE_MAIN } from '../links/route-messages.js';

const RTM = { newRoute: 24, delRoute: 25, getRoute: 26, newRule: 32, delRule: 33, getRule: 34 } as const;
const RULE_BYTES = 12;
const ROUTE_BYTES = 12;
const FRA = { interface: 3, priority: 6, mark: 10, table: 15, mask: 16, origin: 21, protocol: 22, sourcePorts: 23, destinationPorts: 24 } as const;
const RTA = { interface: 4, table: 15 } as const;
const ACTION_TO_TABLE = 1;
const ROUTE_LOCAL = 2;
const SCOPE_HOST = 254;
const LOOPBACK = 1;
/** Tables above it are named by an attribute. */
const SHORT_TABLE_MAX = 255;

/**
 * Who has made it, as `ip rule` and `ip route` show it (`proto 153`): how ours are told from others'. Not in iproute2's list, and not
 * a routing daemon's.
 */
export const ORIGIN = 153;

export type Family = 4 | 6;

export interface Ports {
  readonly first: number;
  readonly last: number;
}

export interface Rule {
  readonly family: Family;
  readonly priority: number;
  /** Table that it leads to. */
  readonly table: number;
  readonly mark: number;
  readonly mask: number;
  /** IP protocol number; 0: any. */
  readonly protocol: number;
  /** '' where it holds for all. */
  readonly inputInterface: string;
  readonly sourcePorts: Ports | null;
  readonly destinationPorts: Ports | null;
}

/** One that leads everything to this node itself: `local default dev lo`. */
export interface LocalRoute {
  readonly family: Family;
  readonly table: number;
}

const numberOf = (family: Family): number => (family === 4 ? FAMILY.v4 : FAMILY.v6);

export function addRule(rule: Rule, sequence: number): Uint8Array {
  return ruleMessage(RTM.newRule, NLM_F.create | NLM_F.excl, rule, sequence);
}

export function deleteRule(rule: Rule, sequence: number): Uint8Array {
  return ruleMessage(RTM.delRule, 0, rule, sequence);
}

function ruleMessage(type: number, flags: number, rule: Rule, sequence: number): Uint8Array {
  const body = new Uint8Array(RULE_BYTES);
  body[0] = numberOf(rule.family);
  body[4] = rule.table <= SHORT_TABLE_MAX ? rule.table : 0;
  body[7] = ACTION_TO_TABLE;
  const attributes: Attribute[] = [
    [FRA.priority, bytes32(rule.priority)],
    [FRA.table, bytes32(rule.table)],
    [FRA.mark, bytes32(rule.mark)],
    [FRA.mask, bytes32(rule.mask)],
    [FRA.origin, Uint8Array.of(ORIGIN)],
  ];
  if (rule.protocol !== 0) attributes.push([FRA.protocol, Uint8Array.of(rule.protocol)]);
  if (rule.inputInterface !== '') attributes.push([FRA.interface, textBytes(rule.inputInterface)]);
  if (rule.sourcePorts !== null) attributes.push([FRA.sourcePorts, portBytes(rule.sourcePorts)]);
  if (rule.destinationPorts !== null) attributes.push([FRA.destinationPorts, portBytes(rule.destinationPorts)]);
  return message(type, { flags: flags | NLM_F.ack, sequence }, body, attributes);
}

export function dumpRules(family: Family): Uint8Array {
  const body = new Uint8Array(RULE_BYTES);
  body[0] = numberOf(family);
  return message(RTM.getRule, { flags: NLM_F.dump }, body);
}

/** Ours among what was dumped. */
export function ownRules(family: Family, bytes: Uint8Array): Rule[] {
  return messagesOf(bytes).flatMap(({ type, body }) => {
    const attributes = attributesOf(body, RULE_BYTES);
    if (type !== RTM.newRule || attributes.get(FRA.origin)?.at(0) !== ORIGIN) return [];
    return [{
      family,
      priority: number32(attributes.get(FRA.priority)) ?? 0,
      table: number32(attributes.get(FRA.table)) ?? body[4],
      mark: number32(attributes.get(FRA.mark)) ?? 0,
      mask: number32(attributes.get(FRA.mask)) ?? 0,
      protocol: attributes.get(FRA.protocol)?.at(0) ?? 0,
      inputInterface: textOf(attributes.get(FRA.interface)),
      sourcePorts: portsOf(attributes.get(FRA.sourcePorts)),
      destinationPorts: portsOf(attributes.get(FRA.destinationPorts)),
    }];
  });
}

export function addRoute(route: LocalRoute, sequence: number): Uint8Array {
  return routeMessage(RTM.newRoute, NLM_F.create | NLM_F.replace, route, sequence);
}

export function deleteRoute(route: LocalRoute, sequence: number): Uint8Array {
  return routeMessage(RTM.delRoute, 0, route, sequence);
}

function routeMessage(type: number, flags: number, { family, table }: LocalRoute, sequence: number): Uint8Array {
  const body = new Uint8Array(ROUTE_BYTES);
  body[0] = numberOf(family);
  body[4] = table <= SHORT_TABLE_MAX ? table : 0;
  body[5] = ORIGIN;
  body[6] = SCOPE_HOST;
  body[7] = ROUTE_LOCAL;
  return message(type, { flags: flags | NLM_F.ack, sequence }, body, [[RTA.table, bytes32(table)], [RTA.interface, bytes32(LOOPBACK)]]);
}

/** Of all tables: there are few that are not main's or the kernel's own, which are left out by `tableRoutes`. */
export function dumpRoutes(family: Family, filter: { readonly table?: number; readonly isOurs?: boolean }): Uint8Array {
  const body = new Uint8Array(ROUTE_BYTES);
  body[0] = numberOf(family);
  if (filter.isOurs === true) body[5] = ORIGIN;
  const attributes: Attribute[] = filter.table === undefined ? [] : [[RTA.table, bytes32(filter.table)]];
  return message(RTM.getRoute, { flags: NLM_F.dump }, body, attributes);
}

export interface TableRoute {
  readonly table: number;
  readonly isOurs: boolean;
  /** `local default dev lo`. */
  readonly isLocalDefault: boolean;
}

export function tableRoutes(bytes: Uint8Array): TableRoute[] {
  return messagesOf(bytes).flatMap(({ type, body }) => {
    if (type !== RTM.newRoute || body.length < ROUTE_BYTES) return [];
    const attributes = attributesOf(body, ROUTE_BYTES);
    const table = number32(attributes.get(RTA.table)) ?? body[4];
    const isLocalDefault = body[1] === 0 && body[7] === ROUTE_LOCAL && number32(attributes.get(RTA.interface)) === LOOPBACK;
    return table === TABLE_MAIN ? [] : [{ table, isOurs: body[5] === ORIGIN, isLocalDefault }];
  });
}

/** struct fib_rule_port_range, in the order of the machine. */
function portBytes({ first, last }: Ports): Uint8Array {
  const bytes = new Uint8Array(4);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, first, isLittleEndian);
  view.setUint16(2, last, isLittleEndian);
  return bytes;
}

function portsOf(bytes: Uint8Array | undefined): Ports | null {
  const [first, last] = [number16(bytes, 0), number16(bytes, 2)];
  return first === null || last === null ? null : { first, last };
}
