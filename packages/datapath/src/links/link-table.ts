/**
 * What is known of this network namespace: links, routes to single addresses, neighbours behind bridges; and so where each
 * address is. Fed with events, one after the other.
 *
 * Invariant: an address is seen at all places that somebody has claimed it at and whose link is still there: a second claim does not
 * hide the first. A link that goes takes with it all that was seen at it. Everything is bounded; what finds no room is not seen, which
 * closes it, and `isFull` says so.
 * Does not know: sockets, policy, which of two places is right.
 */
import type { EndpointLocation, Place } from '@tandem/core';
import type { Forwarding, HostRoute, Link, Neighbour, NodeAddress, RouteEvent } from './route-messages.js';

/** Routes to single addresses: some hundred pods here, and what the administrator adds. */
const ROUTES_MAX = 65_536;
/** Sixteen times what the kernel itself keeps by default (gc_thresh3). */
const NEIGHBOURS_MAX = 16_384;
const LINKS_MAX = 16_384;
const NODE_ADDRESSES_MAX = 16_384;

const LOOPBACK = 1;

export interface KnownLink extends Link {
  /** Tells it from a later link with the same index; null where it is not to be had. */
  readonly id: string | null;
}

/** Where a bridged address was claimed: by port. */
type Claims = Map<number, { readonly mac: string; readonly bridge: number }>;

export class LinkTable {
  private readonly idOf: (link: Link) => string | null;
  private readonly links = new Map<number, KnownLink>();
  private readonly nodeAddresses = new Map<string, NodeAddress>();
  /** By address. */
  private readonly routes = new Map<string, HostRoute[]>();
  /** Of bridges, by bridge and address. */
  private readonly neighbours = new Map<string, Neighbour>();
  /** Keys of neighbours by MAC, since anybody can make a bridge learn as many MACs as he likes. */
  private readonly byMac = new Map<string, Set<string>>();
  /** By address; of addresses that count. */
  private readonly claims = new Map<string, Claims>();
  /** Ids of links that claims are of, by index: for what is known again after a loss. */
  private readonly claimed = new Map<number, string | null>();
  private addresses: ReadonlySet<string> = new Set();
  private routeCount = 0;
  /** Something found no room since the last `begin`. */
  isFull = false;

  constructor(idOf: (link: Link) => string | null) {
    this.idOf = idOf;
  }

  /** All that follows is told anew. What was claimed stays for links that turn out to be the same. */
  begin(): void {
    this.claimed.clear();
    for (const { index, id } of this.links.values()) this.claimed.set(index, id);
    this.links.clear();
    this.nodeAddresses.clear();
    this.routes.clear();
    this.neighbours.clear();
    this.byMac.clear();
    this.routeCount = 0;
    this.isFull = false;
  }

  /** All has been told. */
  end(): void {
    for (const [index, id] of this.claimed) if (this.links.get(index)?.id !== id) this.dropClaims(index);
    for (const link of this.links.values()) this.dropForeignClaims(link);
    this.claimed.clear();
  }

  /** The addresses that count: only of these, claims at bridges are kept. */
  setAddresses(addresses: ReadonlySet<string>): void {
    this.addresses = addresses;
    for (const address of [...this.claims.keys()]) if (!addresses.has(address)) this.claims.delete(address);
  }

  apply(event: RouteEvent): void {
    switch (event.kind) {
      case 'link':
        this.onLink(event.link, event.isGone);
        return;
      case 'address':
        this.put(this.nodeAddresses, `${event.at.interface} ${event.at.address}`, event.isGone ? null : event.at, NODE_ADDRESSES_MAX);
        return;
      case 'route':
        this.onRoute(event);
        return;
      case 'neighbour':
        this.onNeighbour(event.neighbour, event.isGone);
        return;
      case 'forwarding':
        if (!event.isGone) this.onForwarding(event.forwarding);
        return;
      case 'rules':
        return;
    }
  }

  link(index: number): KnownLink | null {
    return this.links.get(index) ?? null;
  }

  allLinks(): readonly KnownLink[] {
    return [...this.links.values()];
  }

  ownAddresses(): readonly NodeAddress[] {
    return [...this.nodeAddresses.values()];
  }

  /** Every place where the address is seen; of bridged ones, only if it is among those that count. */
  places(address: string): readonly Place[] {
    const found = new Map<number, Place>();
    for (const { interfaces } of this.routes.get(address) ?? []) {
      for (const index of interfaces) {
        const link = this.links.get(index);
        if (link !== undefined && link.kind !== 'bridge' && index !== LOOPBACK) found.set(index, { interface: index, ...linkField(link) });
      }
    }
    for (const [port, { mac, bridge }] of this.claims.get(address) ?? []) {
      const link = this.links.get(port);
      if (link !== undefined) found.set(port, { interface: port, ...linkField(link), mac, bridge });
    }
    return [...found.values()].sort((a, b) => a.interface - b.interface);
  }

  /** Whether the link that an endpoint was pinned to is still there, and the same. */
  stands({ interface: index, link: id, bridge }: EndpointLocation): boolean {
    const link = this.links.get(index);
    if (link === undefined || (bridge !== undefined && link.master !== bridge)) return false;
    return id === undefined || link.id === null || link.id === id;
  }

  /** Neighbours behind bridges whose port is not known: to be asked for. */
  unplaced(): readonly { readonly address: string; readonly bridge: number; readonly mac: string }[] {
    const found: { address: string; bridge: number; mac: string }[] = [];
    for (const { address, interface: bridge, mac } of this.neighbours.values()) {
      if (mac === null || !this.addresses.has(address)) continue;
      const isKnown = [...(this.claims.get(address)?.values() ?? [])].some((claim) => claim.mac === mac && claim.bridge === bridge);
      if (!isKnown) found.push({ address, bridge, mac });
    }
    return found;
  }

  /** What is known of the address at a bridge; null: nothing. */
  neighbour(bridge: number, address: string): Neighbour | null {
    return this.neighbours.get(neighbourKey(bridge, address)) ?? null;
  }

  private onLink(link: Link, isGone: boolean): void {
    const { index } = link;
    if (isGone) {
      this.links.delete(index);
      this.dropWhatIsAt(index);
      this.dropClaims(index);
      for (const [key, { interface: at }] of this.nodeAddresses) if (at === index) this.nodeAddresses.delete(key);
      return;
    }
    const before = this.links.get(index);
    this.put(this.links, index, { ...link, id: before === undefined ? this.idOf(link) : before.id }, LINKS_MAX);
    // The kernel does not tell of the routes that it drops when a link goes down.
    if (!link.isUp) this.dropWhatIsAt(index);
    if (before !== undefined) this.dropForeignClaims(link);
  }

  private onRoute({ isGone, replaces, route }: RouteEvent & { readonly kind: 'route' }): void {
    const all = this.routes.get(route.address) ?? [];
    const isOther = (one: HostRoute): boolean => {
      if (one.table !== route.table || one.priority !== route.priority) return true;
      const isSaidNoMore = replaces || route.interfaces.length === 0;
      return !isSaidNoMore && !one.interfaces.every((index) => route.interfaces.includes(index));
    };
    const kept = all.filter(isOther);
    if (!isGone) {
      if (this.routeCount - all.length + kept.length >= ROUTES_MAX) this.isFull = true;
      else kept.push(route);
    }
    this.routeCount += kept.length - all.length;
    if (kept.length === 0) this.routes.delete(route.address);
    else this.routes.set(route.address, kept);
  }

  private onNeighbour(neighbour: Neighbour, isGone: boolean): void {
    if (this.links.get(neighbour.interface)?.kind === 'bridge') this.setNeighbour(neighbour, isGone);
  }

  private setNeighbour(neighbour: Neighbour, isGone: boolean): void {
    const key = neighbourKey(neighbour.interface, neighbour.address);
    const mac = this.neighbours.get(key)?.mac ?? null;
    if (mac !== null) {
      const keys = this.byMac.get(mac);
      keys?.delete(key);
      if (keys?.size === 0) this.byMac.delete(mac);
    }
    this.put(this.neighbours, key, isGone ? null : neighbour, NEIGHBOURS_MAX);
    if (isGone || neighbour.mac === null || !this.neighbours.has(key)) return;
    const keys = this.byMac.get(neighbour.mac);
    if (keys === undefined) this.byMac.set(neighbour.mac, new Set([key]));
    else keys.add(key);
  }

  /** Whoever has claimed an address with this MAC is behind this port. One port speaks for an address with one MAC: the last. */
  private onForwarding({ port, bridge, mac }: Forwarding): void {
    const link = this.links.get(port);
    if (link === undefined || link.master === 0 || (bridge !== 0 && link.master !== bridge)) return;
    for (const key of this.byMac.get(mac) ?? []) {
      const { address, interface: at } = this.neighbours.get(key)!;
      if (at !== link.master || !this.addresses.has(address)) continue;
      const claims = this.claims.get(address) ?? new Map<number, { mac: string; bridge: number }>();
      claims.set(port, { mac, bridge: at });
      this.claims.set(address, claims);
    }
  }

  private put<K, V>(map: Map<K, V>, key: K, value: V | null, max: number): void {
    if (value === null) map.delete(key);
    else if (map.size >= max && !map.has(key)) this.isFull = true;
    else map.set(key, value);
  }

  private dropWhatIsAt(index: number): void {
    for (const [address, all] of this.routes) {
      const kept = all.filter(({ interfaces }) => !interfaces.includes(index));
      this.routeCount += kept.length - all.length;
      if (kept.length === 0) this.routes.delete(address);
      else if (kept.length < all.length) this.routes.set(address, kept);
    }
    for (const one of [...this.neighbours.values()]) if (one.interface === index) this.setNeighbour(one, true);
  }

  private dropClaims(port: number): void {
    for (const claims of this.claims.values()) claims.delete(port);
  }

  /** A port that has left its bridge. */
  private dropForeignClaims({ index, master }: Link): void {
    for (const claims of this.claims.values()) if ((claims.get(index)?.bridge ?? master) !== master) claims.delete(index);
  }
}

function neighbourKey(bridge: number, address: string): string {
  return `${bridge} ${address}`;
}

function linkField({ id }: KnownLink): { readonly link?: string } {
  return id === null ? {} : { link: id };
}
