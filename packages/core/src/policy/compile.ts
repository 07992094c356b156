/**
 * Objects → snapshot. Endpoints are this node's pods, identities all pods' label sets and all prefixes that policies name, rules
 * the sections of all policies that select an endpoint, flattened (one per `toPorts` entry).
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
import type { NamespaceObject, PodObject, PolicyObject, PolicyObjects, RuleSpec } from './objects.js';
import { CidrDirectory, cidrsOf, KUBE_APISERVER_LABEL, PeerResolver, ServiceDirectory } from './peers.js';
import { policyRecords } from './policy-records.js';
import { RuleSets } from './rule-sets.js';
import { LabelSet, podLabels } from './selector.js';
import { compileServices } from './services.js';
import { FIRST_POD_IDENTITY, RESERVED_IDENTITY, type EndpointRecord, type FqdnSelector, type RuleSet, type Snapshot } from './snapshot.js';
import { snapshotHash } from './snapshot-hash.js';
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
  const services = new ServiceDirectory(objects);
  const identityNumbers = new Allotter(before, 'identity');
  const cidrNumbers = new Allotter(before, 'cidr');
  const nodes = new NodeAddresses(pods, { owned, nodeName: options.nodeName, apiServer: services.apiServer() });
  const directory = identityDirectory(pods, objects.namespaces, { owned, identityNumbers, nodes });
  const cidrs = new CidrDirectory(cidrsOf(ruleSpecs(objects.policies), services), nodes.apiServerElsewhere, cidrNumbers);
  const specs = flattenPolicies(objects.policies, new PeerResolver(directory, cidrs, services)).map((spec) =>
    options.enablePolicy === 'never' ? { ...spec, egress: { ...spec.egress, defaultDeny: false }, ingress: { ...spec.ingress, defaultDeny: false } } : spec,
  );
  noticeIdleSpecs(specs, directory, notices);
  const endpointNumbers = new Allotter(before, 'endpoint');
  const sets = new RuleSets(specs, { directory, mode: options.enablePolicy, pods, notices });
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
        keys: sets.keysFor(identity, pod),
        specs: sets.selecting(identity),
      };
    });
  const { ruleSets, rowOf } = sets.finish();
  const cidrRecords = cidrs.records();
  const content = {
    nodeName: options.nodeName,
    endpoints: endpoints.map(({ keys, specs: _, ...record }): EndpointRecord => ({
      ...record,
      ruleSet: keys.egress === null ? null : rowOf(keys.egress),
      ...(keys.ingress === null ? {} : { ingressRuleSet: rowOf(keys.ingress) }),
    })),
    identities: directory.records(),
    ...(cidrRecords.length === 0 ? {} : { cidrs: cidrRecords }),
    services: compileServices(objects, pods),
    ruleSets,
    fqdnSelectors: distinctSelectors(ruleSets),
    policies: policyRecords(specs, endpoints),
  };
  // What a peer would refuse is refused here, before it is published.
  const snapshot = validateSnapshot({ revision: options.revision, hash: snapshotHash(content), ...content });
  const identityResult = identityNumbers.finish(options.revision);
  const endpointResult = endpointNumbers.finish(options.revision);
  const cidrResult = cidrNumbers.finish(options.revision);
  return {
    snapshot,
    allotment: {
      endpoints: endpointResult.entries,
      identities: identityResult.entries,
      cidrs: cidrResult.entries,
      nextEndpointId: endpointResult.next,
      nextIdentity: identityResult.next,
      nextCidr: cidrResult.next,
    },
    notices: boundedNotices(notices),
  };
}

function* ruleSpecs(policies: readonly PolicyObject[]): Generator<RuleSpec> {
  for (const { specs } of policies) {
    for (const { egress, ingress } of specs) {
      for (const { allow, deny } of [egress, ingress]) yield* [...(allow ?? []), ...(deny ?? [])];
    }
  }
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

/** Whose addresses are no pod's own: this node's, other nodes', and among them the API server's. */
class NodeAddresses {
  readonly host = new Set<string>();
  readonly remoteNode = new Set<string>();
  /** Other nodes that are the API server. */
  readonly apiServerNode = new Set<string>();
  readonly isApiServerHost: boolean;
  /** Addresses of the API server that are no node's: outside the cluster. */
  readonly apiServerElsewhere: readonly string[];

  constructor(pods: readonly PodObject[], tools: { readonly owned: OwnedAddresses; readonly nodeName: string; readonly apiServer: readonly string[] }) {
    for (const pod of pods) {
      if (!pod.hostNetwork) continue;
      const node = isLocal(pod, tools.nodeName) ? this.host : this.remoteNode;
      for (const address of pod.addresses) if (!tools.owned.isPodAddress(address)) node.add(address);
    }
    for (const address of this.host) this.remoteNode.delete(address);
    const apiServer = tools.apiServer.flatMap((text) => canonicalAddress(text) ?? []).filter((address) => !tools.owned.isPodAddress(address));
    this.isApiServerHost = apiServer.some((address) => this.host.has(address));
    for (const address of apiServer) if (this.remoteNode.delete(address)) this.apiServerNode.add(address);
    this.apiServerElsewhere = apiServer.filter((address) => !this.host.has(address) && !this.apiServerNode.has(address));
  }
}

function identityDirectory(
  pods: readonly PodObject[],
  namespaces: readonly NamespaceObject[],
  { owned, identityNumbers, nodes }: { readonly owned: OwnedAddresses; readonly identityNumbers: Allotter; readonly nodes: NodeAddresses },
): IdentityDirectory {
  const namespaceLabels = new Map(namespaces.map(({ name, labels }) => [name, labels]));
  const labelsOf = new Map<PodObject, LabelSet>();
  const byLabels = new Map<string, { labels: LabelSet; pods: PodObject[] }>();
  for (const pod of pods) {
    if (pod.hostNetwork) continue;
    const labels = podLabels(pod, namespaceLabels.get(pod.namespace) ?? {});
    const key = labels.texts.join(';');
    labelsOf.set(pod, labels);
    const group = byLabels.get(key);
    if (group === undefined) byLabels.set(key, { labels, pods: [pod] });
    else group.pods.push(pod);
  }
  const directory = new IdentityDirectory();
  directory.add(RESERVED_IDENTITY.world, new LabelSet(['reserved:world=']), []);
  directory.add(RESERVED_IDENTITY.host, new LabelSet(['reserved:host=', ...(nodes.isApiServerHost ? [KUBE_APISERVER_LABEL] : [])]), [...nodes.host]);
  directory.add(RESERVED_IDENTITY.remoteNode, new LabelSet(['reserved:remote-node=']), [...nodes.remoteNode]);
  if (nodes.apiServerNode.size > 0) {
    directory.add(RESERVED_IDENTITY.kubeApiserver, new LabelSet([KUBE_APISERVER_LABEL, 'reserved:remote-node=']), [...nodes.apiServerNode]);
  }
  for (const [key, { labels, pods: members }] of [...byLabels].sort(([a], [b]) => byText(a, b))) {
    const same = (pod: PodObject): boolean => labelsOf.get(pod)?.texts.join(';') === key;
    const addresses = new Set(members.flatMap((pod) => pod.addresses).filter((one) => owned.sharedOnlyBy(one, same)));
    const identity = identityNumbers.take(key);
    directory.add(identity, labels, [...addresses]);
    for (const pod of members) directory.assign(pod, identity);
  }
  return directory;
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
