/**
 * The second implementation of policy: verdicts straight from the objects, by loops, as the language is described, for
 * `reference.property.test.ts` to hold the compiled one against. Slow on purpose. It shares no code with the compiled one
 * (nothing of compile, flatten, selector, pattern, services, decide), so that one mistake is not made twice.
 *
 * Knows: `PolicyObjects`. Does not know: snapshots, identities, rule sets.
 */
import type {
  CidrSpec,
  DirectionSpec,
  Entity,
  LabelSelector,
  PodObject,
  PolicyObject,
  PolicyObjects,
  PolicySpec,
  PortSpec,
  RuleSpec,
  ServiceObject,
  ServicePortObject,
  ServiceReference,
} from '../objects.js';
import type { FqdnSelector } from '../snapshot.js';
import { k8sLabels, matchesSelector, type Label } from './reference-labels.js';
import { addressWithin, selectorMatchesName } from './reference-values.js';

export interface World {
  readonly objects: PolicyObjects;
  readonly nodeName: string;
  readonly mode: 'default' | 'always' | 'never';
}

/** Of a pod to a DNS server. */
export interface Question {
  /** Addresses, canonical text. */
  readonly from: string;
  readonly server: string;
  readonly port: number;
  readonly protocol: 6 | 17;
  /** Presentation form, with its final dot. */
  readonly name: string;
  readonly type: number;
}

export interface Connection {
  readonly from: string;
  readonly to: string;
  /** Port, or ICMP type. */
  readonly port: number;
  readonly protocol: 1 | 6 | 17 | 58 | 132;
  /** By which the address was learned; presentation form, with its final dot. */
  readonly name: string | null;
}

export interface ConnectionVerdicts {
  readonly egress: 'allowed' | 'denied';
  readonly ingress: 'allowed' | 'denied';
}

/** Whom a packet goes to or comes from. `nowhere`: a Service's address behind which nobody is. */
type Peer =
  | { readonly kind: 'pod'; readonly pod: PodObject }
  | { readonly kind: 'host' | 'remote-node' | 'outside'; readonly address: string; readonly isApiServer: boolean }
  | { readonly kind: 'nowhere' };

/** One that must be allowed. A rule has to cover one of the ports: the one asked for, or the one that it leads to. */
interface Target {
  readonly peer: Peer;
  readonly ports: readonly number[];
  /** Where packets arrive. */
  readonly arrivesAt: number;
}

type Direction = 'egress' | 'ingress';

export function judgeQuestion(world: World, question: Question): 'allowed' | 'refused' {
  const pod = localPodAt(world, question.from);
  if (pod === null) return 'refused';
  if (world.mode === 'never') return 'allowed';
  if (namesDenied(world, pod).some((one) => selectorMatchesName(one, question.name, 'dns'))) return 'refused';
  const { port, protocol } = question;
  return targetsOf(world, question.server, port, protocol).every((target) => questionPasses(world, pod, target, question))
    ? 'allowed'
    : 'refused';
}

export function judgeConnection(world: World, connection: Connection): ConnectionVerdicts {
  const { from, to, port, protocol, name } = connection;
  const source = localPodAt(world, from);
  // What a pod sends to itself does not leave it.
  if (source !== null && source === localPodAt(world, to)) return { egress: 'allowed', ingress: 'allowed' };
  const targets = targetsOf(world, to, port, protocol);
  let egress: 'allowed' | 'denied' = 'allowed';
  if (source !== null && world.mode !== 'never') {
    const denied = namesDenied(world, source);
    for (const { peer, ports } of targets) {
      // As with toFQDNs: a pod or node is itself, whatever name leads to it.
      if (peer.kind === 'outside' && name !== null && denied.some((one) => selectorMatchesName(one, name, 'fqdn'))) egress = 'denied';
      if (!connectionPasses(world, { pod: source, direction: 'egress', peer, ports, protocol, name })) egress = 'denied';
    }
  }
  let ingress: 'allowed' | 'denied' = 'allowed';
  const peer = peerAt(world, from);
  for (const target of targets) {
    if (target.peer.kind !== 'pod' || !isLocal(world, target.peer.pod)) continue;
    if (world.mode === 'never') continue;
    const { pod } = target.peer;
    const ports = [target.arrivesAt];
    if (!connectionPasses(world, { pod, direction: 'ingress', peer, ports, protocol, name: null })) ingress = 'denied';
  }
  return { egress, ingress };
}

/** Pods on this node with an address of their own, whose questions and connections are judged. */
export function localPodAt(world: World, address: string): PodObject | null {
  const peer = peerAt(world, address);
  return peer.kind === 'pod' && isLocal(world, peer.pod) ? peer.pod : null;
}

/** One selecting spec, with its policy. */
interface Selecting {
  readonly policy: PolicyObject;
  readonly spec: PolicySpec;
}

interface Passage {
  readonly peer: Peer;
  readonly ports: readonly number[];
  /** The pod whose policies are asked. */
  readonly pod: PodObject;
  readonly direction: Direction;
  readonly protocol: number;
  readonly name: string | null;
}

function connectionPasses(world: World, passage: Passage): boolean {
  const selecting = specsOf(world, passage.pod);
  for (const { policy, spec } of selecting) {
    for (const rule of spec[passage.direction].deny ?? []) {
      if (ruleCovers(world, { policy, rule }, passage)) return false;
    }
  }
  if (!isClosed(world, selecting, passage.direction)) return true;
  if (passage.direction === 'ingress' && passage.peer.kind === 'host') return true;
  for (const { policy, spec } of selecting) {
    for (const rule of spec[passage.direction].allow ?? []) {
      if (ruleCovers(world, { policy, rule }, passage)) return true;
    }
  }
  return false;
}

function questionPasses(world: World, pod: PodObject, target: Target, question: Question): boolean {
  const selecting = specsOf(world, pod);
  const passage: Passage = { pod, direction: 'egress', peer: target.peer, ports: target.ports, protocol: question.protocol, name: null };
  for (const { policy, spec } of selecting) {
    for (const rule of spec.egress.deny ?? []) if (ruleCovers(world, { policy, rule }, passage)) return false;
  }
  // Where nothing closes egress, rules.dns still limits what the servers that it covers may be asked.
  let isLimited = isClosed(world, selecting, 'egress');
  for (const { policy, spec } of selecting) {
    for (const rule of spec.egress.allow ?? []) {
      if (!peerSelected(world, { policy, rule }, passage)) continue;
      if (!hasPorts(rule)) {
        if (hasPeers(rule)) return true;
        continue;
      }
      for (const entry of rule.ports) {
        if (!portCovered(world, entry, passage)) continue;
        if (asksForType(entry, policy, question) && mayBeAsked(entry, question)) return true;
        isLimited = true;
      }
    }
  }
  return !isLimited;
}

/** Whether what no rule allows is denied. */
function isClosed(world: World, selecting: readonly Selecting[], direction: Direction): boolean {
  if (world.mode === 'always') return true;
  for (const { spec } of selecting) if (closes(spec[direction])) return true;
  return false;
}

function closes({ allow, deny, defaultDeny }: DirectionSpec): boolean {
  if (defaultDeny !== null) return defaultDeny;
  return allow !== null || deny !== null;
}

/** With `query-types`, `rules.dns` lets no other types through. */
function asksForType({ dns }: PortSpec, { extensions }: PolicyObject, { type }: Question): boolean {
  return dns === null || extensions.queryTypes === null || extensions.queryTypes.includes(type);
}

/** `rules.dns` of one `toPorts` entry. */
function mayBeAsked({ dns }: PortSpec, { name }: Question): boolean {
  if (dns === null) return true;
  const written = dns.filter(({ matchName, matchPattern }) => matchName !== null || matchPattern !== null);
  if (written.length === 0) return true;
  return written.some((one) => selectorMatchesName(one, name, 'dns'));
}

/** `deny-fqdns` of the policies that select the pod. */
function namesDenied(world: World, pod: PodObject): FqdnSelector[] {
  return specsOf(world, pod).flatMap(({ policy }) => policy.extensions.denyFqdns ?? []);
}

function specsOf(world: World, pod: PodObject): Selecting[] {
  const selecting: Selecting[] = [];
  for (const policy of world.objects.policies) {
    for (const spec of policy.specs) if (isSubject(world, policy, spec, pod)) selecting.push({ policy, spec });
  }
  return selecting;
}

/** A policy with a namespace stays in it: a namespace written under matchLabels with `k8s:` is replaced by its own. */
function isSubject(world: World, policy: PolicyObject, spec: PolicySpec, pod: PodObject): boolean {
  if (spec.endpointSelector === null) return false;
  const labels = labelsOfPod(world, pod);
  if (policy.namespace === '') return matchesSelector(spec.endpointSelector, labels);
  if (policy.namespace !== pod.namespace) return false;
  const matchLabels = { ...spec.endpointSelector.matchLabels };
  delete matchLabels['k8s:io.kubernetes.pod.namespace'];
  return matchesSelector({ ...spec.endpointSelector, matchLabels }, labels);
}

/** A rule of a policy. */
interface Placed {
  readonly policy: PolicyObject;
  readonly rule: RuleSpec;
}

function ruleCovers(world: World, placed: Placed, passage: Passage): boolean {
  if (!peerSelected(world, placed, passage)) return false;
  // Neither peers nor ports: `- {}` says nothing.
  if (!hasPorts(placed.rule)) return hasPeers(placed.rule);
  return placed.rule.ports.some((entry) => portCovered(world, entry, passage));
}

function hasPorts(rule: RuleSpec): rule is RuleSpec & { readonly ports: readonly PortSpec[] } {
  return rule.ports !== null && rule.ports.length > 0;
}

function hasPeers({ endpoints, cidrs, entities, services, fqdns }: RuleSpec): boolean {
  return endpoints !== null || cidrs !== null || entities !== null || services !== null || fqdns !== null;
}

function peerSelected(world: World, { policy, rule }: Placed, { peer, name }: Passage): boolean {
  if (!hasPeers(rule)) return true;
  for (const entity of rule.entities ?? []) if (isEntity(entity, peer)) return true;
  for (const one of rule.endpoints ?? []) if (isSelectedPeer(world, one, policy, peer)) return true;
  for (const one of rule.cidrs ?? []) if (isInCidr(one, peer)) return true;
  for (const one of rule.services ?? []) if (isOfService(world, one, peer)) return true;
  for (const one of rule.fqdns ?? []) {
    if (peer.kind === 'outside' && name !== null && selectorMatchesName(one, name, 'fqdn')) return true;
  }
  return false;
}

function isEntity(entity: Entity, peer: Peer): boolean {
  if (entity === 'all') return true;
  if (peer.kind === 'nowhere') return false;
  const isApiServer = peer.kind !== 'pod' && peer.isApiServer;
  switch (entity) {
    case 'world':
      return peer.kind === 'outside';
    case 'world-ipv4':
      return peer.kind === 'outside' && !peer.address.includes(':');
    case 'world-ipv6':
      return peer.kind === 'outside' && peer.address.includes(':');
    case 'cluster':
      return peer.kind !== 'outside' || isApiServer;
    case 'host':
      return peer.kind === 'host';
    case 'remote-node':
      return peer.kind === 'remote-node';
    case 'kube-apiserver':
      return isApiServer;
    default:
      return false;
  }
}

/** Without a word on namespaces or reserved labels, the policy's own namespace is meant; in a clusterwide policy, every pod. */
function isSelectedPeer(world: World, selector: LabelSelector, policy: PolicyObject, peer: Peer): boolean {
  if (peer.kind === 'nowhere' || !matchesSelector(selector, labelsOf(world, peer))) return false;
  const keys = [...Object.keys(selector.matchLabels), ...selector.matchExpressions.map(({ key }) => key)];
  if (keys.some((key) => key.startsWith('reserved:'))) return true;
  const plain = keys.map((key) => key.replace(/^(k8s|any):/, ''));
  if (plain.includes('io.kubernetes.pod.namespace')) return true;
  if (policy.namespace === '') return peer.kind === 'pod';
  if (plain.some((key) => key.startsWith('io.cilium.k8s.namespace.labels.'))) return true;
  return peer.kind === 'pod' && peer.pod.namespace === policy.namespace;
}

function isInCidr({ cidr, except }: CidrSpec, peer: Peer): boolean {
  if (peer.kind !== 'outside') return false;
  return addressWithin(peer.address, cidr) && !except.some((one) => addressWithin(peer.address, one));
}

/** A Service with a selector means its pods, one without the addresses outside the cluster in its EndpointSlices. */
function isOfService({ objects }: World, reference: ServiceReference, peer: Peer): boolean {
  for (const service of objects.services) {
    if (reference.namespace !== null && reference.namespace !== service.namespace) continue;
    if (reference.name !== null && reference.name !== service.name) continue;
    if (reference.selector !== null && !matchesSelector(reference.selector, k8sLabels(service.labels))) continue;
    if (service.selector !== null && Object.keys(service.selector).length > 0) {
      if (peer.kind === 'pod' && isPodOfService(service, peer.pod)) return true;
      continue;
    }
    if (peer.kind === 'outside' && slicesOf(objects, service).some(({ addresses }) => addresses.includes(peer.address))) return true;
  }
  return false;
}

function isPodOfService({ namespace, selector }: ServiceObject, pod: PodObject): boolean {
  if (selector === null || Object.keys(selector).length === 0 || namespace !== pod.namespace) return false;
  return Object.entries(selector).every(([key, value]) => pod.labels[key] === value);
}

function portCovered({ objects }: World, entry: PortSpec, { pod, direction, ports, protocol }: Passage): boolean {
  for (const one of entry.ports) {
    if (one.protocol === null ? ![6, 17, 132].includes(protocol) : one.protocol !== protocol) continue;
    if (!('portName' in one)) {
      if (ports.some((port) => port >= one.first && port <= one.last)) return true;
      continue;
    }
    const carriers = direction === 'ingress' ? [pod] : objects.pods.filter(isLive);
    const named = carriers.flatMap((carrier) => carrier.ports.filter(({ name }) => name === one.portName));
    if (named.some((each) => each.protocol === protocol && ports.includes(each.port))) return true;
  }
  return false;
}

/** A Service address stands for the backends of the port. */
function targetsOf(world: World, address: string, port: number, protocol: number): Target[] {
  const { objects } = world;
  const own = objects.services.filter(({ addresses }) => addresses.includes(address));
  const backends: { address: string; port: number }[] = [];
  let isServicePort = false;
  for (const service of own) {
    for (const entry of service.ports) {
      if (entry.port !== port || entry.protocol !== protocol) continue;
      isServicePort = true;
      backends.push(...backendsOf(objects, service, entry));
    }
  }
  // Nobody is known behind what leads nowhere; but what the address is otherwise may be denied.
  const direct: Target = { peer: peerAt(world, address), ports: [port], arrivesAt: port };
  const nowhere: Target[] = [{ ...direct, peer: { kind: 'nowhere' } }, direct];
  if (isServicePort) {
    if (backends.length === 0) return nowhere;
    return backends.map((backend) => ({
      peer: peerAt(world, backend.address), ports: [port, backend.port], arrivesAt: backend.port,
    }));
  }
  return own.length > 0 && direct.peer.kind === 'outside' ? nowhere : [direct];
}

/** EndpointSlices count if there are any, else the pods that the Service selects, ready or not. */
function backendsOf(objects: PolicyObjects, service: ServiceObject, port: ServicePortObject): { address: string; port: number }[] {
  const slices = slicesOf(objects, service);
  if (slices.length > 0) {
    return slices.flatMap(({ ports, addresses }) =>
      ports
        .filter(({ name, protocol }) => name === port.name && protocol === port.protocol)
        .flatMap((entry) => addresses.map((address) => ({ address, port: entry.port ?? numericTarget(port) }))),
    );
  }
  const found: { address: string; port: number }[] = [];
  for (const pod of objects.pods.filter(isLive)) {
    if (!isPodOfService(service, pod)) continue;
    let target: number | undefined = numericTarget(port);
    if (typeof port.targetPort === 'string') {
      target = pod.ports.find(({ name, protocol }) => name === port.targetPort && protocol === port.protocol)?.port;
    }
    if (target !== undefined) for (const address of pod.addresses) found.push({ address, port: target });
  }
  return found;
}

function numericTarget({ port, targetPort }: ServicePortObject): number {
  return typeof targetPort === 'number' ? targetPort : port;
}

function slicesOf({ endpointSlices }: PolicyObjects, { namespace, name }: { namespace: string; name: string }): PolicyObjects['endpointSlices'] {
  return endpointSlices.filter((slice) => slice.namespace === namespace && slice.serviceName === name);
}

function peerAt(world: World, address: string): Peer {
  const holders = world.objects.pods.filter((pod) => isLive(pod) && pod.addresses.includes(address));
  const owner = holders.find(({ hostNetwork }) => !hostNetwork);
  if (owner !== undefined) return { kind: 'pod', pod: owner };
  const apiServers = slicesOf(world.objects, { namespace: 'default', name: 'kubernetes' }).flatMap(({ addresses }) => addresses);
  const isApiServer = apiServers.includes(address);
  if (holders.length === 0) return { kind: 'outside', address, isApiServer };
  if (!holders.some((pod) => isOnNode(world, pod))) return { kind: 'remote-node', address, isApiServer };
  // This node is one peer, whichever of its addresses is meant.
  const here = world.objects.pods.filter((pod) => isLive(pod) && pod.hostNetwork && isOnNode(world, pod));
  const hostAddresses = here.flatMap(({ addresses }) => addresses).filter((one) => !isPodAddress(world, one));
  return { kind: 'host', address, isApiServer: hostAddresses.some((one) => apiServers.includes(one)) };
}

function isPodAddress({ objects }: World, address: string): boolean {
  return objects.pods.some((pod) => isLive(pod) && !pod.hostNetwork && pod.addresses.includes(address));
}

function isLive({ phase, addresses }: PodObject): boolean {
  return phase !== 'Succeeded' && phase !== 'Failed' && addresses.length > 0;
}

function isOnNode({ nodeName }: World, pod: PodObject): boolean {
  return pod.nodeName === null || pod.nodeName === nodeName;
}

function isLocal(world: World, pod: PodObject): boolean {
  return !pod.hostNetwork && isOnNode(world, pod);
}

function labelsOf(world: World, peer: Exclude<Peer, { readonly kind: 'nowhere' }>): Label[] {
  if (peer.kind === 'pod') return labelsOfPod(world, peer.pod);
  const labels: Label[] = [{ source: 'reserved', key: peer.kind === 'outside' ? 'world' : peer.kind, value: '' }];
  if (peer.isApiServer) labels.push({ source: 'reserved', key: 'kube-apiserver', value: '' });
  return labels;
}

function labelsOfPod({ objects }: World, { namespace, labels, serviceAccount }: PodObject): Label[] {
  const added: Record<string, string> = {
    'io.kubernetes.pod.namespace': namespace,
    'io.cilium.k8s.policy.serviceaccount': serviceAccount ?? 'default',
    'io.cilium.k8s.policy.cluster': 'default',
    'io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name': namespace,
  };
  for (const one of objects.namespaces) {
    if (one.name !== namespace) continue;
    for (const [key, value] of Object.entries(one.labels)) added[`io.cilium.k8s.namespace.labels.${key}`] = value;
  }
  return [...k8sLabels(labels), ...k8sLabels(added)];
}
