/**
 * Which pods of other nodes the policies in force here are about: what has to be watched besides this node's own pods.
 *
 * Invariant: what is watched is never less than what the compiler would select, and may be more: a requirement that an API server cannot
 * look for is left out. A rule for addresses (prefixes, the world) is about every pod, for it must not hold for one; so is a named port
 * in egress whose peers are not pods alone, for any pod may say which number it is.
 * Does not know: watches, objects of other nodes.
 */
import {
  CLUSTER_LABEL, LabelSet, matchesAll, NAMESPACE_LABELS_PREFIX, parsePrefix, peerRequirements, POD_NAMESPACE_LABEL, podLabels, type Labels, type LabelSelector, type PodObject,
  type PolicyObjects, type Prefix, type Requirement, type RuleSpec, requirementsOf, SERVICE_ACCOUNT_LABEL, ServiceDirectory, type ServiceObject, type Settings, subjectRequirements,
} from '@tandem/core';

/** Pods by namespace and labels. */
export interface PodNeed {
  /** null: of every namespace. */
  readonly namespace: string | null;
  /** As a list takes it; '': all. */
  readonly labels: string;
}

export interface Needs {
  readonly pods: readonly PodNeed[];
  readonly nodes: boolean;
  /** Rules for names are in force: pods behind Services must be known as such, or a name could stand for them. Likewise nodes. */
  readonly serviceBackends: boolean;
}

/** Each is a watch with a connection; beyond it, one watch has all pods. */
export const POD_WATCHES_MAX = 12;
/** A selector over more namespaces is watched in all of them. */
const NAMESPACES_MAX = 4;
const SELECTOR_CHARACTERS_MAX = 2_048;
const ALL_PODS: PodNeed = { namespace: null, labels: '' };
const WORLD = new LabelSet(['reserved:world=']);
const NODE_LABELS = [new LabelSet(['reserved:host=']), new LabelSet(['reserved:remote-node=']), new LabelSet(['reserved:kube-apiserver=', 'reserved:remote-node='])];
/** As an API server checks them: the part before the slash is a DNS subdomain, label by label. */
const KEY = /^(?=[^/]{1,253}\/|[^/]*$)([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;

type NeedSettings = Pick<Settings, 'enablePolicy' | 'clusterCidrs'>;

/** `objects`: with the pods of this node alone. */
export function needsOf(objects: PolicyObjects, { enablePolicy, clusterCidrs }: NeedSettings): Needs {
  if (enablePolicy === 'never') return { pods: [], nodes: false, serviceBackends: false };
  const collector = new Collector(objects, clusterCidrs.flatMap((cidr) => parsePrefix(cidr) ?? []));
  const namespaceLabels = new Map(objects.namespaces.map(({ name, labels }) => [name, labels]));
  const local = [...new Map(objects.pods.filter(({ hostNetwork }) => !hostNetwork).map((pod) => labelsOf(pod, namespaceLabels)).map((labels) => [labels.texts.join(), labels])).values()];
  for (const { namespace, specs } of objects.policies) {
    for (const { endpointSelector, egress, ingress } of specs) {
      if (endpointSelector === null) continue;
      const subject = subjectRequirements(endpointSelector, namespace);
      if (!local.some((labels) => matchesAll(subject, labels))) continue;
      const outward = [...(egress.allow ?? []), ...(egress.deny ?? [])];
      for (const rule of [...outward, ...(ingress.allow ?? []), ...(ingress.deny ?? [])]) collector.add(rule, namespace, endpointSelector);
      for (const rule of outward) collector.addNamedPorts(rule);
    }
  }
  return collector.finish();
}

function labelsOf(pod: PodObject, namespaceLabels: ReadonlyMap<string, Labels>): LabelSet {
  return podLabels(pod, namespaceLabels.get(pod.namespace) ?? {});
}

class Collector {
  private readonly namespaces: readonly { readonly name: string; readonly labels: LabelSet }[];
  private readonly services: ServiceDirectory;
  private readonly cluster: readonly Prefix[];
  private readonly pods = new Map<string, PodNeed>();
  private nodes = false;
  private backends = false;

  constructor(objects: PolicyObjects, cluster: readonly Prefix[]) {
    this.services = new ServiceDirectory(objects);
    this.cluster = cluster;
    this.namespaces = objects.namespaces.map(({ name, labels }) => ({ name, labels: podLabels({ namespace: name, labels: {}, serviceAccount: null }, labels) }));
  }

  add({ endpoints, cidrs, entities, services, fqdns }: RuleSpec, namespace: string, subject: LabelSelector): void {
    for (const peer of endpoints ?? []) this.labelled(peerRequirements(peer, namespace, subject));
    if (cidrs?.some(({ cidr }) => this.mayHoldPods(cidr)) === true) this.everything();
    for (const entity of entities ?? []) {
      if (entity === 'world' || entity === 'world-ipv4' || entity === 'world-ipv6' || entity === 'cluster') this.everything();
      if (entity === 'host' || entity === 'remote-node' || entity === 'kube-apiserver') this.nodes = true;
    }
    for (const reference of services ?? []) {
      for (const service of this.services.find(reference)) {
        if (isWithoutSelector(service)) continue;
        const terms = requirementsOf({ matchLabels: service.selector ?? {}, matchExpressions: [] });
        this.need([service.namespace], selectorText(terms));
      }
    }
    if (fqdns !== null) {
      this.backends = true;
      this.nodes = true;
    }
  }

  /** In egress they are the peers', of which those that labels select are watched. */
  addNamedPorts({ endpoints, cidrs, entities, services, fqdns, ports }: RuleSpec): void {
    if (ports?.some((one) => one.ports.some((port) => 'portName' in port)) !== true) return;
    const isOfPods = cidrs === null && entities === null && fqdns === null && (endpoints !== null || services !== null)
      && endpoints?.some((peer) => requirementsOf(peer).some(({ source }) => source === 'reserved')) !== true
      && services?.some((reference) => this.services.find(reference).some(isWithoutSelector)) !== true;
    if (!isOfPods) this.need(null, '');
  }

  finish(): Needs {
    const all = [...this.pods.values()];
    const isCovered = (need: PodNeed): boolean => all.some((other) => other !== need && covers(other, need));
    const pods = all.filter((need) => !isCovered(need));
    return { pods: pods.length > POD_WATCHES_MAX ? [ALL_PODS] : pods.sort((a, b) => (needKey(a) < needKey(b) ? -1 : 1)), nodes: this.nodes, serviceBackends: this.backends };
  }

  private labelled(requirements: readonly Requirement[]): void {
    if (matchesAll(requirements, WORLD)) this.everything();
    if (NODE_LABELS.some((labels) => matchesAll(requirements, labels))) this.nodes = true;
    // What only a pod without such labels could have is no pod's: each has a namespace, and none a reserved label.
    if (requirements.some(({ source, operator }) => source === 'reserved' && (operator === 'In' || operator === 'Exists'))) return;
    const ofNamespace = requirements.filter(({ key }) => key === POD_NAMESPACE_LABEL || key.startsWith(NAMESPACE_LABELS_PREFIX));
    const names = ofNamespace.length === 0 ? null : this.namespaces.filter(({ labels }) => matchesAll(ofNamespace, labels)).map(({ name }) => name);
    const own = requirements.filter((one) => !ofNamespace.includes(one) && one.key !== SERVICE_ACCOUNT_LABEL && one.key !== CLUSTER_LABEL && one.source !== 'reserved');
    this.need(names?.length === this.namespaces.length ? null : names, selectorText(own));
  }

  /** null: every namespace. */
  private need(namespaces: readonly string[] | null, labels: string): void {
    const wanted = namespaces === null || namespaces.length > NAMESPACES_MAX ? [null] : namespaces;
    for (const namespace of wanted) this.pods.set(needKey({ namespace, labels }), { namespace, labels });
  }

  private everything(): void {
    this.nodes = true;
    this.need(null, '');
  }

  private mayHoldPods(cidr: string): boolean {
    const prefix = parsePrefix(cidr);
    if (this.cluster.length === 0 || prefix === null) return true;
    return this.cluster.some(({ family, first, last }) => family === prefix.family && first <= prefix.last && prefix.first <= last);
  }
}

/** Its backends are addresses. */
function isWithoutSelector({ selector }: ServiceObject): boolean {
  return selector === null || Object.keys(selector).length === 0;
}

export function needKey({ namespace, labels }: PodNeed): string {
  return `${namespace ?? '*'} ${labels}`;
}

function covers(outer: PodNeed, inner: PodNeed): boolean {
  return (outer.namespace === null || outer.namespace === inner.namespace) && (outer.labels === '' || outer.labels === inner.labels);
}

/** Sorted, so that equal needs have equal texts. What a server would refuse is left out: then more is watched than is needed. */
function selectorText(requirements: readonly Requirement[]): string {
  const terms = requirements.flatMap(({ key, operator, values }) => {
    if (!KEY.test(key) || !values.every((value) => VALUE.test(value))) return [];
    const list = [...new Set(values)].sort().join(',');
    switch (operator) {
      case 'In':
        return values.length === 1 ? `${key}=${list}` : `${key} in (${list})`;
      case 'NotIn':
        return `${key} notin (${list})`;
      case 'Exists':
        return key;
      case 'DoesNotExist':
        return `!${key}`;
    }
  });
  const text = [...new Set(terms)].sort().join(',');
  return text.length > SELECTOR_CHARACTERS_MAX ? '' : text;
}
