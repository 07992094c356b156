/**
 * Objects → snapshot. Endpoints are this node's pods, identities all pods' label sets, rules the egress sections of all
 * policies that select an endpoint, flattened (one per `toPorts` entry).
 *
 * Invariant: the same objects in any order, with the same allotment, give the same hash. Whatever is ambiguous is closed:
 * an address that two pods claim belongs to neither. An unready backend counts, so that verdicts do not flap.
 * Unlike Cilium, no pod label is filtered out: a policy may select by `pod-template-hash`, too.
 * Does not know: where objects come from, who enforces the result.
 */
import { canonicalAddress } from '../base/socket-address.js';
import { Allotter, NO_ALLOTMENT, type Allotment } from './allotment.js';
import { flattenPolicies, type FlatSpec } from './flatten.js';
import { IdentityDirectory } from './identity-directory.js';
import type { NamespaceObject, PodObject, PolicyObjects } from './objects.js';
import { policyRecords } from './policy-records.js';
import { LabelSet, matchesAll, podLabels } from './selector.js';
import { compileServices } from './services.js';
import {
  FIRST_POD_IDENTITY,
  RESERVED_IDENTITY,
  type PolicyRule,
  type EndpointRecord,
  type FqdnSelector,
  type RuleSet,
  type Snapshot,
} from './snapshot.js';
import { ruleSetKey, snapshotHash } from './snapshot-hash.js';
import { byText } from './sort.js';
import { validateSnapshot } from './validate.js';

/** Cilium's enforcement modes: `always` also closes pods that no policy selects, `never` opens all. */
export const ENFORCEMENT_MODES = ['default', 'always', 'never'] as const;
export type EnforcementMode = (typeof ENFORCEMENT_MODES)[number];

export interface CompileOptions {
  readonly nodeName: string;
  readonly enablePolicy: EnforcementMode;
  /** As it came out of the compile before; null for the first one. */
  readonly allotment: Allotment | null;
  readonly revision: number;
}

export interface CompileResult {
  readonly snapshot: Snapshot;
  readonly allotment: Allotment;
  /** What was left out or does nothing, and why, one sentence each, sorted, at most `NOTICES_MAX`: for logs and `status`. */
  readonly notices: readonly string[];
}

export const NOTICES_MAX = 1000;

/** Throws AppError: SNAPSHOT_REFUSED where the objects exceed `SNAPSHOT_LIMITS`, LIMIT where numbers run out. */
export function compileSnapshot(objects: PolicyObjects, options: CompileOptions): CompileResult {
  const notices: string[] = [];
  const before = options.allotment ?? NO_ALLOTMENT;
  const pods = livePods(objects.pods, notices);
  const owned = new OwnedAddresses(pods, notices);
  const identityNumbers = new Allotter(before, 'identity');
  const directory = identityDirectory(pods, objects.namespaces, { owned, identityNumbers, nodeName: options.nodeName });
  const specs = flattenPolicies(objects.policies, directory).map((spec) =>
    options.enablePolicy === 'never' ? { ...spec, defaultDeny: false } : spec,
  );
  noticeIdleSpecs(specs, directory, notices);
  const endpointNumbers = new Allotter(before, 'endpoint');
  const sets = new RuleSets(specs, directory, options.enablePolicy);
  const endpoints = pods
    .filter((pod) => !pod.hostNetwork && isLocal(pod, options.nodeName))
    .map((pod) => {
      const identity = directory.identityOfPod(pod);
      const uid = uidOf(pod);
      return {
        id: endpointNumbers.take(uid),
        uid,
        namespace: pod.namespace,
        pod: pod.name,
        identity,
        addresses: owned.ofEndpoint(pod),
        key: sets.keyFor(identity),
        specs: sets.selecting(identity),
      };
    });
  const { ruleSets, rowOf } = sets.finish();
  const content = {
    nodeName: options.nodeName,
    endpoints: endpoints.map(({ key, specs: _, ...record }): EndpointRecord => ({ ...record, ruleSet: key === null ? null : rowOf(key) })),
    identities: directory.records(),
    services: compileServices(objects, pods),
    ruleSets,
    fqdnSelectors: distinctSelectors(ruleSets),
    policies: policyRecords(specs, endpoints),
  };
  // What a peer would refuse is refused here, before it is published.
  const snapshot = validateSnapshot({ revision: options.revision, hash: snapshotHash(content), ...content });
  const identityResult = identityNumbers.finish(options.revision);
  const endpointResult = endpointNumbers.finish(options.revision);
  return {
    snapshot,
    allotment: {
      endpoints: endpointResult.entries,
      identities: identityResult.entries,
      nextEndpointId: endpointResult.next,
      nextIdentity: identityResult.next,
    },
    notices: boundedNotices(notices),
  };
}

/** A selector that matches nobody is mostly a misspelt one. Without pods (policies looked at by themselves) nobody could match. */
function noticeIdleSpecs(specs: readonly FlatSpec[], directory: IdentityDirectory, notices: string[]): void {
  if (!directory.hasPods) return;
  for (const { origin, subject } of specs) {
    if (subject === null || directory.select(subject).some((identity) => identity >= FIRST_POD_IDENTITY)) continue;
    const name = origin.namespace === '' ? origin.name : `${origin.namespace}/${origin.name}`;
    notices.push(`${origin.kind} ${name}: ${origin.path}.endpointSelector matches no pod`);
  }
}

function boundedNotices(notices: readonly string[]): string[] {
  const sorted = [...notices].sort(byText);
  const more = sorted.length - NOTICES_MAX;
  return more <= 0 ? sorted : [...sorted.slice(0, NOTICES_MAX - 1), `${more + 1} more notices are not shown`];
}

function uidOf(pod: PodObject): string {
  return pod.uid ?? `${pod.namespace}/${pod.name}`;
}

function isLocal(pod: PodObject, nodeName: string): boolean {
  return pod.nodeName === null || pod.nodeName === nodeName;
}

/** Pods that run and have an address, in canonical text, sorted. */
function livePods(pods: readonly PodObject[], notices: string[]): PodObject[] {
  const live: PodObject[] = [];
  for (const pod of pods) {
    if (pod.phase === 'Succeeded' || pod.phase === 'Failed' || pod.addresses.length === 0) continue;
    const addresses: string[] = [];
    for (const text of pod.addresses) {
      const address = canonicalAddress(text);
      if (address === null) notices.push(`pod ${pod.namespace}/${pod.name}: "${text}" is not an address; left out`);
      else if (!addresses.includes(address)) addresses.push(address);
    }
    live.push({ ...pod, addresses });
  }
  return live.sort((a, b) => byText(a.namespace, b.namespace) || byText(a.name, b.name) || byText(uidOf(a), uidOf(b)));
}

/** Who owns which address: one that two pods claim is owned by neither. */
class OwnedAddresses {
  readonly #claims = new Map<string, PodObject[]>();

  constructor(pods: readonly PodObject[], notices: string[]) {
    for (const pod of pods) {
      if (pod.hostNetwork) continue;
      for (const address of pod.addresses) {
        const claim = this.#claims.get(address);
        if (claim === undefined) this.#claims.set(address, [pod]);
        else claim.push(pod);
      }
    }
    for (const [address, claim] of this.#claims) {
      if (claim.length === 1) continue;
      const names = claim.map((pod) => `${pod.namespace}/${pod.name}`).join(', ');
      notices.push(`address ${address} is claimed by ${claim.length} pods (${names}): it belongs to none of them`);
    }
  }

  ofEndpoint(pod: PodObject): string[] {
    return pod.addresses.filter((address) => this.#claims.get(address)?.length === 1);
  }

  /** Pods of one identity may share an address: as a server it is the same. */
  sharedOnlyBy(address: string, isSame: (pod: PodObject) => boolean): boolean {
    return this.#claims.get(address)?.every(isSame) ?? true;
  }

  isPodAddress(address: string): boolean {
    return this.#claims.has(address);
  }
}

function identityDirectory(
  pods: readonly PodObject[],
  namespaces: readonly NamespaceObject[],
  tools: { readonly owned: OwnedAddresses; readonly identityNumbers: Allotter; readonly nodeName: string },
): IdentityDirectory {
  const namespaceLabels = new Map(namespaces.map(({ name, labels }) => [name, labels]));
  const labelsOf = new Map<PodObject, LabelSet>();
  const byLabels = new Map<string, { labels: LabelSet; pods: PodObject[] }>();
  const hosts: Record<'host' | 'remoteNode', Set<string>> = { host: new Set(), remoteNode: new Set() };
  for (const pod of pods) {
    if (pod.hostNetwork) {
      const node = isLocal(pod, tools.nodeName) ? hosts.host : hosts.remoteNode;
      for (const address of pod.addresses) if (!tools.owned.isPodAddress(address)) node.add(address);
      continue;
    }
    const labels = podLabels(pod, namespaceLabels.get(pod.namespace) ?? {});
    const key = labels.texts.join(';');
    labelsOf.set(pod, labels);
    const group = byLabels.get(key);
    if (group === undefined) byLabels.set(key, { labels, pods: [pod] });
    else group.pods.push(pod);
  }
  const directory = new IdentityDirectory();
  directory.add(RESERVED_IDENTITY.world, new LabelSet(['reserved:world=']), []);
  directory.add(RESERVED_IDENTITY.host, new LabelSet(['reserved:host=']), [...hosts.host]);
  const remote = [...hosts.remoteNode].filter((address) => !hosts.host.has(address));
  directory.add(RESERVED_IDENTITY.remoteNode, new LabelSet(['reserved:remote-node=']), remote);
  for (const [key, { labels, pods: members }] of [...byLabels].sort(([a], [b]) => byText(a, b))) {
    const same = (pod: PodObject): boolean => labelsOf.get(pod)?.texts.join(';') === key;
    const addresses = new Set(members.flatMap((pod) => pod.addresses).filter((one) => tools.owned.sharedOnlyBy(one, same)));
    const identity = tools.identityNumbers.take(key);
    directory.add(identity, labels, [...addresses]);
    for (const pod of members) directory.assign(pod, identity);
  }
  return directory;
}

/** Which rules an identity gets; identities with equal rules share a set. */
class RuleSets {
  readonly #specs: readonly FlatSpec[];
  readonly #directory: IdentityDirectory;
  readonly #mode: EnforcementMode;
  readonly #selecting = new Map<number, readonly number[]>();
  readonly #keyByIdentity = new Map<number, string | null>();
  readonly #keyBySpecs = new Map<string, string>();
  readonly #rules = new Map<string, readonly PolicyRule[]>();

  constructor(specs: readonly FlatSpec[], directory: IdentityDirectory, mode: EnforcementMode) {
    this.#specs = specs;
    this.#directory = directory;
    this.#mode = mode;
  }

  /** Indexes of the specs that select the identity, rising. */
  selecting(identity: number): readonly number[] {
    let selected = this.#selecting.get(identity);
    if (selected === undefined) {
      const labels = this.#directory.labelsOf(identity);
      selected = this.#specs.flatMap(({ subject }, index) => (subject !== null && matchesAll(subject, labels) ? [index] : []));
      this.#selecting.set(identity, selected);
    }
    return selected;
  }

  /** null: the identity may ask anything. */
  keyFor(identity: number): string | null {
    let key = this.#keyByIdentity.get(identity);
    if (key === undefined) {
      key = this.#compute(this.selecting(identity));
      this.#keyByIdentity.set(identity, key);
    }
    return key;
  }

  /** Sorted by key, so that the order of endpoints plays no part. */
  finish(): { ruleSets: RuleSet[]; rowOf: (key: string) => number } {
    const ruleSets = [...this.#rules].map(([key, rules]) => ({ key, rules })).sort((a, b) => byText(a.key, b.key));
    const rows = new Map(ruleSets.map(({ key }, row) => [key, row]));
    return { ruleSets, rowOf: (key) => rows.get(key)! };
  }

  #compute(selected: readonly number[]): string | null {
    if (this.#mode === 'never') return null;
    if (this.#mode === 'default' && !selected.some((index) => this.#specs[index].defaultDeny)) return null;
    const specsKey = selected.join();
    let key = this.#keyBySpecs.get(specsKey);
    if (key === undefined) {
      const rules = selected.flatMap((index) => this.#specs[index].rules);
      key = ruleSetKey(rules);
      this.#keyBySpecs.set(specsKey, key);
      this.#rules.set(key, rules);
    }
    return key;
  }
}

function distinctSelectors(ruleSets: readonly RuleSet[]): FqdnSelector[] {
  const found = new Map<string, FqdnSelector>();
  for (const { rules } of ruleSets) {
    for (const { fqdns } of rules) {
      for (const { matchName, matchPattern } of fqdns) {
        found.set(JSON.stringify([matchName, matchPattern]), { matchName, matchPattern });
      }
    }
  }
  return [...found].sort(([a], [b]) => byText(a, b)).map(([, selector]) => selector);
}
