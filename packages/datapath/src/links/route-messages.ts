/**
 * What the kernel tells of links, addresses, routes and neighbours (rtnetlink(7)), as plain events, and the requests that ask for it.
 *
 * Invariant: a message that is not understood, or says nothing that counts here, is no event; none is guessed at.
 * Shapes: linux/if_link.h, if_addr.h, rtnetlink.h, neighbour.h, fib_rules.h. Does not know: sockets, and what follows from an event.
 */
import { formatAddress } from '@tandem/core';
import { attributesOf, bytes32, message, messagesOf, NLM_F, number16, number32, textOf, type Message } from './netlink-bytes.js';

/** Multicast groups (RTNLGRP_…). */
export const ROUTE_GROUP = { link: 1, neighbour: 3, address4: 5, route4: 7, rule4: 8, address6: 9, route6: 11, rule6: 19 } as const;

const RTM = {
  newLink: 16, delLink: 17, newAddress: 20, delAddress: 21, getAddress: 22, getLink: 18, newRoute: 24, delRoute: 25, getRoute: 26,
  newNeighbour: 28, delNeighbour: 29, getNeighbour: 30, newRule: 32, delRule: 33,
} as const;

export const FAMILY = { unspecified: 0, v4: 2, bridge: 7, v6: 10 } as const;
const AF_V4: number = FAMILY.v4;
const AF_V6: number = FAMILY.v6;

const LINK_BYTES = 16;
const ADDRESS_BYTES = 8;
const ROUTE_BYTES = 12;
const NEIGHBOUR_BYTES = 12;
const NEXT_HOP_BYTES = 8;

const IFLA = { mac: 1, name: 3, peer: 5, master: 10, wireless: 11, info: 18 } as const;
const IFLA_INFO_KIND = 1;
const IFA = { address: 1, local: 2 } as const;
const RTA = { destination: 1, interface: 4, gateway: 5, priority: 6, multipath: 9, table: 15, via: 18 } as const;
const NDA = { destination: 1, mac: 2, vlan: 5, master: 9 } as const;

const IFF_UP = 1;
const ROUTE_UNICAST = 1;
export const TABLE_MAIN = 254;
/** Neighbour states in which its MAC is known to be right, or was: REACHABLE, STALE, DELAY, PROBE, NOARP, PERMANENT. */
const NEIGHBOUR_KNOWN = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80;
/** NOARP, PERMANENT. */
const NEIGHBOUR_STATIC = 0x40 | 0x80;
/** Of a bridge's table: its own addresses. */
const NEIGHBOUR_PERMANENT = 0x80;
const NTF = { use: 0x01, master: 0x04 } as const;

export interface Link {
  readonly index: number;
  readonly name: string;
  /** `veth`, `bridge`, …; '' for hardware. */
  readonly kind: string;
  /** Lower case with colons; '' where it has none. */
  readonly mac: string;
  /** Index of the bridge or bond that it is a port of; 0: none. */
  readonly master: number;
  /** Index of a veth's other end, which may be in another namespace; 0: none. */
  readonly peer: number;
  readonly isUp: boolean;
}

/** A route to one address, straight out of a link: no gateway. */
export interface HostRoute {
  readonly address: string;
  readonly table: number;
  readonly priority: number;
  /** Indexes of the links that it leads to. */
  readonly interfaces: readonly number[];
}

export interface NodeAddress {
  readonly interface: number;
  readonly address: string;
  /** Length of the prefix that is on the link, in bits. */
  readonly prefixBits: number;
}

export interface Neighbour {
  readonly interface: number;
  readonly address: string;
  /** null: not known, or no longer. */
  readonly mac: string | null;
  /** Somebody wrote it down: the kernel asks nobody. */
  readonly isStatic: boolean;
}

/** Behind which port of a bridge a MAC is. */
export interface Forwarding {
  readonly port: number;
  /** 0 where the kernel does not say. */
  readonly bridge: number;
  readonly mac: string;
}

export type RouteEvent =
  | { readonly kind: 'link'; readonly isGone: boolean; readonly link: Link }
  | { readonly kind: 'address'; readonly isGone: boolean; readonly at: NodeAddress }
  /** `replaces`: all others with its table and priority. */
  | { readonly kind: 'route'; readonly isGone: boolean; readonly replaces: boolean; readonly route: HostRoute }
  | { readonly kind: 'neighbour'; readonly isGone: boolean; readonly neighbour: Neighbour }
  | { readonly kind: 'forwarding'; readonly isGone: boolean; readonly forwarding: Forwarding }
  /** A policy rule or a route of another table has changed: somebody may have to look. */
  | { readonly kind: 'rules' };

export function routeEvents(bytes: Uint8Array): RouteEvent[] {
  const events: RouteEvent[] = [];
  for (const one of messagesOf(bytes)) {
    const event = eventOf(one);
    if (event !== null) events.push(event);
  }
  return events;
}

function eventOf({ type, flags, body }: Message): RouteEvent | null {
  switch (type) {
    case RTM.newLink:
    case RTM.delLink:
      return linkEvent(body, type === RTM.delLink);
    case RTM.newAddress:
    case RTM.delAddress:
      return addressEvent(body, type === RTM.delAddress);
    case RTM.newRoute:
    case RTM.delRoute:
      return routeEvent(body, type === RTM.delRoute, (flags & NLM_F.replace) !== 0);
    case RTM.newNeighbour:
    case RTM.delNeighbour:
      return neighbourEvent(body, type === RTM.delNeighbour);
    case RTM.newRule:
    case RTM.delRule:
      return { kind: 'rules' };
    default:
      return null;
  }
}

/** A bridge tells of its ports by messages of its own family, in which "gone" means gone from the bridge: the general ones say it, too. */
function linkEvent(body: Uint8Array, isGone: boolean): RouteEvent | null {
  if (body.length < LINK_BYTES || body[0] !== FAMILY.unspecified) return null;
  const attributes = attributesOf(body, LINK_BYTES);
  // Told by wireless drivers about themselves, without all the rest.
  if (attributes.has(IFLA.wireless)) return null;
  const index = number32(body, 4);
  const flags = number32(body, 8);
  if (index === null || flags === null) return null;
  const info = attributes.get(IFLA.info);
  return {
    kind: 'link',
    isGone,
    link: {
      index,
      name: textOf(attributes.get(IFLA.name)),
      kind: info === undefined ? '' : textOf(attributesOf(info).get(IFLA_INFO_KIND)),
      mac: macText(attributes.get(IFLA.mac)) ?? '',
      master: number32(attributes.get(IFLA.master)) ?? 0,
      peer: number32(attributes.get(IFLA.peer)) ?? 0,
      isUp: (flags & IFF_UP) !== 0,
    },
  };
}

function addressEvent(body: Uint8Array, isGone: boolean): RouteEvent | null {
  const index = number32(body, 4);
  if (index === null) return null;
  const attributes = attributesOf(body, ADDRESS_BYTES);
  const address = addressText(body[0], attributes.get(IFA.local) ?? attributes.get(IFA.address));
  return address === null ? null : { kind: 'address', isGone, at: { interface: index, address, prefixBits: body[1] } };
}

function routeEvent(body: Uint8Array, isGone: boolean, replaces: boolean): RouteEvent | null {
  if (body.length < ROUTE_BYTES) return null;
  const [family, destinationBits, sourceBits, , shortTable] = body;
  const attributes = attributesOf(body, ROUTE_BYTES);
  const table = number32(attributes.get(RTA.table)) ?? shortTable;
  if (table !== TABLE_MAIN) return { kind: 'rules' };
  if (body[7] !== ROUTE_UNICAST || sourceBits !== 0 || destinationBits !== (family === AF_V4 ? 32 : 128)) return null;
  const address = addressText(family, attributes.get(RTA.destination));
  if (address === null) return null;
  const interfaces = nextHops(attributes);
  if (interfaces.length === 0 && !isGone) return null;
  return { kind: 'route', isGone, replaces, route: { address, table, priority: number32(attributes.get(RTA.priority)) ?? 0, interfaces } };
}

/** Links of next hops that have no gateway. */
function nextHops(attributes: ReadonlyMap<number, Uint8Array>): number[] {
  const found = new Set<number>();
  const isStraight = (given: ReadonlyMap<number, Uint8Array>): boolean => !given.has(RTA.gateway) && !given.has(RTA.via);
  const own = number32(attributes.get(RTA.interface));
  if (own !== null && isStraight(attributes)) found.add(own);
  const hops = attributes.get(RTA.multipath);
  // struct rtnexthop: length, flags, hops, interface, then attributes.
  for (let at = 0; hops !== undefined && at + NEXT_HOP_BYTES <= hops.length; ) {
    const length = number16(hops, at) ?? 0;
    if (length < NEXT_HOP_BYTES || at + length > hops.length) break;
    const index = number32(hops, at + 4);
    if (index !== null && isStraight(attributesOf(hops.subarray(at, at + length), NEXT_HOP_BYTES))) found.add(index);
    at += (length + 3) & ~3;
  }
  return [...found];
}

function neighbourEvent(body: Uint8Array, isGone: boolean): RouteEvent | null {
  const index = number32(body, 4);
  const state = number16(body, 8);
  if (body.length < NEIGHBOUR_BYTES || index === null || state === null) return null;
  const attributes = attributesOf(body, NEIGHBOUR_BYTES);
  const mac = macText(attributes.get(NDA.mac));
  if (body[0] === FAMILY.bridge) {
    // What a link filters for itself (NTF_SELF) has no master; a bridge's own addresses lead to nobody.
    const bridge = number32(attributes.get(NDA.master));
    if (mac === null || bridge === null || (state & NEIGHBOUR_PERMANENT) !== 0) return null;
    return { kind: 'forwarding', isGone, forwarding: { port: index, bridge, mac } };
  }
  const address = addressText(body[0], attributes.get(NDA.destination));
  if (address === null) return null;
  const neighbour = { interface: index, address, mac: (state & NEIGHBOUR_KNOWN) === 0 ? null : mac, isStatic: (state & NEIGHBOUR_STATIC) !== 0 };
  return { kind: 'neighbour', isGone, neighbour };
}

const dump = (type: number, body: Uint8Array): Uint8Array => message(type, { flags: NLM_F.dump }, body);

function headed(length: number, family: number): Uint8Array {
  const body = new Uint8Array(length);
  body[0] = family;
  return body;
}

/** Everything that `routeEvents` makes events of but forwarding: that is asked for one by one. Each is a part of its own. */
export const DUMPS: readonly { readonly name: string; readonly request: Uint8Array; readonly mayBeAbsent: boolean }[] = [
  { name: 'links', request: dump(RTM.getLink, headed(LINK_BYTES, FAMILY.unspecified)), mayBeAbsent: false },
  { name: 'addresses', request: dump(RTM.getAddress, headed(ADDRESS_BYTES, FAMILY.unspecified)), mayBeAbsent: false },
  // A namespace that never had a route has no main table.
  { name: 'routes', request: dump(RTM.getRoute, mainTable(FAMILY.v4)), mayBeAbsent: true },
  { name: 'routes', request: dump(RTM.getRoute, mainTable(FAMILY.v6)), mayBeAbsent: true },
  { name: 'neighbours', request: dump(RTM.getNeighbour, headed(NEIGHBOUR_BYTES, FAMILY.unspecified)), mayBeAbsent: false },
];

function mainTable(family: number): Uint8Array {
  const body = headed(ROUTE_BYTES, family);
  body[4] = TABLE_MAIN;
  return body;
}

/** Asks a bridge behind which port a MAC is. `vlan`: 0 where the bridge knows none. */
export function forwardingRequest({ bridge, mac, vlan }: { readonly bridge: number; readonly mac: string; readonly vlan: number }): Uint8Array {
  const attributes: [number, Uint8Array][] = [[NDA.mac, macBytes(mac)], [NDA.master, bytes32(bridge)]];
  if (vlan !== 0) attributes.push([NDA.vlan, new Uint8Array(Uint16Array.of(vlan).buffer)]);
  return message(RTM.getNeighbour, { flags: NLM_F.ack }, headed(NEIGHBOUR_BYTES, FAMILY.bridge), attributes);
}

/** Has the kernel ask on a link who has the address (ARP, neighbour solicitation), as if a packet were to go there. */
export function solicitRequest(at: { readonly interface: number; readonly address: string }, destination: Uint8Array): Uint8Array {
  const body = neighbourBody(at, destination);
  body[10] = NTF.use;
  return message(RTM.newNeighbour, { flags: NLM_F.ack | NLM_F.create }, body, [[NDA.destination, destination]]);
}

/** Forgets what is known of the address on a link. */
export function forgetRequest(at: { readonly interface: number; readonly address: string }, destination: Uint8Array): Uint8Array {
  return message(RTM.delNeighbour, { flags: NLM_F.ack }, neighbourBody(at, destination), [[NDA.destination, destination]]);
}

function neighbourBody(at: { readonly interface: number }, destination: Uint8Array): Uint8Array {
  const body = headed(NEIGHBOUR_BYTES, destination.length === 4 ? AF_V4 : AF_V6);
  body.set(bytes32(at.interface), 4);
  return body;
}

const V4_MAPPED = [...new Array<number>(10).fill(0), 0xff, 0xff];

/** Canonical text of 4 or 16 bytes; null where they do not fit the family. */
function addressText(family: number, bytes: Uint8Array | undefined): string | null {
  if (bytes === undefined) return null;
  if (family === AF_V4 && bytes.length === 4) return formatAddress(Uint8Array.from([...V4_MAPPED, ...bytes]));
  return family === AF_V6 && bytes.length === 16 ? formatAddress(bytes) : null;
}

function macText(bytes: Uint8Array | undefined): string | null {
  return bytes?.length === 6 ? Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':') : null;
}

function macBytes(text: string): Uint8Array {
  return Uint8Array.from(text.split(':'), (byte) => parseInt(byte, 16));
}
