/**
 * Where this node's pods are, as the keys by which the tables know them: interface and address.
 *
 * Invariant: a key is one endpoint's. One that two endpoints have is nobody's: then both are strangers there.
 * Does not know: rules.
 */
import type { EndpointLocation, EndpointRecord, Snapshot } from '@tandem/core';
import { familyOf, type Family } from './family.js';

export interface PodPlace {
  readonly endpoint: EndpointRecord;
  readonly address: string;
  readonly family: Family;
  /** Index of the interface by which its packets come: the veth's host end, or the outer end of the diverting pair. */
  readonly from: number;
  /** By which packets to it leave: the veth's host end, or the bridge. */
  readonly to: number;
  /** Bridged. */
  readonly port: { readonly interface: number; readonly mac: string } | null;
}

/** Every attested address of every endpoint; a bridged one only where packets can be diverted (`outer`). */
export function podPlaces(snapshot: Snapshot, outer: number | null): readonly PodPlace[] {
  const places = snapshot.endpoints.flatMap((endpoint) => (endpoint.at ?? []).flatMap((at) => placeOf(endpoint, at, outer) ?? []));
  const claims = new Map<string, EndpointRecord>();
  const disputed = new Set<string>();
  for (const place of places) {
    for (const key of [`from ${place.from} ${place.address}`, `to ${place.to} ${place.address}`]) {
      const other = claims.get(key);
      if (other !== undefined && other !== place.endpoint) disputed.add(key);
      claims.set(key, place.endpoint);
    }
  }
  if (disputed.size === 0) return places;
  return places.filter(({ from, to, address }) => !disputed.has(`from ${from} ${address}`) && !disputed.has(`to ${to} ${address}`));
}

function placeOf(endpoint: EndpointRecord, at: EndpointLocation, outer: number | null): PodPlace | null {
  const { address, mac, bridge } = at;
  const family = familyOf(address);
  if (mac === undefined || bridge === undefined) return { endpoint, address, family, from: at.interface, to: at.interface, port: null };
  return outer === null ? null : { endpoint, address, family, from: outer, to: bridge, port: { interface: at.interface, mac } };
}
