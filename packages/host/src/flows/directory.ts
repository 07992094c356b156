/**
 * Names for the numbers in flow records: pods, labels, workloads, Services, and the policies behind a rule's index.
 *
 * Invariant: a policy is named only from the revision that decided; where that is no longer known, none is. Endpoints that are gone are
 * remembered, too: ENDPOINTS_MAX and REVISIONS_MAX bound both. Built when somebody asks: while nobody watches, a new snapshot costs
 * a walk over its rules.
 */
import {
  DENY, denyingRule, FIRST_CIDR_IDENTITY, parsePrefix, PrefixTable, RESERVED_IDENTITY, type RuleOrigin, type Snapshot, wordsOfAddress,
} from '@tandem/core';
import type { Endpoint, Policy, Service } from '@tandem/proto';
import { LRUCache } from 'lru-cache';
import { workloadOf } from './workload.js';

const ENDPOINTS_MAX = 4096;
/** Each keeps where its rules were written: a few MB with ten thousand of them. */
const REVISIONS_MAX = 4;
const ADDRESSES_MAX = 4096;
/** Of those that close a pod's egress; a flow is no list of policies. */
const DENYING_MAX = 20;
const CLUSTER_NAME = 'default';
const REVISION_MODULUS = 2 ** 32;

/** What an address is, as a flow shows it. */
export interface AddressInfo {
  readonly endpoint: Endpoint;
  readonly service: Service | undefined;
}

/** What one revision said, as far as flows tell of it. */
interface Revision {
  readonly revision: number;
  /** By endpoint ID: where its rules were written, by index. */
  readonly origins: ReadonlyMap<number, readonly RuleOrigin[]>;
  readonly policies: Snapshot['policies'];
}

export class FlowDirectory {
  readonly #endpoints = new LRUCache<number, Endpoint>({ max: ENDPOINTS_MAX });
  readonly #revisions = new LRUCache<number, Revision>({ max: REVISIONS_MAX });
  #addresses = new LRUCache<string, AddressInfo>({ max: ADDRESSES_MAX });
  #snapshot: Snapshot | null = null;
  #book: Book | null = null;

  /** From here on this is what addresses mean. */
  setSnapshot(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    this.#book = null;
    this.#addresses = new LRUCache({ max: ADDRESSES_MAX });
    const labels = new Map(snapshot.identities.map((one) => [one.identity, one.labels]));
    for (const { id, identity, namespace, pod } of snapshot.endpoints) {
      this.#endpoints.set(id, endpointOf({ ID: id, identity, namespace, podName: pod }, labels.get(identity) ?? []));
    }
    const origins = snapshot.ruleSets.map(({ rules }) => rules.map(({ origin }) => origin));
    this.#revisions.set(snapshot.revision % REVISION_MODULUS, {
      revision: snapshot.revision,
      origins: new Map(snapshot.endpoints.flatMap(({ id, ruleSet }) => (ruleSet === null ? [] : [[id, origins[ruleSet]] as const]))),
      policies: snapshot.policies,
    });
  }

  /** Null for one that was never known here. */
  endpoint(id: number): Endpoint | null {
    return this.#endpoints.get(id) ?? null;
  }

  /** Of a canonical address. */
  at(address: string): AddressInfo {
    let info = this.#addresses.get(address);
    if (info === undefined) {
      if (this.#snapshot !== null) this.#book ??= new Book(this.#snapshot);
      info = this.#book?.find(address, (id) => this.endpoint(id)) ?? { endpoint: worldEndpoint(), service: undefined };
      this.#addresses.set(address, info);
    }
    return info;
  }

  /** The policy whose rule decided, and the ones that close the endpoint's egress where no rule did. `revision` modulo 2^32. */
  policies(revision: number, endpointId: number, rule: number): readonly Policy[] {
    const known = this.#revisions.get(revision);
    if (known === undefined) return [];
    if (rule === DENY) return closing(known, endpointId);
    const origin = known.origins.get(endpointId)?.[rule >= 0 ? rule : denyingRule(rule)];
    return origin === undefined ? [] : [policyOf(origin, known.revision)];
  }
}

/** The addresses of one snapshot. */
class Book {
  readonly #snapshot: Snapshot;
  readonly #identityAt = new Map<string, number>();
  readonly #endpointAt = new Map<string, number>();
  readonly #serviceAt = new Map<string, { readonly service: Service; readonly backends: readonly string[] }>();
  readonly #labels: ReadonlyMap<number, readonly string[]>;
  readonly #prefixes: PrefixTable;

  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
    for (const { identity, addresses } of snapshot.identities) for (const address of addresses) this.#identityAt.set(address, identity);
    for (const { id, addresses } of snapshot.endpoints) for (const address of addresses) this.#endpointAt.set(address, id);
    for (const { namespace, name, addresses, ports } of snapshot.services) {
      const backends = ports.flatMap((port) => port.backends.map(({ address }) => address));
      for (const address of addresses) this.#serviceAt.set(address, { service: { namespace, name }, backends });
    }
    this.#labels = new Map(snapshot.identities.map(({ identity, labels }) => [identity, labels]));
    this.#prefixes = new PrefixTable((snapshot.cidrs ?? []).map(({ cidr }, row) => ({ prefix: parsePrefix(cidr)!, row })));
  }

  find(address: string, endpointById: (id: number) => Endpoint | null): AddressInfo {
    const at = this.#serviceAt.get(address);
    const local = this.#endpointAt.get(address);
    const endpoint = (local === undefined ? null : endpointById(local)) ?? this.#elsewhere(this.#standsFor(address, at?.backends ?? []));
    return { endpoint, service: at?.service };
  }

  /** A Service's address is shown as what is behind it, where that is of one kind. */
  #standsFor(address: string, backends: readonly string[]): string {
    if (this.#identityAt.has(address)) return address;
    const identities = new Set(backends.map((backend) => this.#identityAt.get(backend)));
    return identities.size === 1 ? backends[0] : address;
  }

  #elsewhere(address: string): Endpoint {
    const identity = this.#identityAt.get(address);
    if (identity !== undefined) {
      const labels = this.#labels.get(identity) ?? [];
      return endpointOf({ ID: 0, identity, namespace: namespaceIn(labels), podName: '' }, labels);
    }
    const row = this.#prefixes.find(wordsOfAddress(address), 0);
    const cidr = row < 0 ? undefined : this.#snapshot.cidrs?.[row];
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

/** Policies with a spec that closes the egress of this endpoint. */
function closing({ policies, revision }: Revision, endpointId: number): readonly Policy[] {
  const found: Policy[] = [];
  for (const policy of policies) {
    if (found.length === DENYING_MAX) break;
    if (policy.specs.some(({ defaultDeny, endpoints }) => defaultDeny && endpoints.includes(endpointId))) found.push(policyOf(policy, revision));
  }
  return found;
}

/** Labels as Cilium derives them from an object (pkg/k8s/utils.go). */
function policyOf({ kind, namespace, name }: Pick<RuleOrigin, 'kind' | 'namespace' | 'name'>, revision: number): Policy {
  const labels = [`k8s:io.cilium.k8s.policy.derived-from=${kind}`, `k8s:io.cilium.k8s.policy.name=${name}`];
  if (namespace !== '') labels.push(`k8s:io.cilium.k8s.policy.namespace=${namespace}`);
  return { name, namespace, labels, revision: BigInt(revision), kind };
}
