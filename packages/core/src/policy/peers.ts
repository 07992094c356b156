/**
 * Whom the L3 part of a rule selects, as identities: labels, entities, Services and CIDRs all end as numbers, so that a verdict
 * needs no more than a look-up. Every prefix that a policy names has an identity of its own (as in Cilium); an address outside the
 * cluster has that of its longest prefix, so a prefix selects itself and all longer ones within.
 *
 * Invariant: all prefixes are known before the first rule is resolved. A prefix never selects a pod or a node.
 * Does not know: ports, names, who asks.
 */
import { canonicalAddress } from '../base/socket-address.js';
import type { Allotter } from './allotment.js';
import { isWithin, parsePrefix, type Prefix } from './cidr.js';
import type { IdentityDirectory } from './identity-directory.js';
import type { CidrSpec, EndpointSliceObject, Entity, LabelSelector, PolicyObjects, RuleSpec, ServiceObject, ServiceReference } from './objects.js';
import { K8S, LabelSet, matchesAll, peerRequirements, POD_NAMESPACE_LABEL, requirementsOf, type Requirement } from './selector.js';
import { RESERVED_IDENTITY, type CidrRecord } from './snapshot.js';
import { byText } from './sort.js';

export const KUBE_APISERVER_LABEL = 'reserved:kube-apiserver=';
const WORLD_V4 = '0.0.0.0/0';
const WORLD_V6 = '::/0';
const WORLD_LABELS = new LabelSet(['reserved:world=']);
const API_SERVER_LABELS = new LabelSet(['reserved:world=', KUBE_APISERVER_LABEL]);
const API_SERVER = { namespace: 'default', name: 'kubernetes' } as const;

interface CidrEntry {
  readonly identity: number;
  readonly prefix: Prefix;
  readonly isApiServer: boolean;
}

/** All prefixes that policies name. */
export class CidrDirectory {
  /** By first address: the prefixes within another lie side by side. */
  private readonly entries: readonly CidrEntry[];
  private readonly memo = new Map<string, readonly number[]>();

  /** `apiServer`: addresses of the API server outside the cluster. Canonical texts. */
  constructor(cidrs: ReadonlySet<string>, apiServer: readonly string[], numbers: Allotter) {
    const special = new Set(apiServer.map((address) => parsePrefix(address)!.cidr));
    this.entries = [...new Set([...cidrs, ...special])].sort(byText)
      .map((cidr) => ({ identity: numbers.take(cidr), prefix: parsePrefix(cidr)!, isApiServer: special.has(cidr) }))
      .sort((a, b) => byFirst(a.prefix, b.prefix));
  }

  /** Identities of the prefixes within this one and outside its exceptions. */
  select({ cidr, except }: CidrSpec): readonly number[] {
    const key = [cidr, ...except].join();
    let found = this.memo.get(key);
    if (found === undefined) {
      const outer = parsePrefix(cidr)!;
      const holes = except.map((one) => parsePrefix(one)!);
      found = this.within(outer).filter(({ prefix }) => !holes.some((hole) => isWithin(prefix, hole))).map(({ identity }) => identity);
      this.memo.set(key, found);
    }
    return found;
  }

  all(): readonly number[] {
    return this.identities(() => true);
  }

  apiServer(): readonly number[] {
    return this.identities(({ isApiServer }) => isApiServer);
  }

  /** By the labels that addresses outside the cluster carry. */
  labelled(requirements: readonly Requirement[]): readonly number[] {
    const isWorld = matchesAll(requirements, WORLD_LABELS);
    const isServer = matchesAll(requirements, API_SERVER_LABELS);
    return this.identities(({ isApiServer }) => (isApiServer ? isServer : isWorld));
  }

  /** Rising by identity. */
  records(): CidrRecord[] {
    return this.entries
      .map(({ identity, prefix: { cidr }, isApiServer }) => ({ identity, cidr, ...(isApiServer ? { labels: [KUBE_APISERVER_LABEL] } : {}) }))
      .sort((a, b) => a.identity - b.identity);
  }

  private identities(isWanted: (entry: CidrEntry) => boolean): readonly number[] {
    return this.entries.filter(isWanted).map(({ identity }) => identity);
  }

  /** A look at each prefix for each that a policy names would take seconds for some thousands of them. */
  private within(outer: Prefix): readonly CidrEntry[] {
    const found: CidrEntry[] = [];
    for (let at = this.firstFrom(outer.first); at < this.entries.length && this.entries[at].prefix.first <= outer.last; at++) {
      const entry = this.entries[at];
      if (isWithin(entry.prefix, outer)) found.push(entry);
    }
    return found;
  }

  /** Index of the first entry that begins at this address or later. */
  private firstFrom(address: bigint): number {
    let low = 0;
    let high = this.entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.entries[middle].prefix.first < address) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function byFirst(a: Prefix, b: Prefix): number {
  return a.first < b.first ? -1 : a.first > b.first ? 1 : 0;
}

/** Services by what a policy says of them. */
export class ServiceDirectory {
  private readonly services: readonly ServiceObject[];
  private readonly slices = new Map<string, EndpointSliceObject[]>();

  constructor(objects: Pick<PolicyObjects, 'services' | 'endpointSlices'>) {
    this.services = objects.services;
    for (const slice of objects.endpointSlices) {
      const key = `${slice.namespace}/${slice.serviceName}`;
      const list = this.slices.get(key);
      if (list === undefined) this.slices.set(key, [slice]);
      else list.push(slice);
    }
  }

  find({ namespace, name, selector }: ServiceReference): readonly ServiceObject[] {
    const requirements = selector === null ? [] : requirementsOf(selector);
    return this.services.filter((service) => {
      if (namespace !== null && namespace !== service.namespace) return false;
      if (name !== null) return name === service.name;
      return matchesAll(requirements, new LabelSet(Object.entries(service.labels).map(([key, value]) => `${K8S}:${key}=${value}`)));
    });
  }

  /** Addresses of its EndpointSlices, canonical; whatever else stands there, such as a prefix, is none. */
  addressesOf({ namespace, name }: { readonly namespace: string; readonly name: string }): readonly string[] {
    return (this.slices.get(`${namespace}/${name}`) ?? []).flatMap(({ addresses }) => addresses.flatMap((text) => canonicalAddress(text) ?? []));
  }

  apiServer(): readonly string[] {
    return this.addressesOf(API_SERVER);
  }
}

/** Every prefix that the rules name, in canonical text; what entities and Services stand for among them. */
export function cidrsOf(rules: Iterable<RuleSpec>, services: ServiceDirectory): Set<string> {
  const found = new Set<string>();
  for (const { cidrs, entities, services: references } of rules) {
    for (const { cidr, except } of cidrs ?? []) for (const one of [cidr, ...except]) found.add(one);
    if (entities?.includes('world-ipv4') === true) found.add(WORLD_V4);
    if (entities?.includes('world-ipv6') === true) found.add(WORLD_V6);
    for (const reference of references ?? []) for (const cidr of backendCidrs(reference, services)) found.add(cidr);
  }
  return found;
}

export class PeerResolver {
  private readonly directory: IdentityDirectory;
  private readonly cidrs: CidrDirectory;
  private readonly services: ServiceDirectory;

  constructor(directory: IdentityDirectory, cidrs: CidrDirectory, services: ServiceDirectory) {
    this.directory = directory;
    this.cidrs = cidrs;
    this.services = services;
  }

  /** Whom a policy's own selector selects, rising. */
  select(requirements: readonly Requirement[]): readonly number[] {
    return this.directory.select(requirements);
  }

  /** Rising; null is any peer. `subject`: the selector of the policy's own pods. */
  resolve(rule: RuleSpec, namespace: string, subject: LabelSelector): readonly number[] | null {
    const { endpoints, cidrs, entities, services, fqdns } = rule;
    if (endpoints === null && cidrs === null && entities === null && services === null && fqdns === null) return null;
    if (entities?.includes('all') === true) return null;
    const found = new Set<number>();
    const add = (identities: readonly number[]): void => {
      for (const identity of identities) found.add(identity);
    };
    for (const peer of endpoints ?? []) add(this.labelled(peerRequirements(peer, namespace, subject)));
    for (const cidr of cidrs ?? []) add(this.cidrs.select(cidr));
    for (const entity of entities ?? []) add(this.entity(entity));
    for (const reference of services ?? []) add(this.service(reference));
    return [...found].sort((a, b) => a - b);
  }

  private labelled(requirements: readonly Requirement[]): readonly number[] {
    return [...this.directory.select(requirements), ...this.cidrs.labelled(requirements)];
  }

  private entity(entity: Entity): readonly number[] {
    switch (entity) {
      case 'world':
        return [RESERVED_IDENTITY.world, ...this.cidrs.all()];
      case 'world-ipv4':
        return this.cidrs.select({ cidr: WORLD_V4, except: [] });
      case 'world-ipv6':
        return this.cidrs.select({ cidr: WORLD_V6, except: [] });
      case 'cluster':
        return [...this.directory.all().filter((identity) => identity !== RESERVED_IDENTITY.world), ...this.cidrs.apiServer()];
      case 'kube-apiserver':
        return this.labelled([reserved(entity)]);
      default:
        // No endpoint here has the labels of init, ingress, unmanaged and health.
        return this.directory.select([reserved(entity)]);
    }
  }

  private service(reference: ServiceReference): readonly number[] {
    const found: number[] = backendCidrs(reference, this.services).flatMap((cidr) => this.cidrs.select({ cidr, except: [] }));
    for (const { namespace, selector } of this.services.find(reference)) {
      if (selector === null || Object.keys(selector).length === 0) continue;
      const own = requirementsOf({ matchLabels: selector, matchExpressions: [] }).map((one) => ({ ...one, source: K8S }));
      found.push(...this.directory.select([...own, { source: K8S, key: POD_NAMESPACE_LABEL, operator: 'In', values: [namespace] }]));
    }
    return found;
  }
}

/** Backends of Services without a selector are addresses outside the cluster. */
function backendCidrs(reference: ServiceReference, services: ServiceDirectory): string[] {
  return services
    .find(reference)
    .filter(({ selector }) => selector === null || Object.keys(selector).length === 0)
    .flatMap((service) => services.addressesOf(service).map((address) => parsePrefix(address)!.cidr));
}

function reserved(key: string): Requirement {
  return { source: 'reserved', key, operator: 'Exists', values: [] };
}
