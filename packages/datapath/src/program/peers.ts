/**
 * Whom a rule's L3 part selects, as matches of addresses: pods and nodes by their own in a hash set, prefixes in a set of intervals,
 * names by the set of what DNS told.
 *
 * Invariant: a pod or node is itself whatever prefix or name leads to its address, so prefixes and names match only what is nobody's.
 * A Service's own address is let through by no selection: it stands for its backends, which the packet has as its destination once it
 * is translated. An address that several claim is allowed where one rule selects each of them, denied where one is selected.
 * Sets of pods and nodes are named by whom they select: one address more is one element more.
 */
import { FIRST_CIDR_IDENTITY, RESERVED_IDENTITY, type PolicyRule, type Snapshot } from '@tandem/core';
import { fqdnGroup, fqdnSetName, type GrantScope } from '../fqdn-groups.js';
import { FAMILIES, familyOf, WORDS, type Family } from './family.js';
import { intervalText, isWholeFamily, PrefixSpace } from './intervals.js';
import { contentName, type SetSpec } from './program.js';

export type Direction = 'egress' | 'ingress';

const WORLD_ROW = -1;
const EMPTY: ReadonlySet<string> = new Set();
type ByFamily<T> = Readonly<Record<Family, T>>;

export class PeerSets {
  /** Of the table; filled by what `matches` was asked. */
  readonly sets = new Map<string, SetSpec>();
  private readonly addresses = new Map<number, ByFamily<string[]>>();
  private readonly contested: readonly { readonly address: string; readonly identities: readonly number[] }[];
  private readonly rows = new Map<number, number>([[RESERVED_IDENTITY.world, WORLD_ROW]]);
  private readonly space: PrefixSpace;
  private readonly known = new Map<string, ByFamily<readonly string[]>>();

  constructor(snapshot: Snapshot) {
    this.contested = snapshot.contested ?? [];
    const contested = new Set(this.contested.map(({ address }) => address));
    const managed: Record<Family, Set<string>> = { 4: new Set(), 6: new Set() };
    for (const { identity, addresses } of snapshot.identities) {
      const own: Record<Family, string[]> = { 4: [], 6: [] };
      for (const address of addresses) {
        managed[familyOf(address)].add(address);
        if (!contested.has(address)) own[familyOf(address)].push(address);
      }
      this.addresses.set(identity, own);
    }
    for (const address of contested) managed[familyOf(address)].add(address);
    const virtual: Record<Family, Set<string>> = { 4: new Set(), 6: new Set() };
    for (const address of snapshot.services.flatMap(({ addresses }) => addresses)) {
      if (!managed[familyOf(address)].has(address)) virtual[familyOf(address)].add(address);
    }
    for (const family of FAMILIES) {
      const { type } = WORDS[family];
      this.sets.set(`managed${family}`, { type, flag: null, elements: managed[family] });
      this.sets.set(`virtual${family}`, { type, flag: null, elements: virtual[family] });
    }
    const cidrs = snapshot.cidrs ?? [];
    cidrs.forEach(({ identity }, row) => this.rows.set(identity, row));
    this.space = new PrefixSpace(cidrs.map(({ cidr }) => cidr));
  }

  /** Matches of which any will do; [''] for any peer. Empty: it selects nobody. */
  matches(rule: PolicyRule, direction: Direction, scope: GrantScope): readonly string[] {
    if (rule.identities === null && rule.fqdns.length === 0) return [''];
    const found: string[] = [];
    const identities = rule.identities ?? [];
    const inside = identities.filter((identity) => identity < FIRST_CIDR_IDENTITY && identity !== RESERVED_IDENTITY.world);
    const outside = identities.filter((identity) => this.rows.has(identity));
    for (const family of FAMILIES) {
      const { header } = WORDS[family];
      const field = `${header} ${direction === 'egress' ? 'daddr' : 'saddr'}`;
      if (inside.length > 0) found.push(`${field} @${this.insideSet(inside, rule.deny === true, family)}`);
      for (const match of this.outsideMatches(outside, family)) found.push(`${match === '' ? '' : `${field} ${match} `}${nobodys(rule, direction, family)}`);
      if (rule.fqdns.length > 0 && direction === 'egress') {
        found.push(`${fqdnMatch(rule, scope, family)} ${nobodys(rule, direction, family)}`);
      }
    }
    // Every address of this node is the host, also those that no pod on the host network has told.
    if (direction === 'egress' && inside.includes(RESERVED_IDENTITY.host)) found.push('fib daddr type local');
    return found;
  }

  private insideSet(identities: readonly number[], isDenied: boolean, family: Family): string {
    const name = `${isDenied ? 'denied' : 'peers'}${family}-${contentName(identities.join())}`;
    if (this.sets.has(name)) return name;
    const elements = new Set(identities.flatMap((identity) => this.addresses.get(identity)?.[family] ?? []));
    if (this.contested.length > 0) {
      const selected = new Set(identities);
      for (const { address, identities: claimants } of this.contested) {
        const isIn = (one: number): boolean => selected.has(one);
        if (familyOf(address) === family && (isDenied ? claimants.some(isIn) : claimants.every(isIn))) elements.add(address);
      }
    }
    this.sets.set(name, { type: WORDS[family].type, flag: null, elements });
    return name;
  }

  /** At most one; [''] for every address. */
  private outsideMatches(identities: readonly number[], family: Family): readonly string[] {
    if (identities.length === 0) return [];
    const key = identities.join();
    let known = this.known.get(key);
    if (known === undefined) {
      const rows = new Set(identities.map((identity) => this.rows.get(identity)!));
      known = { 4: this.outsideSet(rows, 4), 6: this.outsideSet(rows, 6) };
      this.known.set(key, known);
    }
    return known[family];
  }

  private outsideSet(rows: ReadonlySet<number>, family: Family): readonly string[] {
    const intervals = this.space.select(rows, family);
    if (intervals.length === 0) return [];
    if (isWholeFamily(intervals, family)) return [''];
    const texts = intervals.map(intervalText);
    const name = `cidr${family}-${contentName(texts.join())}`;
    this.sets.set(name, { type: WORDS[family].type, flag: 'interval', elements: new Set(texts) });
    return [`@${name}`];
  }
}

/** The sets that DNS fills. */
export function openSet(family: Family, scope: GrantScope): SetSpec {
  const { type } = WORDS[family];
  return { type: scope === 'node' ? type : `${type} . ${type}`, flag: 'timeout', elements: EMPTY };
}

function fqdnMatch({ fqdns }: PolicyRule, scope: GrantScope, family: Family): string {
  const { header } = WORDS[family];
  return `${scope === 'node' ? '' : `${header} saddr . `}${header} daddr @${fqdnSetName(fqdnGroup(fqdns, scope), family)}`;
}

/** The address is no pod's, no node's, and, where it is to be allowed, no Service's. */
function nobodys({ deny }: PolicyRule, direction: Direction, family: Family): string {
  const field = `${WORDS[family].header} ${direction === 'egress' ? 'daddr' : 'saddr'}`;
  const local = direction === 'egress' ? ' fib daddr type != local' : '';
  return `${field} != @managed${family}${deny === true ? '' : ` ${field} != @virtual${family}`}${local}`;
}
