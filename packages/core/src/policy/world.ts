/**
 * The cluster as policies see it: which pods live and have which address, whose identity is whose, where the nodes and the API
 * server are. All that a compile needs beside the policies themselves; kept for as long as none of it changes.
 *
 * Invariant: what is ambiguous is closed: an address that two pods claim belongs to neither, and as a peer it is both. What is too
 * large for a snapshot is closed, too, and alone: a pod or Service that anybody may make must not hold up everybody's policy.
 * Does not know: policies.
 */
import { canonicalAddress } from '../base/socket-address.js';
import { Allotter, type AllottedNumber, type Allotment } from './allotment.js';
import { IdentityDirectory } from './identity-directory.js';
import type { LabelGroup, LabelGroups } from './label-groups.js';
import type { NamedPort, NamespaceObject, PodObject, PolicyObjects } from './objects.js';
import { SNAPSHOT_LIMITS } from './limits.js';
import { KUBE_APISERVER_LABEL, ServiceDirectory } from './peers.js';
import { LabelSet } from './selector.js';
import type { ServiceRecords } from './services.js';
import { FIRST_POD_IDENTITY, RESERVED_IDENTITY, type ContestedAddress, type EndpointRecord, type IdentityRecord, type ServiceRecord } from './snapshot.js';
import { byText, sortedDistinct } from './sort.js';

/** A local pod, without its rules. */
export interface WorldEndpoint {
  readonly record: Omit<EndpointRecord, 'ruleSet' | 'ingressRuleSet'>;
  readonly pod: PodObject;
}

export interface World {
  readonly directory: IdentityDirectory;
  readonly services: ServiceDirectory;
  readonly endpoints: readonly WorldEndpoint[];
  readonly identityRecords: readonly IdentityRecord[];
  readonly contested: readonly ContestedAddress[];
  readonly serviceRecords: readonly ServiceRecord[];
  /** Of the API server, where it is no node. */
  readonly apiServerElsewhere: readonly string[];
  /** What any pod of the cluster calls its ports. */
  readonly clusterPorts: readonly NamedPort[];
  readonly notices: readonly string[];
  readonly numbers: { readonly endpoints: Allotted; readonly identities: Allotted };
}

interface Allotted {
  readonly entries: readonly AllottedNumber[];
  readonly next: number;
}

/** `before`: numbers that are given already, and what is kept of the world before. */
export function worldOf(objects: PolicyObjects, nodeName: string, before: { readonly allotment: Allotment; readonly revision: number; readonly groups: LabelGroups; readonly services: ServiceRecords }): World {
  const notices: string[] = [];
  const { allotment, revision, groups } = before;
  const pods = livePods(objects.pods, notices);
  const owned = new OwnedAddresses(pods, notices);
  const services = new ServiceDirectory(objects);
  const identityNumbers = new Allotter(allotment, 'identity');
  const endpointNumbers = new Allotter(allotment, 'endpoint');
  const nodes = new NodeAddresses(pods, { owned, nodeName, apiServer: services.apiServer() });
  const directory = identityDirectory(pods, objects.namespaces, { owned, identityNumbers, nodes, groups, notices });
  const endpoints = pods
    .filter((pod) => !pod.hostNetwork && isLocal(pod, nodeName) && directory.identityOfPod(pod) >= FIRST_POD_IDENTITY)
    .map((pod): WorldEndpoint => {
      const uid = uidOf(pod);
      const { namespace, name } = pod;
      const id = endpointNumbers.take(uid);
      return { record: { id, uid, namespace, pod: name, identity: directory.identityOfPod(pod), addresses: owned.ofEndpoint(pod) }, pod };
    });
  return {
    directory,
    services,
    endpoints,
    identityRecords: directory.records(),
    contested: owned.contested(directory),
    serviceRecords: before.services.of(objects, pods, notices),
    apiServerElsewhere: nodes.apiServerElsewhere,
    clusterPorts: sortedDistinct(pods.flatMap(({ ports }) => ports)),
    notices,
    numbers: { endpoints: endpointNumbers.finish(revision), identities: identityNumbers.finish(revision) },
  };
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
    const isSame = addresses.length === pod.addresses.length && addresses.every((address, i) => address === pod.addresses[i]);
    live.push(isSame ? pod : { ...pod, addresses });
  }
  return live.sort((a, b) => byText(a.namespace, b.namespace) || byText(a.name, b.name) || byText(uidOf(a), uidOf(b)));
}

/** Who owns which address: one that two pods claim is owned by neither. */
class OwnedAddresses {
  private readonly claims = new Map<string, PodObject[]>();

  constructor(pods: readonly PodObject[], notices: string[]) {
    for (const pod of pods) {
      if (pod.hostNetwork) continue;
      for (const address of pod.addresses) {
        const claim = this.claims.get(address);
        if (claim === undefined) this.claims.set(address, [pod]);
        else claim.push(pod);
      }
    }
    for (const [address, claim] of this.claims) {
      if (claim.length === 1) continue;
      const names = claim.map((pod) => `${pod.namespace}/${pod.name}`).join(', ');
      notices.push(`address ${address} is claimed by ${claim.length} pods (${names}): it belongs to none of them`);
    }
  }

  ofEndpoint(pod: PodObject): string[] {
    return pod.addresses.filter((address) => this.claims.get(address)?.length === 1);
  }

  /** Those whose claimants are not of one identity. */
  contested(directory: IdentityDirectory): ContestedAddress[] {
    const found: ContestedAddress[] = [];
    for (const [address, claim] of this.claims) {
      const identities = [...new Set(claim.map((pod) => directory.identityOfPod(pod)))].sort((a, b) => a - b);
      if (identities.length > 1) found.push({ address, identities });
    }
    return found.sort((a, b) => byText(a.address, b.address));
  }

  /** Pods of one identity may share an address: as a server it is the same. */
  sharedOnlyBy(address: string, isSame: (pod: PodObject) => boolean): boolean {
    return this.claims.get(address)?.every(isSame) ?? true;
  }

  isPodAddress(address: string): boolean {
    return this.claims.has(address);
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
    const apiServer = tools.apiServer.filter((address) => !tools.owned.isPodAddress(address));
    this.isApiServerHost = apiServer.some((address) => this.host.has(address));
    for (const address of apiServer) if (this.remoteNode.delete(address)) this.apiServerNode.add(address);
    this.apiServerElsewhere = apiServer.filter((address) => !this.host.has(address) && !this.apiServerNode.has(address));
  }
}

function identityDirectory(
  pods: readonly PodObject[],
  namespaces: readonly NamespaceObject[],
  { owned, identityNumbers, nodes, groups, notices }: { readonly owned: OwnedAddresses; readonly groups: LabelGroups; readonly identityNumbers: Allotter; readonly nodes: NodeAddresses; readonly notices: string[] },
): IdentityDirectory {
  const namespaceLabels = new Map(namespaces.map(({ name, labels }) => [name, labels]));
  const groupOf = new Map<PodObject, LabelGroup>();
  const byGroup = new Map<LabelGroup, PodObject[]>();
  /** With more labels than an identity may have, or unknown ones: no endpoints, and nobody whom labels select. */
  const unmanaged = new Set<PodObject>();
  for (const pod of pods) {
    if (pod.hostNetwork) continue;
    if (pod.isOpaque === true) {
      unmanaged.add(pod);
      continue;
    }
    const group = groups.of(pod, namespaceLabels.get(pod.namespace));
    const { labels } = group;
    if (labels.texts.length > SNAPSHOT_LIMITS.labelsPerIdentity) {
      notices.push(`pod ${pod.namespace}/${pod.name} has ${labels.texts.length} labels; the limit is ${SNAPSHOT_LIMITS.labelsPerIdentity}: it is refused everything`);
      unmanaged.add(pod);
      continue;
    }
    groupOf.set(pod, group);
    const members = byGroup.get(group);
    if (members === undefined) byGroup.set(group, [pod]);
    else members.push(pod);
  }
  groups.forget();
  const directory = new IdentityDirectory();
  directory.add(RESERVED_IDENTITY.world, new LabelSet(['reserved:world=']), []);
  directory.add(RESERVED_IDENTITY.host, new LabelSet(['reserved:host=', ...(nodes.isApiServerHost ? [KUBE_APISERVER_LABEL] : [])]), [...nodes.host]);
  directory.add(RESERVED_IDENTITY.remoteNode, new LabelSet(['reserved:remote-node=']), [...nodes.remoteNode]);
  if (nodes.apiServerNode.size > 0) {
    directory.add(RESERVED_IDENTITY.kubeApiserver, new LabelSet([KUBE_APISERVER_LABEL, 'reserved:remote-node=']), [...nodes.apiServerNode]);
  }
  if (unmanaged.size > 0) {
    const addresses = new Set([...unmanaged].flatMap((pod) => pod.addresses).filter((one) => owned.sharedOnlyBy(one, (pod) => unmanaged.has(pod))));
    directory.add(RESERVED_IDENTITY.unmanaged, new LabelSet(['reserved:unmanaged=']), [...addresses]);
    for (const pod of unmanaged) directory.assign(pod, RESERVED_IDENTITY.unmanaged);
  }
  for (const [group, members] of [...byGroup].sort(([a], [b]) => byText(a.key, b.key))) {
    const same = (pod: PodObject): boolean => groupOf.get(pod) === group;
    const addresses = new Set(members.flatMap((pod) => pod.addresses).filter((one) => owned.sharedOnlyBy(one, same)));
    const identity = identityNumbers.take(group.key);
    directory.add(identity, group.labels, [...addresses]);
    for (const pod of members) directory.assign(pod, identity);
  }
  return directory;
}
