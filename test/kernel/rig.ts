/**
 * A node as namespaces: the node itself, its pods on veths of their own or on a bridge, and everybody else. Policies are enforced by the
 * tables that `@tandem/datapath` makes of a snapshot; the rig plays kube-proxy, the links' watch and the leader.
 */
import { execFileSync } from 'node:child_process';
import { compileProgram, marksFrom, wholeText, type OpenElements, type Program, type ProgramInput } from '@tandem/datapath';
import type { EndpointLocation, EndpointRecord, Snapshot } from '@tandem/core';
import { Probe, type Protocol } from './probe.js';

export interface Wiring {
  readonly kind: 'veth' | 'bridge';
  /** net.bridge.bridge-nf-call-iptables (and ip6). */
  readonly nfCall: 0 | 1;
}

export interface Pod {
  readonly probe: Probe;
  readonly addresses: readonly string[];
  readonly at: readonly EndpointLocation[];
  /** Name of the host end. */
  readonly link: string;
}

interface Link {
  readonly ifindex: number;
  readonly ifname: string;
  readonly address: string;
}

/** As `redirect` of the datapath sets the pair up: an interface without any IPv4 address takes no packet where rp_filter is on, be it the loose one. */
const DIVERT_ADDRESS = '192.0.0.8';
const GATEWAY = '169.254.1.1';
const GATEWAY_6 = 'fe80::1';
const UPLINK = { node: '169.254.2.2', others: '169.254.2.1' } as const;
const UPLINK_6 = { node: 'fe80::2', others: 'fe80::1' } as const;

const flag = (address: string): string => (address.includes(':') ? '-6 ' : '');
const prefix = (address: string): string => `${address}/${address.includes(':') ? 128 : 32}`;

export class Rig {
  readonly node: Probe;
  readonly others: Probe;
  readonly wiring: Wiring;
  private readonly pods = new Map<string, Pod>();
  private readonly owned = new Map<Probe, Set<string>>();
  private serial = 0;

  static async start(wiring: Wiring): Promise<Rig> {
    const [node, others] = await Promise.all([Probe.start(), Probe.start()]);
    const rig = new Rig(node, others, wiring);
    node.run(`
      sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.default.accept_dad=0
      sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 net.ipv4.icmp_msgs_per_sec=100000
      ip link add up0 type veth peer name up0 netns ${others.pid}
      ip link set up0 up
      ip address add ${UPLINK.node}/32 dev up0
      ip -6 address add ${UPLINK_6.node}/64 dev up0 nodad
      ip route add default via ${UPLINK.others} dev up0 onlink
      ip -6 route add default via ${UPLINK_6.others} dev up0
    `);
    others.run(`
      sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
      ip link set up0 up
      ip address add ${UPLINK.others}/32 dev up0
      ip -6 address add ${UPLINK_6.others}/64 dev up0 nodad
      ip route add default via ${UPLINK.node} dev up0 onlink
      ip -6 route add default via ${UPLINK_6.node} dev up0
    `);
    if (wiring.kind === 'bridge') {
      node.run(`
        ip link add br0 type bridge
        ip link set br0 up
        ip address add ${GATEWAY}/32 dev br0
        ip -6 address add ${GATEWAY_6}/64 dev br0 nodad
        ip link add tandem0 type veth peer name tandem1
        ip link set tandem0 up
        ip link set tandem1 up
        ip link set tandem0 arp off
        ip address add ${DIVERT_ADDRESS}/32 dev tandem0 scope link
        sysctl -qw net.ipv4.conf.tandem0.rp_filter=2
        sysctl -qw net.bridge.bridge-nf-call-iptables=${wiring.nfCall} net.bridge.bridge-nf-call-ip6tables=${wiring.nfCall}
      `);
    }
    return rig;
  }

  private constructor(node: Probe, others: Probe, wiring: Wiring) {
    this.node = node;
    this.others = others;
    this.wiring = wiring;
  }

  close(): void {
    for (const { probe } of this.pods.values()) probe.close();
    this.node.close();
    this.others.close();
  }

  /** Gives an address to the node, or to everybody else. */
  own(who: Probe, address: string): void {
    const owned = this.owned.get(who) ?? new Set();
    this.owned.set(who, owned);
    if (owned.has(address)) return;
    owned.add(address);
    who.run(`ip ${flag(address)}address add ${prefix(address)} dev lo ${address.includes(':') ? 'nodad' : ''}`);
  }

  /** The pod with these addresses, on a link of its own. */
  async pod(addresses: readonly string[]): Promise<Pod> {
    const key = addresses.join();
    const known = this.pods.get(key);
    if (known !== undefined) return known;
    for (const [other, pod] of this.pods) if (pod.addresses.some((one) => addresses.includes(one))) this.remove(other, pod);
    const pod = await this.addPod(addresses);
    this.pods.set(key, pod);
    return pod;
  }

  /** One more, whoever else has these addresses; routes lead to the last one. */
  async addPod(addresses: readonly string[]): Promise<Pod> {
    const probe = await Probe.start();
    const link = `pod${++this.serial}`;
    const isBridged = this.wiring.kind === 'bridge';
    const device = isBridged ? 'br0' : link;
    this.node.run(`
      ip link add ${link} type veth peer name eth0 netns ${probe.pid}
      ${isBridged ? `ip link set ${link} master br0` : `sysctl -qw net.ipv4.conf.${link}.proxy_arp=1 net.ipv4.neigh.${link}.proxy_delay=0`}
      ip link set ${link} up
      ${isBridged ? '' : `ip -6 address add ${GATEWAY_6}/64 dev ${link} nodad`}
      ${addresses.map((address) => `ip ${flag(address)}route replace ${prefix(address)} dev ${device}`).join('\n')}
      ip neigh flush dev ${device}
    `);
    // On a bridge, pods talk to their neighbours without a gateway.
    const near = isBridged ? this.near(addresses) : [];
    probe.run(`
      sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.eth0.accept_dad=0
      ip link set eth0 up
      ${addresses.map((address) => `ip ${flag(address)}address add ${prefix(address)} dev eth0 ${address.includes(':') ? 'nodad' : ''}`).join('\n')}
      ip route add default via ${GATEWAY} dev eth0 onlink
      ip -6 route add default via ${GATEWAY_6} dev eth0
      ${near.map((network) => `ip ${flag(network)}route add ${network} dev eth0`).join('\n')}
    `);
    const port = this.link(this.node, link).ifindex;
    const bridge = isBridged ? { mac: this.link(probe, 'eth0').address, bridge: this.link(this.node, 'br0').ifindex } : {};
    return { probe, link, addresses, at: addresses.map((address) => ({ address, interface: port, ...bridge })) };
  }

  /** The snapshot's endpoints with pods where they say. */
  async placed(snapshot: Snapshot): Promise<Snapshot> {
    const endpoints: EndpointRecord[] = [];
    for (const endpoint of snapshot.endpoints) endpoints.push({ ...endpoint, at: (await this.pod(endpoint.addresses)).at });
    return { ...snapshot, endpoints };
  }

  /** What the leader would have the kernel do. */
  program(snapshot: Snapshot, settings: Partial<ProgramInput> = {}): Program {
    const names = new Map(this.links(this.node).map(({ ifindex, ifname }) => [ifindex, ifname]));
    const isBridged = this.wiring.kind === 'bridge';
    const outer = isBridged ? this.link(this.node, 'tandem0') : null;
    return compileProgram({
      snapshot,
      divert: outer === null ? null : { outer: outer.ifindex, outerMac: outer.address, inner: this.link(this.node, 'tandem1').ifindex },
      nameOf: (index) => names.get(index) ?? null,
      marks: marksFrom(0x0100_0000),
      redirectTo: { v4: { address: '127.0.0.153', port: 53 }, v6: { address: 'fd53::1', port: 53 } },
      grantScope: 'node', auditMode: false, logGroup: null, podCidrs: [], isTransparentUpstream: false,
      ...settings,
    });
  }

  enforce(program: Program, open: OpenElements = new Map()): void {
    this.nft(wholeText(program, open));
    this.node.run('conntrack -F 2>/dev/null || true');
  }

  nft(text: string): void {
    execFileSync('nsenter', ['--net', '-t', String(this.node.pid), '--', 'nft', '-f', '-'], { input: text, stdio: ['pipe', 'pipe', 'pipe'] });
  }

  /** As kube-proxy does. */
  translate(protocol: Protocol, from: { readonly address: string; readonly port: number }, to: { readonly address: string; readonly port: number } | null): void {
    const family = from.address.includes(':') ? 'ip6' : 'ip';
    const target = to === null ? null : `${to.address.includes(':') ? `[${to.address}]` : to.address}:${to.port}`;
    this.nft(`
      add table inet services
      delete table inet services
      table inet services {
        chain in { type nat hook prerouting priority dstnat; ${target === null ? '' : `\n${family} daddr ${from.address} ${protocol} dport ${from.port} dnat ${family} to ${target}`}
        }
      }
    `);
  }

  private near(addresses: readonly string[]): string[] {
    return addresses.map((address) => (address.includes(':') ? 'fd00::/64' : `${address.split('.').slice(0, 3).join('.')}.0/24`));
  }

  private remove(key: string, pod: Pod): void {
    pod.probe.close();
    this.node.run(`ip link delete ${pod.link}`);
    this.pods.delete(key);
  }

  private links(probe: Probe): Link[] {
    return JSON.parse(probe.run('ip -j link show')) as Link[];
  }

  private link(probe: Probe, name: string): Link {
    return this.links(probe).find(({ ifname }) => ifname === name)!;
  }
}

