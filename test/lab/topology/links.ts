/**
 * Links, addresses and routes, as shell scripts for the namespaces that they are made in. A pod is wired as Calico does it (a veth of its own with
 * host routes, the neighbour answered for by the node) or as the CNI bridge plugin does it (a port of the node's bridge).
 */
import { nodeAddress, NODES, OUTSIDE_NETWORKS, podAddress, podNetwork, ROUTER } from './plan.js';
import type { NodeNumber, PodPlan, Wiring } from './plan.js';

export const BRIDGE = 'cbr0';
/** As Calico: every host end has the same MAC, and pods reach it at a link-local address. */
const HOST_END_MAC = 'ee:ee:ee:ee:ee:ee';
const GATEWAY_V4 = '169.254.1.1';
const GATEWAY_V6 = 'fe80::ecee:eeff:feee:eeee';

function forwarding(): string {
  return `echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
`;
}

/** The network between the nodes, and the outside behind it: every outside address is local here. */
export function routerScript(nodes: readonly NodeNumber[]): string {
  const routes = nodes.map((node) => {
    const { network } = podNetwork(node);
    const via = nodeAddress(node);
    return `ip route add ${network.v4} via ${via.v4}
ip -6 route add ${network.v6} via ${via.v6}`;
  });
  return `${forwarding()}ip link add fabric type bridge
ip link set fabric up
ip address add ${ROUTER.v4}/24 dev fabric
ip address add ${ROUTER.v6}/64 dev fabric nodad
${routes.join('\n')}
${OUTSIDE_NETWORKS.map((network) => `ip ${network.includes(':') ? '-6 ' : ''}route add local ${network} dev lo`).join('\n')}
`;
}

/** In the router's namespace. */
export function nodePortScript(node: NodeNumber, namespace: string): string {
  const port = `node${String(node)}`;
  return `ip link add ${port} type veth peer name eth0 netns ${namespace}
ip link set ${port} master fabric up
`;
}

export function nodeScript(node: NodeNumber, options: { readonly wiring: Wiring; readonly nfCall: 0 | 1; readonly nodes: readonly NodeNumber[] }): string {
  const own = nodeAddress(node);
  const others = NODES.filter((other) => other !== node && options.nodes.includes(other)).map((other) => {
    const { network } = podNetwork(other);
    return `ip route add ${network.v4} via ${nodeAddress(other).v4}
ip -6 route add ${network.v6} via ${nodeAddress(other).v6}
`;
  });
  const { gateway } = podNetwork(node);
  const bridge = `ip link add ${BRIDGE} type bridge
ip link set ${BRIDGE} up
ip address add ${gateway.v4}/24 dev ${BRIDGE}
ip address add ${gateway.v6}/64 dev ${BRIDGE} nodad
echo ${String(options.nfCall)} > /proc/sys/net/bridge/bridge-nf-call-iptables
echo ${String(options.nfCall)} > /proc/sys/net/bridge/bridge-nf-call-ip6tables
`;
  return `${forwarding()}ip link set eth0 up
ip address add ${own.v4}/24 dev eth0
ip address add ${own.v6}/64 dev eth0 nodad
ip route add default via ${ROUTER.v4}
ip -6 route add default via ${ROUTER.v6}
${others.join('')}${options.wiring === 'bridge' ? bridge : ''}`;
}

/** In the node's namespace: the pod's link, its other end in the pod's namespace as eth0. */
export function hostEndScript(pod: PodPlan, options: { readonly wiring: Wiring; readonly link: string; readonly namespace: string }): string {
  const { link } = options;
  const made = `ip link add ${link} type veth peer name eth0 netns ${options.namespace}
`;
  if (options.wiring === 'bridge') return `${made}ip link set ${link} master ${BRIDGE} up
`;
  const own = podAddress(pod);
  return `${made}ip link set ${link} address ${HOST_END_MAC} up
echo 1 > /proc/sys/net/ipv4/conf/${link}/proxy_arp
echo 0 > /proc/sys/net/ipv4/neigh/${link}/proxy_delay
ip route add ${own.v4}/32 dev ${link} scope link
ip -6 route add ${own.v6}/128 dev ${link}
`;
}

/** In the pod's namespace. */
export function podScript(pod: PodPlan, wiring: Wiring): string {
  const own = podAddress(pod);
  const { gateway } = podNetwork(pod.node);
  if (wiring === 'bridge') {
    return `ip link set eth0 up
ip address add ${own.v4}/24 dev eth0
ip address add ${own.v6}/64 dev eth0 nodad
ip route add default via ${gateway.v4}
ip -6 route add default via ${gateway.v6}
`;
  }
  return `ip link set eth0 up
ip address add ${own.v4}/32 dev eth0
ip address add ${own.v6}/128 dev eth0 nodad
ip route add ${GATEWAY_V4} dev eth0 scope link
ip route add default via ${GATEWAY_V4} dev eth0
ip -6 route add default via ${GATEWAY_V6} dev eth0
`;
}
