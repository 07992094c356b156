/**
 * What the lab looks like: nodes, pods, Services, names and addresses. Pure; namespaces, links and servers are made from it elsewhere. Names and
 * addresses are fixed, so that the output of two runs can be compared.
 */

export type Wiring = 'veth' | 'bridge';
export type Family = 4 | 6;
export type NodeNumber = 1 | 2;
export const NODES: readonly NodeNumber[] = [1, 2];

/** One address of each family. */
export interface Both {
  readonly v4: string;
  readonly v6: string;
}

export interface PodPlan {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly node: NodeNumber;
  /** Last part of its addresses. */
  readonly host: number;
  readonly runs: 'dns' | 'web' | 'nothing';
}

export interface ServicePlan {
  readonly name: string;
  readonly namespace: string;
  readonly address: Both;
  readonly ports: readonly { readonly name: string; readonly protocol: 'UDP' | 'TCP'; readonly port: number; readonly targetPort: number }[];
  readonly selector: Readonly<Record<string, string>>;
}

/** An address record: its name without the last dot. */
export interface Name {
  readonly name: string;
  readonly ttlSeconds: number;
  readonly addresses: readonly string[];
}

export const DNS_PORT = 53;
/** Where the DNS servers listen besides port 53: a Service maps to it, so that DNAT changes the port, too. */
export const DNS_TARGET_PORT = 1053;
export const WEB_PORT = 80;
export const FIRST_TTL_SECONDS = 30;

export function nodeName(node: NodeNumber): string {
  return `node-${String(node)}`;
}

/** The node's place in the network between the nodes. */
export function nodeAddress(node: NodeNumber): Both {
  return { v4: `10.240.0.1${String(node)}`, v6: `fd00:10:240::1${String(node)}` };
}

/** First address and network of a node's pods. */
export function podNetwork(node: NodeNumber): { readonly gateway: Both; readonly network: Both } {
  const v4 = `10.244.${String(node)}`;
  const v6 = `fd00:10:244:${String(node)}`;
  return { gateway: { v4: `${v4}.1`, v6: `${v6}::1` }, network: { v4: `${v4}.0/24`, v6: `${v6}::/64` } };
}

export function podAddress(pod: Pick<PodPlan, 'node' | 'host'>): Both {
  return { v4: `10.244.${String(pod.node)}.${String(pod.host)}`, v6: `fd00:10:244:${String(pod.node)}::${String(pod.host)}` };
}

export const ROUTER: Both = { v4: '10.240.0.1', v6: 'fd00:10:240::1' };

const LAB = 'lab';

function pod(name: string, host: number, more: Partial<PodPlan> & Pick<PodPlan, 'labels'>): PodPlan {
  return { name, namespace: LAB, uid: `5eed0000-0000-4000-8000-${host.toString(16).padStart(12, '0')}`, node: 1, host, runs: 'nothing', ...more };
}

const AT_ONCE = { 'k8s-app': 'kube-dns', answers: 'at-once' };
const SLOWLY = { 'k8s-app': 'kube-dns', answers: 'slowly' };
/** For drills: a kill loses next to nothing, whatever it does, where the server answers at once. The drill starts the server in it. */
export const SLOW_DNS_POD = 'slow-dns';
const dns = { namespace: 'kube-system', labels: AT_ONCE, runs: 'dns' } as const;

/** Of scenario 4, created while the lab runs: by its own name and UID, at the address of client-v1. */
export const CLIENT_V2 = pod('client-v2', 41, { labels: { app: 'client', version: 'v2' }, uid: '5eed0000-0000-4000-8000-0000000000c2' });

/** Which pods each scenario needs besides the DNS servers. */
export const PODS_OF: Readonly<Record<string, readonly PodPlan[]>> = {
  1: [
    pod('net1', 11, { labels: { app: 'net' } }),
    pod('net2', 12, { labels: { app: 'net' } }),
    pod('net3', 13, { labels: { app: 'net' }, node: 2 }),
  ],
  2: [
    pod('productpage', 21, { labels: { app: 'productpage' }, runs: 'web' }),
    pod('reviews-v1', 22, { labels: { app: 'reviews', version: 'v1' }, runs: 'web' }),
    pod('reviews-v2', 23, { labels: { app: 'reviews', version: 'v2' }, runs: 'web' }),
    pod('reviews-v3', 24, { labels: { app: 'reviews', version: 'v3' }, runs: 'web', node: 2 }),
    pod('details', 25, { labels: { app: 'details' }, runs: 'web' }),
    pod('ratings', 26, { labels: { app: 'ratings' }, runs: 'web' }),
    pod('internal-client', 27, { labels: { app: 'internal-client' } }),
  ],
  3: [
    pod('crawler', 31, { labels: { app: 'crawler' } }),
    pod(SLOW_DNS_POD, 32, { namespace: 'kube-system', labels: SLOWLY, node: 2 }),
  ],
  4: [
    pod('client-v1', 41, { labels: { app: 'client', version: 'v1' } }),
    pod('server-v1', 42, { labels: { app: 'server', version: 'v1' }, runs: 'web' }),
    pod('server-v2', 43, { labels: { app: 'server', version: 'v2' }, runs: 'web' }),
    pod('remote-v1', 44, { labels: { app: 'client', version: 'v1' }, node: 2 }),
  ],
};

/** One DNS server on each node: for pods of the first, one is on their own bridge, and one is not. */
export const DNS_PODS: readonly PodPlan[] = [pod('kube-dns-a', 2, { ...dns, node: 1 }), pod('kube-dns-b', 3, { ...dns, node: 2 })];

function web(name: string, host: number, selector: Readonly<Record<string, string>>): ServicePlan {
  return {
    name, namespace: LAB, selector, address: { v4: `10.96.1.${String(host)}`, v6: `fd00:96::1:${String(host)}` },
    ports: [{ name: 'http', protocol: 'TCP', port: WEB_PORT, targetPort: WEB_PORT }],
  };
}

function dnsService(name: string, selector: Readonly<Record<string, string>>, address: Both): ServicePlan {
  return {
    name, namespace: 'kube-system', selector, address,
    ports: [
      { name: 'dns', protocol: 'UDP', port: DNS_PORT, targetPort: DNS_TARGET_PORT },
      { name: 'dns-tcp', protocol: 'TCP', port: DNS_PORT, targetPort: DNS_TARGET_PORT },
    ],
  };
}

export const KUBE_DNS: ServicePlan = dnsService('kube-dns', AT_ONCE, { v4: '10.96.0.10', v6: 'fd00:96::a' });
export const SLOW_DNS: ServicePlan = dnsService(SLOW_DNS_POD, SLOWLY, { v4: '10.96.0.11', v6: 'fd00:96::b' });

export const SERVICES: readonly ServicePlan[] = [
  KUBE_DNS, SLOW_DNS,
  web('productpage', 21, { app: 'productpage' }), web('reviews', 22, { app: 'reviews' }), web('details', 25, { app: 'details' }), web('ratings', 26, { app: 'ratings' }),
  web('server-v1', 42, { app: 'server', version: 'v1' }), web('server-v2', 43, { app: 'server', version: 'v2' }),
];

/** Names of the outside and their web servers. `2001:db8:17::/48` and the IPv4 networks are all answered by one server, whatever the address. */
const OUTSIDE: readonly Name[] = [
  { name: 'echo.k8s.intra', ttlSeconds: FIRST_TTL_SECONDS, addresses: ['172.17.0.2', '2001:db8:17::2'] },
  { name: 'other.k8s.intra', ttlSeconds: FIRST_TTL_SECONDS, addresses: ['172.17.0.9', '2001:db8:17::9'] },
  { name: 'google.com', ttlSeconds: FIRST_TTL_SECONDS, addresses: ['198.51.100.10', '2001:db8:17:100::10'] },
  { name: 'cilium.io', ttlSeconds: FIRST_TTL_SECONDS, addresses: ['198.51.100.20', '2001:db8:17:100::20'] },
  { name: 'bbc.co.uk', ttlSeconds: FIRST_TTL_SECONDS, addresses: ['198.51.100.30', '2001:db8:17:100::30'] },
  { name: 'cnn.com', ttlSeconds: FIRST_TTL_SECONDS, addresses: ['198.51.100.40', '2001:db8:17:100::40'] },
  { name: 'ifconfig.me', ttlSeconds: FIRST_TTL_SECONDS, addresses: ['198.51.100.50', '2001:db8:17:100::50'] },
];

/** Where the outside's web server answers. */
export const OUTSIDE_NETWORKS: readonly string[] = ['172.17.0.0/24', '172.18.0.0/16', '198.51.100.0/24', '2001:db8:17::/48'];

/** `h0.fresh.k8s.intra` and so on: names that nobody has asked for, each with addresses of its own. */
export const FRESH_NAMES = 1_000;

export function freshName(index: number): Name {
  const high = 1 + (index >> 8);
  const low = index & 255;
  return { name: `h${String(index)}.fresh.k8s.intra`, ttlSeconds: FIRST_TTL_SECONDS, addresses: [`172.18.${String(high)}.${String(low)}`, `2001:db8:17:200::${high.toString(16)}:${low.toString(16)}`] };
}

export const ZONES: readonly string[] = ['k8s.intra', 'cluster.local', 'google.com', 'cilium.io', 'bbc.co.uk', 'cnn.com', 'ifconfig.me'];

export function firstNames(): Name[] {
  const ofServices = SERVICES.map(({ name, namespace, address }) => ({ name: `${name}.${namespace}.svc.cluster.local`, ttlSeconds: FIRST_TTL_SECONDS, addresses: [address.v4, address.v6] }));
  return [...ofServices, ...OUTSIDE, ...Array.from({ length: FRESH_NAMES }, (_, index) => freshName(index))];
}

export function isSelected(service: ServicePlan, pod: PodPlan): boolean {
  return service.namespace === pod.namespace && Object.entries(service.selector).every(([key, value]) => pod.labels[key] === value);
}
