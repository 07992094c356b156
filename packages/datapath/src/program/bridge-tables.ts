/**
 * Bridged pods. `table netdev tandem`: at its port, each packet's MAC and address are checked, and it is pulled out of the bridge: sent
 * through a veth pair it arrives as routed traffic, where `table inet tandem` sees it, to whomever it goes and whatever
 * bridge-nf-call-iptables says. `table bridge tandem`: what crosses the bridge from or to a pod of ours all the same is dropped.
 *
 * Invariant: no IP packet of a pinned port stays on the bridge, but for multicast and discovery, and nobody there says that he has
 * another pod's address, while that one is where it belongs. At other ports, who has a pod's address is pulled out as a stranger, so that
 * he is refused; what else they send is none of ours. Multicast and broadcast, which nothing behind the bridge could judge, are not for
 * pods that a policy selects: they send none (egress), or get none (ingress), but what addresses and groups are arranged by.
 * A tag within a tag hides a packet from here, and not from who receives it: the kernel takes off the second, too, where both say 0.
 * Trusted: the port can't be spoofed; MAC and address can, which is why both are held against the port.
 */
import { parseAddress } from '@tandem/core';
import { BRIDGE_TABLE, DIVERT, PORT_TABLE } from '../names.js';
import { FAMILIES, WORDS, type Family } from './family.js';
import { localSets, type NodePods } from './node.js';
import type { PodPlace } from './pods.js';
import { ChainStore, type SetSpec, type TableSpec } from './program.js';
import { hex } from './rule-chains.js';

const MULTICAST: Readonly<Record<Family, string>> = { 4: 'ip daddr { 224.0.0.0/4, 255.255.255.255 }', 6: 'ip6 daddr ff00::/8' };
/** Neighbour and router discovery. */
const DISCOVERY = 'icmpv6 type { 133-136 }';
/** Where an advertisement says whose neighbour it speaks of (RFC 4861 §4.4). nft 1.0.6 has no word for it. */
const TARGET = '@th,64,128';
/** Membership of groups, and DHCP: both ways. Behind it a pod is found, not told anything. */
const ARRANGEMENTS: Readonly<Record<Family, readonly string[]>> = {
  4: ['ip protocol 2', 'udp dport { 67, 68 }'],
  6: ['icmpv6 type { 130-136, 143 }', 'udp dport { 546, 547 }'],
};
/** The first tag is taken off before any look. */
const TAGGED = 'meta protocol { 0x8100, 0x88a8 }';
/** ... and the tag within has the number 0. */
const TAGGED_AS_NONE = `${TAGGED} @nh,4,12 0`;
const ADVERTISED = `icmpv6 type nd-neighbor-advert ${TARGET}`;

/** Both; none where no pod is bridged. */
export function bridgeTables(pods: NodePods): readonly TableSpec[] {
  const { divert } = pods.input;
  const ports = new Map<number, PodPlace[]>();
  for (const place of pods.places) if (place.port !== null) ports.set(place.port.interface, [...(ports.get(place.port.interface) ?? []), place]);
  for (const index of pods.input.bridgePorts ?? []) if (!ports.has(index)) ports.set(index, []);
  return divert === null || ports.size === 0 ? [] : [portTable(pods, ports, divert.outerMac), crossingTable(pods, ports)];
}

/** Whether a policy selects one of those who are there, for that direction. */
function isQuiet({ input }: NodePods, places: readonly PodPlace[], direction: 'ruleSet' | 'ingressRuleSet'): boolean {
  return !input.auditMode && places.some(({ endpoint }) => (endpoint[direction] ?? null) !== null);
}

/** Of what goes to many. `where`: a match before. */
function arrangementsOnly(where: string): string[] {
  return FAMILIES.flatMap((family) => [
    ...ARRANGEMENTS[family].map((match) => `${where}${MULTICAST[family]} ${match} accept`),
    `${where}${MULTICAST[family]} drop`,
  ]);
}

function portTable(pods: NodePods, ports: ReadonlyMap<number, readonly PodPlace[]>, outerMac: string): TableSpec {
  const { marks, nameOf } = pods.input;
  const store = new ChainStore();
  const own = hex(~marks.mask);
  const pull = (mark: number): string => `meta mark set meta mark & ${own} | ${hex(mark)} ether daddr set ${outerMac} fwd to "${DIVERT.inner}"`;
  const sets = new Map<string, SetSpec>([...localSets(pods), ...pinnedSets(pods)]);
  for (const [index, places] of ports) {
    const device = nameOf(index);
    // A link that is gone has no packets.
    if (device === null) continue;
    const known = (family: Family): string[] => places.filter((one) => one.family === family).map(({ port, address }) => `${port!.mac} . ${address}`);
    const own4 = known(4);
    const own6 = places.filter(({ family }) => family === 6);
    store.hook(`port-${index}`, `ingress device "${device}" priority filter`, [
      places.length > 0 ? `${TAGGED} drop` : `${TAGGED_AS_NONE} drop`,
      // Who says that he has another pod's address would get its packets.
      ...(own4.length === 0 ? [] : [`arp saddr ether . arp saddr ip { ${own4.join(', ')} } accept`]),
      'arp saddr ip @pinned4 drop',
      ...(own6.length === 0 ? [] : [`${ADVERTISED} { ${own6.map(({ address }) => numberOf(address)).join(', ')} } accept`]),
      `${ADVERTISED} @targets6 drop`,
      ...(own6.length === 0 ? [] : [`${DISCOVERY} ether saddr . ip6 saddr { ${known(6).join(', ')} } accept`]),
      `${DISCOVERY} ip6 saddr @pinned6 drop`,
      ...(isQuiet(pods, places, 'ruleSet') ? arrangementsOnly('') : []),
      ...FAMILIES.map((family) => `${MULTICAST[family]} accept`),
      `${DISCOVERY} accept`,
      ...FAMILIES.filter((family) => known(family).length > 0).map(
        (family) => `ether saddr . ${WORDS[family].header} saddr { ${known(family).join(', ')} } ${pull(marks.attested)}`,
      ),
      ...(places.length > 0 ? [`meta protocol { ip, ip6 } ${pull(marks.stranger)}`] : FAMILIES.map((family) => `${WORDS[family].header} saddr @local${family} ${pull(marks.stranger)}`)),
    ]);
  }
  return { ...PORT_TABLE, limits: new Map(), sets, maps: new Map(), chains: store.chains };
}

/** Addresses that have their place. Of one that has none yet, or no more, it is to be learned who says that he has it. */
function pinnedSets({ places }: NodePods): [string, SetSpec][] {
  const addresses = (family: Family): string[] => places.filter((place) => place.family === family).map(({ address }) => address);
  return [
    ...FAMILIES.map((family): [string, SetSpec] => [`pinned${family}`, { type: WORDS[family].type, flag: null, elements: new Set(addresses(family)) }]),
    ['targets6', { type: TARGET, flag: null, elements: new Set(addresses(6).map(numberOf)) }],
  ];
}

/** An IPv6 address as nft writes what it has no type for. */
function numberOf(address: string): string {
  return `0x${Buffer.from(parseAddress(address)!).toString('hex')}`;
}

function crossingTable(pods: NodePods, ports: ReadonlyMap<number, readonly PodPlace[]>): TableSpec {
  const store = new ChainStore();
  const quiet = [...ports].filter(([, places]) => isQuiet(pods, places, 'ingressRuleSet')).map(([index]) => index);
  store.hook('crossing', 'forward priority filter - 1', [
    ...(quiet.length === 0 ? [] : arrangementsOnly(`oif { ${quiet.join(', ')} } `)),
    ...FAMILIES.map((family) => `${MULTICAST[family]} accept`),
    `${DISCOVERY} accept`,
    ...FAMILIES.flatMap((family) => ['saddr', 'daddr'].map((field) => `${WORDS[family].header} ${field} @local${family} drop`)),
  ]);
  return { ...BRIDGE_TABLE, limits: new Map(), sets: new Map(localSets(pods)), maps: new Map(), chains: store.chains };
}
