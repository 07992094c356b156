/**
 * Which set elements open an address that was learned for a name: one for each group of toFQDNs selectors that speaks of the
 * name, or, where a group opens for the pod alone that asked, one for each of that pod's addresses.
 */
import { type EndpointRecord, parseAddress, selectorsMatcher, type Snapshot } from '@tandem/core';
import { type FqdnGroup, fqdnGroups, fqdnSetName, type GrantScope } from '../fqdn-groups.js';

export interface OpenElement {
  readonly set: string;
  /** The set's fields, one behind the other, network byte order. */
  readonly key: Uint8Array;
}

/** Names whose groups are remembered; at the bound they are looked up anew. */
const NAMES_MAX = 16_384;
const V4_AT = 12;
const NO_GROUPS: readonly FqdnGroup[] = [];

export class OpenElements {
  private readonly scope: GrantScope;
  private groups: readonly { readonly group: FqdnGroup; readonly matches: (name: string) => boolean }[] = [];
  private known = new Map<string, (name: string) => boolean>();
  private byUid = new Map<string, EndpointRecord>();
  private byId = new Map<number, EndpointRecord>();
  private readonly groupsOfName = new Map<string, readonly FqdnGroup[]>();

  constructor(scope: GrantScope) {
    this.scope = scope;
  }

  setPolicy(snapshot: Snapshot): void {
    const kept = new Map<string, (name: string) => boolean>();
    this.groups = fqdnGroups(snapshot, this.scope).map((group) => {
      const matches = this.known.get(group.key) ?? selectorsMatcher(group.selectors);
      kept.set(group.key, matches);
      return { group, matches };
    });
    this.known = kept;
    this.groupsOfName.clear();
    this.byUid = new Map(snapshot.endpoints.map((endpoint) => [endpoint.uid, endpoint]));
    this.byId = new Map(snapshot.endpoints.map((endpoint) => [endpoint.id, endpoint]));
  }

  /** Every set's name. */
  *sets(): Generator<string> {
    for (const { group } of this.groups) yield* [fqdnSetName(group, 4), fqdnSetName(group, 6)];
  }

  /** `name`: presentation form, lower case, trailing dot; `address`: 16 bytes. By whom: an endpoint's number or UID. */
  of(name: string, address: Uint8Array, by: number | string): OpenElement[] {
    const groups = this.groupsOf(name);
    if (groups.length === 0) return [];
    const isV4 = isMapped(address);
    const field = isV4 ? address.slice(V4_AT) : address.slice();
    return groups.flatMap((group): OpenElement[] => {
      const set = fqdnSetName(group, isV4 ? 4 : 6);
      if (group.scope === 'node') return [{ set, key: field }];
      const pod = typeof by === 'number' ? this.byId.get(by) : this.byUid.get(by);
      return (pod?.addresses ?? []).flatMap((own): OpenElement[] => {
        const bytes = parseAddress(own);
        if (bytes === null || isMapped(bytes) !== isV4) return [];
        return [{ set, key: concatenated(isV4 ? bytes.subarray(V4_AT) : bytes, field) }];
      });
    });
  }

  private groupsOf(name: string): readonly FqdnGroup[] {
    if (this.groups.length === 0) return NO_GROUPS;
    let groups = this.groupsOfName.get(name);
    if (groups === undefined) {
      groups = this.groups.filter(({ matches }) => matches(name)).map(({ group }) => group);
      if (this.groupsOfName.size >= NAMES_MAX) this.groupsOfName.clear();
      this.groupsOfName.set(name, groups);
    }
    return groups;
  }
}

/** A text that is equal for equal elements. */
export function elementText({ set, key }: OpenElement): string {
  return set + String.fromCharCode(...key);
}

function isMapped(bytes: Uint8Array): boolean {
  return bytes[10] === 0xff && bytes[11] === 0xff && bytes.subarray(0, 10).every((byte) => byte === 0);
}

function concatenated(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
