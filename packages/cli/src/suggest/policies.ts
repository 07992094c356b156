/**
 * What was seen → CiliumNetworkPolicy objects that allow it: one per workload, with the server by its labels and the names of `rules.dns`, and
 * `toFQDNs` for those that got an address.
 */
import type { AskedServer, Seen, ServerPeer, Workload } from './seen.js';
import type { Labels } from './stable-labels.js';

export type Manifest = Readonly<Record<string, unknown>>;

export interface SuggestOptions {
  /** One pattern for several names under one parent. */
  readonly generalizes: boolean;
  /** Whether names that got an address become `toFQDNs`. */
  readonly opensAddresses: boolean;
}

type NameRule = { readonly matchName: string } | { readonly matchPattern: string };

const NAMESPACE_LABEL = 'k8s:io.kubernetes.pod.namespace';
/** A parent of one label would be a top-level domain: that is nobody's own. */
const PARENT_LABELS_MIN = 2;
const SIBLINGS_MIN = 2;
const NAME_CHARACTERS_MAX = 200;

export function policiesFor(seen: Seen, options: SuggestOptions): readonly Manifest[] {
  const taken = new Set<string>();
  return seen.workloads().map((workload) => policyFor(workload, nameOf(workload, taken), options));
}

/** Workloads whose policy selects pods of another one, too: these carry all its labels, and more. */
export function overlaps(workloads: readonly Workload[]): readonly (readonly [wide: Workload, narrow: Workload])[] {
  return workloads.flatMap((wide) => workloads.filter((narrow) => narrow !== wide && narrow.namespace === wide.namespace
    && Object.entries(wide.labels).every(([key, value]) => narrow.labels[key] === value)).map((narrow) => [wide, narrow] as const));
}

export function labelsText({ namespace, labels }: Workload): string {
  return `${namespace} ${Object.entries(labels).map(([key, value]) => `${key}=${value}`).join(',')}`;
}

function policyFor(workload: Workload, name: string, options: SuggestOptions): Manifest {
  const servers = [...workload.servers.values()];
  const asked = new Set(servers.flatMap(({ names }) => [...names]));
  const resolved = new Set([...workload.resolved].filter((one) => asked.has(one)));
  return {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { name, namespace: workload.namespace },
    spec: {
      endpointSelector: { matchLabels: workload.labels },
      egress: [
        ...servers.map((server) => dnsRule(server, options)),
        ...(options.opensAddresses && resolved.size > 0 ? [{ toFQDNs: nameRules(resolved, options) }] : []),
      ],
    },
  };
}

function dnsRule({ peer, port, names }: AskedServer, options: SuggestOptions): Manifest {
  // Any protocol: an answer that does not fit into a datagram sends the client to TCP.
  return { ...peerFields(peer), toPorts: [{ ports: [{ port: String(port), protocol: 'ANY' }], rules: { dns: nameRules(names, options) } }] };
}

function peerFields(peer: ServerPeer): Manifest {
  switch (peer.kind) {
    case 'pods':
      return { toEndpoints: [{ matchLabels: { [NAMESPACE_LABEL]: peer.namespace, ...peer.labels } }] };
    case 'service':
      return { toServices: [{ k8sService: { serviceName: peer.name, namespace: peer.namespace } }] };
    case 'entity':
      return { toEntities: [peer.entity] };
    case 'address':
      return { toCIDR: [`${peer.address}/${peer.address.includes(':') ? 128 : 32}`] };
  }
}

function nameRules(names: ReadonlySet<string>, { generalizes }: SuggestOptions): readonly NameRule[] {
  const sorted = [...names].sort();
  const families = new Map<string, number>();
  for (const name of sorted) families.set(parentOf(name), (families.get(parentOf(name)) ?? 0) + 1);
  const rules = new Map<string, NameRule>();
  for (const name of sorted) {
    const parent = parentOf(name);
    const isFamily = generalizes && parent.split('.').length >= PARENT_LABELS_MIN && families.get(parent)! >= SIBLINGS_MIN;
    const text = isFamily ? `*.${parent}` : bare(name);
    rules.set(text, isFamily ? { matchPattern: text } : { matchName: text });
  }
  return [...rules.values()];
}

/** Without the final dot; '' for a name of one label. */
function parentOf(name: string): string {
  return bare(name).split('.').slice(1).join('.');
}

function bare(name: string): string {
  return name.replace(/\.$/, '');
}

/** A DNS-1123 name out of the labels' values: `allow-web`, `allow-web-2`. */
function nameOf({ labels }: Workload, taken: Set<string>): string {
  const words = mostTelling(labels).toLowerCase().replaceAll(/[^a-z0-9]+/g, '-').replaceAll(/^-+|-+$/g, '').slice(0, NAME_CHARACTERS_MAX).replace(/-+$/, '');
  const base = words === '' ? 'allow-seen' : `allow-${words}`;
  let name = base;
  for (let i = 2; taken.has(name); i++) name = `${base}-${i}`;
  taken.add(name);
  return name;
}

function mostTelling(labels: Labels): string {
  return labels['app.kubernetes.io/name'] ?? labels.app ?? labels['k8s-app'] ?? Object.values(labels).join('-');
}
