/**
 * Attested identity: an endpoint speaks only from the place where its address was first seen, so that a pod that inherits the
 * address of another is a stranger until the source has named it.
 *
 * Invariant: a place, once an endpoint's, is its own for as long as the source names it with that address in the same boot,
 * whatever is seen now, even when the link is gone; and one place belongs to one endpoint. What is ambiguous gets no place, and so
 * is nobody's: closed. The result is a function of what is asked, not of the order of lists or of the events before.
 * Does not know: links, neighbours, who watches them.
 */
import type { EndpointLocation, EndpointRecord, Snapshot } from './snapshot.js';
import { sha256OfTexts, snapshotHash, type Sha256 } from './snapshot-hash.js';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Where an address is now: that of a veth of its own, or a bridge port and MAC. */
export type Place = Omit<EndpointLocation, 'address'>;

export interface Locations {
  /** Of the running kernel; interface indexes mean nothing beyond it. */
  readonly boot: string;
  /** By address in canonical text: all the places at which it is seen. Two are one too many. */
  readonly seen: Pick<ReadonlyMap<string, readonly Place[]>, 'get'>;
  /** The snapshot in force, whose places stay; null without one. */
  readonly before: Pick<Snapshot, 'boot' | 'endpoints'> | null;
}

/**
 * unseen: no place, for it is seen nowhere. ambiguous: no place, for it is seen at several. shared: no place, for the one where it is
 * seen is another endpoint's, too. moved: it has its place, and is seen elsewhere: a stranger there. gone: it has its place, and is
 * seen nowhere now.
 */
export type Doubt = 'unseen' | 'ambiguous' | 'shared' | 'moved' | 'gone';

export interface Doubtful {
  readonly endpoint: Pick<EndpointRecord, 'uid' | 'namespace' | 'pod'>;
  readonly address: string;
  readonly doubt: Doubt;
}

export interface Attested {
  readonly endpoints: readonly EndpointRecord[];
  /** Addresses of endpoints that are not exactly at their place, in the order of endpoints. */
  readonly doubtful: readonly Doubtful[];
}

/** Addresses must be of one endpoint each, as a snapshot's are. What the endpoints say of places is not looked at. */
export function attest(endpoints: readonly EndpointRecord[], { boot, seen, before }: Locations): Attested {
  const pins = pinsOf(before?.boot === boot ? before.endpoints : []);
  const owners = ownersOf(endpoints, pins, seen);
  const doubtful: Doubtful[] = [];
  const attested = endpoints.map((endpoint) => {
    const at: EndpointLocation[] = [];
    for (const address of endpoint.addresses) {
      const pin = pins.get(pinKey(endpoint.uid, address)) ?? null;
      const places = seen.get(address) ?? [];
      const doubt = pin === null ? doubtOfNew(endpoint.uid, places, owners) : doubtOfPinned(pin, places);
      if (doubt !== null) doubtful.push({ endpoint, address, doubt });
      if (pin !== null) at.push(pin);
      else if (doubt === null) at.push(located(address, places[0]));
    }
    return withPlaces(endpoint, at);
  });
  return { endpoints: attested, doubtful };
}

/** The snapshot with its endpoints at their places, and its hash made again; the same object where nothing changes. */
export function withLocations(snapshot: Snapshot, locations: Locations, sha256: Sha256 = sha256OfTexts): { readonly snapshot: Snapshot; readonly doubtful: readonly Doubtful[] } {
  const { endpoints, doubtful } = attest(snapshot.endpoints, locations);
  const { boot } = bootOf(endpoints, locations.boot);
  const isSame = boot === snapshot.boot && endpoints.every(({ at }, i) => isSameAt(at, snapshot.endpoints[i].at));
  if (isSame) return { snapshot, doubtful };
  const next: Mutable<Snapshot> = { ...snapshot, endpoints };
  if (boot === undefined) delete next.boot;
  else next.boot = boot;
  next.hash = snapshotHash(next, { sha256, texts: new WeakMap() });
  return { snapshot: next, doubtful };
}

/** The boot goes with the places: a snapshot without any says none. */
function bootOf(endpoints: readonly EndpointRecord[], boot: string): { readonly boot?: string } {
  return endpoints.some(({ at }) => at !== undefined) ? { boot } : {};
}

/** By endpoint and address. */
function pinsOf(endpoints: readonly EndpointRecord[]): ReadonlyMap<string, EndpointLocation> {
  return new Map(endpoints.flatMap(({ uid, at }) => (at ?? []).map((place) => [pinKey(uid, place.address), place] as const)));
}

/** Whose each place is: of those who have it from before, else of the only one that is seen there; null: of several. */
function ownersOf(
  endpoints: readonly EndpointRecord[],
  pins: ReadonlyMap<string, EndpointLocation>,
  seen: Locations['seen'],
): ReadonlyMap<string, string | null> {
  const owners = new Map<string, string | null>();
  const seekers = new Map<string, string | null>();
  for (const { uid, addresses } of endpoints) {
    for (const address of addresses) {
      const pin = pins.get(pinKey(uid, address));
      const places = seen.get(address) ?? [];
      if (pin !== undefined) claim(owners, placeKey(pin), uid);
      else if (places.length === 1) claim(seekers, placeKey(places[0]), uid);
    }
  }
  return new Map([...seekers, ...owners]);
}

function claim(claims: Map<string, string | null>, key: string, uid: string): void {
  const other = claims.get(key);
  claims.set(key, other === undefined || other === uid ? uid : null);
}

function doubtOfNew(uid: string, places: readonly Place[], owners: ReadonlyMap<string, string | null>): Doubt | null {
  if (places.length === 0) return 'unseen';
  if (places.length > 1) return 'ambiguous';
  return owners.get(placeKey(places[0])) === uid ? null : 'shared';
}

function doubtOfPinned(pin: Place, places: readonly Place[]): Doubt | null {
  if (places.length === 0) return 'gone';
  return places.every((place) => placeKey(place) === placeKey(pin)) ? null : 'moved';
}

function withPlaces(endpoint: EndpointRecord, at: readonly EndpointLocation[]): EndpointRecord {
  const placed: Mutable<EndpointRecord> = { ...endpoint };
  if (at.length === 0) delete placed.at;
  else placed.at = at;
  return placed;
}

/** Its known fields alone: this goes into a snapshot. */
function located(address: string, { interface: index, link, mac, bridge }: Place): EndpointLocation {
  return { address, interface: index, ...(link === undefined ? {} : { link }), ...(mac === undefined || bridge === undefined ? {} : { mac, bridge }) };
}

function isSameAt(a: readonly EndpointLocation[] = [], b: readonly EndpointLocation[] = []): boolean {
  return a.length === b.length && a.every((place, i) => place.address === b[i].address && placeKey(place) === placeKey(b[i]));
}

function pinKey(uid: string, address: string): string {
  return `${address} ${uid}`;
}

function placeKey({ interface: index, link = '', mac, bridge }: Place): string {
  return mac === undefined ? `${index} ${link}` : `${index} ${link} ${mac} ${bridge}`;
}
