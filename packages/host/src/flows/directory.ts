/**
 * Names for the numbers in flow records: pods, labels, workloads, Services, and the policies behind a rule's index.
 *
 * Invariant: a policy is named only from the revision that decided; where that is no longer known, none is. Endpoints that are gone are
 * remembered, too: ENDPOINTS_MAX and REVISIONS_MAX bound both. Built when somebody asks: while nobody watches, a new snapshot costs
 * a walk over its rules.
 */
import {
  DENY, denyingRule, type EndpointRecord, FIRST_CIDR_IDENTITY, type PacketDirection, parsePrefix, type PolicyRule, PrefixTable, RESERVED_IDENTITY,
  type RuleOrigin, type RuleSet, type Snapshot, wordsOfAddress,
} from '@tandem/core';
import type { Endpoint, Policy, Service } from '@tandem/proto';
import { LRUCache } from 'lru-cache';
import { MATCH, type Match } from './packet-record.js';
import { workloadOf } from './workload.js';

const ENDPOINTS_MAX = 4096;
/** Each keeps where its rules were written: a few MB with ten thousand of them. */
const REVISIONS_MAX = 4;
const ADDRESSES_MAX = 4096;
/** Of those that close a pod's egress; a flow is no list of policies. */
const DENYING_MAX = 20;
const CLUSTER_NAME = 'default';
const REVISION_MODULUS = 2 ** 32;
const PORT_MAX = 65535;

/** Whose packet or query is not known. */
export const NOBODY: Endpoint = {
  ID: 0, identity: RESERVED_IDENTITY.unknown, namespace: '', labels: ['reserved:unknown'], podName: '', workloads: [], clusterName: '',
};

/** What an address is, as a flow shows it. */
export interface AddressInfo {
  readonly endpoint: Endpoint;
  readonly service: Service | undefined;
}

/** Which rule, of which policy, judged what an endpoint does or is done to. */
export interface Judgement {
  /** Modulo 2^32. */
  readonly revision: number;
  readonly endpointId: number;
  /** As `PolicyIndex.decide` says it. */
  readonly rule: number;
  readonly direction: PacketDirection;
}

/** The rules of one direction of an endpoint. */
export interface KnownRules {
  readonly key: string;
  /** Of each rule where it was written, and how much of a connection it looks at. */
  readonly origins: readonly RuleOrigin[];
  readonly matches: readonly Match[];
}

/** What one revision said, as far as flows tell of it. */
interface Revision {
  readonly revision: number;
  /** By endpoint ID. */
  readonly rules: Readonly<Record<PacketDirection, ReadonlyMap<number, KnownRules>>>;
  readonly policies: Snapshot['policies'];
}

export class FlowDirectory {
  private readonly endpoints = new LRUCache<number, Endpoint>({ max: ENDPOINTS_MAX });
  private readonly revisions = new LRUCache<number, Revision>({ max: REVISIONS_MAX });
  private addresses = new LRUCache<string, AddressInfo>({ max: ADDRESSES_MAX });
  private snapshot: Snapshot | null = null;
  private book: Book | null = null;

  /** From here on this is what addresses mean. */
  setSnapshot(snapshot: Snapshot): void {
    this.snapshot = snapshot;
    this.book = null;
    this.addresses = new LRUCache({ max: ADDRESSES_MAX });
    const labels = new Map(snapshot.identities.map((one) => [one.identity, one.labels]));
    for (const { id, identity, namespace, pod } of snapshot.endpoints) {
      this.endpoints.set(id, endpointOf({ ID: id, identity, namespace, podName: pod }, labels.get(identity) ?? []));
    }
    const known = snapshot.ruleSets.map(knownRules);
    this.revisions.set(snapshot.revision % REVISION_MODULUS, {
      revision: snapshot.revision,
      rules: {
        egress: new Map(snapshot.endpoints.flatMap(({ id, ruleSet }) => (ruleSet === null ? [] : [[id, known[ruleSet]] as const]))),
        ingress: new Map(snapshot.endpoints.flatMap(({ id, ingressRuleSet }) => (ingressRuleSet === undefined ? [] : [[id, known[ingressRuleSet]] as const]))),
      },
      policies: snapshot.policies,
    });
  }

  /** The local pod of a canonical address, as of now. */
  podAt(address: string): EndpointRecord | null {
    return this.bookNow()?.podAt(address) ?? null;
  }

  /** The newest revision in which the endpoint had these rules; null where none is known any more. `key`: the first characters of theirs. */
  rulesOf(endpointId: number, direction: PacketDirection, key: string): { readonly revision: number; readonly rules: KnownRules } | null {
    let found: { readonly revision: number; readonly rules: KnownRules } | null = null;
    for (const { revision, rules } of this.revisions.values()) {
      const known = rules[direction].get(endpointId);
      if (known?.key.startsWith(key) === true && (found === null || revision > found.revision)) found = { revision, rules: known };
    }
    return found;
  }

  /** Of the policy in force; 0 before there is any. */
  get revision(): number {
    return this.snapshot?.revision ?? 0;
  }

  /** Null for one that was never known here. */
  endpoint(id: number): Endpoint | null {
    return this.endpoints.get(id) ?? null;
  }

  /** Of a canonical address. */
  at(address: string): AddressInfo {
    let info = this.addresses.get(address);
    if (info === undefined) {
      info = this.bookNow()?.find(address, (id) => this.endpoint(id)) ?? { endpoint: worldEndpoint(), service: undefined };
      this.addresses.set(address, info);
    }
    return info;
  }

  /** The policy whose rule decided, and the ones that close the direction to the endpoint where no rule did. */
  policies({ revision, endpointId, rule, direction }: Judgement): readonly Policy[] {
    const known = this.revisions.get(revision);
    if (known === undefined) return [];
    if (rule === DENY) return closing(known, endpointId, direction);
    const origin = known.rules[direction].get(endpointId)?.origins[rule >= 0 ? rule : denyingRule(rule)];
    return origin === undefined ? [] : [policyOf(origin, known.revision)];
  }

  private bookNow(): Book | null {
    if (this.snapshot !== null) this.book ??= new Book(this.snapshot);
    return this.book;
  }
}

/** The addresses of one snapshot. */
class Book {
  private readonly snapshot: Snapshot;
  private readonly identityAt = new Map<string, number>();
  private readonly endpointAt = new Map<string, EndpointRecord>();
  private readonly serviceAt = new Map<string, { readonly service: Service; readonly backends: readonly string[] }>();
  private readonly labels: ReadonlyMap<number, readonly string[]>;
  private readonly prefixes: PrefixTable;

  constructor(snapshot: Snapshot) {
    this.snapshot = snapshot;
    for (const { identity, addresses } of snapshot.identities) for (const address of addresses) this.identityAt.set(address, identity);
    for (const endpoint of snapshot.endpoints) for (const address of endpoint.addresses) this.endpointAt.set(address, endpoint);
    for (const { namespace, name, addresses, ports } of snapshot.services) {
      const backends = ports.flatMap((port) => port.backends.map(({ address }) => address));
      for (const address of addresses) this.serviceAt.set(address, { service: { namespace, name }, backends });
    }
    this.labels = new Map(snapshot.identities.map(({ identity, labels }) => [identity, labels]));
    this.prefixes = new PrefixTable((snapshot.cidrs ?? []).map(({ cidr }, row) => ({ prefix: parsePrefix(cidr)!, row })));
  }

  podAt(address: string): EndpointRecord | undefined {
    return this.endpointAt.get(address);
  }

  find(address: string, endpointById: (id: number) => Endpoint | null): AddressInfo {
    const at = this.serviceAt.get(address);
    const local = this.endpointAt.get(address);
    const endpoint = (local === undefined ? null : endpointById(local.id)) ?? this.elsewhere(this.standsFor(address, at?.backends ?? []));
    return { endpoint, service: at?.service };
  }

  /** A Service's address is shown as what is behind it, where that is of one kind. */
  private standsFor(address: string, backends: readonly string[]): string {
    if (this.identityAt.has(address)) return address;
    const identities = new Set(backends.map((backend) => this.identityAt.get(backend)));
    return identities.size === 1 ? backends[0] : address;
  }

  private elsewhere(address: string): Endpoint {
    const identity = this.identityAt.get(address);
    if (identity !== undefined) {
      const labels = this.labels.get(identity) ?? [];
      return endpointOf({ ID: 0, identity, namespace: namespaceIn(labels), podName: '' }, labels);
    }
    const row = this.prefixes.find(wordsOfAddress(address), 0);
    const cidr = row < 0 ? undefined : this.snapshot.cidrs?.[row];
    if (cidr === undefined || cidr.identity < FIRST_CIDR_IDENTITY) return worldEndpoint();
    return endpointOf({ ID: 0, identity: cidr.identity, namespace: '', podName: '' }, [`cidr:${cidr.cidr}`, ...(cidr.labels ?? []), 'reserved:world']);
  }
}

function worldEndpoint(): Endpoint {
  return endpointOf({ ID: 0, identity: RESERVED_IDENTITY.world, namespace: '', podName: '' }, ['reserved:world']);
}

function endpointOf(who: Pick<Endpoint, 'ID' | 'identity' | 'namespace' | 'podName'>, labels: readonly string[]): Endpoint {
  const shown = labels.map((label) => label.replace(/=$/, '')).sort();
  const workload = workloadOf(who.podName, labels);
  return { ...who, labels: shown, workloads: workload === null ? [] : [workload], clusterName: CLUSTER_NAME };
}

const NAMESPACE_LABEL = 'k8s:io.kubernetes.pod.namespace=';

function namespaceIn(labels: readonly string[]): string {
  return labels.find((label) => label.startsWith(NAMESPACE_LABEL))?.slice(NAMESPACE_LABEL.length) ?? '';
}

function knownRules({ key, rules }: RuleSet): KnownRules {
  return { key, origins: rules.map(({ origin }) => origin), matches: rules.map(matchOf) };
}

function matchOf({ identities, fqdns, ports }: PolicyRule): Match {
  const isAnyPeer = identities === null && fqdns.length === 0;
  if (ports.length === 0) return isAnyPeer ? MATCH.all : MATCH.l3;
  if (ports.every(({ first, last }) => first === 0 && last === PORT_MAX)) return isAnyPeer ? MATCH.protocol : MATCH.l3protocol;
  return isAnyPeer ? MATCH.l4 : MATCH.l3l4;
}

/** Policies with a spec that closes this direction of the endpoint. */
function closing({ policies, revision }: Revision, endpointId: number, direction: PacketDirection): readonly Policy[] {
  const found: Policy[] = [];
  for (const policy of policies) {
    if (found.length === DENYING_MAX) break;
    if (policy.specs.some((spec) => (direction === 'egress' ? spec : spec.ingress)?.defaultDeny === true && spec.endpoints.includes(endpointId))) found.push(policyOf(policy, revision));
  }
  return found;
}

/** Labels as Cilium derives them from an object (pkg/k8s/utils.go). */
function policyOf({ kind, namespace, name }: Pick<RuleOrigin, 'kind' | 'namespace' | 'name'>, revision: number): Policy {
  const labels = [`k8s:io.cilium.k8s.policy.derived-from=${kind}`, `k8s:io.cilium.k8s.policy.name=${name}`];
  if (namespace !== '') labels.push(`k8s:io.cilium.k8s.policy.namespace=${namespace}`);
  return { name, namespace, labels, revision: BigInt(revision), kind };
}
