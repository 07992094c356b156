/**
 * `table inet tandem`: DNS of pods to the proxy, and who may connect where.
 *
 * The way of a pod's packet: `raw` marks DNS for the proxy and keeps it from being tracked (else the DNAT of a connection that nobody
 * sees would rewrite the answers), `mangle` gives it to the proxy's socket or drops it. All else meets the pod's egress chain where it
 * leaves (forward, input), and the destination's ingress chain where it arrives (forward, output).
 *
 * Invariant: what comes from a pod's address, interface or network meets that pod's rules, or is a stranger's, which is refused.
 */
import type { RuleSet } from '@tandem/core';
import { fqdnGroups, fqdnSetName } from '../fqdn-groups.js';
import { TABLE } from '../names.js';
import { allDnsMatches, anyDnsRanges, dnsRanges } from './dns-chains.js';
import { FAMILIES, WORDS } from './family.js';
import { dnsRuleSet, localSets, placeMaps, podCidrSets, strangersFrom, strangersTo, veths, type NodePods } from './node.js';
import { openSet, PeerSets } from './peers.js';
import { ChainStore, type MapSpec, type SetSpec, type TableSpec } from './program.js';
import { cutText, ESTABLISHED, hex, LOG_LIMITS, RuleChains } from './rule-chains.js';

/** Neighbour and router discovery, and who listens to what: without them there are no packets to judge. They don't leave the link. */
const DISCOVERY = 'icmpv6 type { 130-136, 143 } accept';
/** What crosses a bridge comes by here, too, where bridge-nf-call-ip6tables is on. A hop less, and it would have been routed, which discovery never is (RFC 4861 §7.1). */
const BRIDGED_DISCOVERY = 'icmpv6 type { 133-136 } ip6 hoplimit 255 accept';
const ICMP_ERRORS = ['icmp type { destination-unreachable, time-exceeded, parameter-problem } accept', 'icmpv6 type { 1-4 } accept'];
/** Behind translation of destinations, before routing. */
const BEHIND_DNAT = 'prerouting priority dstnat + 10';

interface Parts {
  readonly pods: NodePods;
  readonly store: ChainStore;
  readonly rules: RuleChains;
  readonly maps: Map<string, MapSpec>;
  readonly sets: Map<string, SetSpec>;
}

export function inetTable(pods: NodePods): TableSpec {
  const { snapshot, grantScope, auditMode, logGroup, marks } = pods.input;
  const store = new ChainStore();
  const peers = new PeerSets(snapshot);
  const sets = peers.sets;
  for (const [name, set] of [...localSets(pods), ...podCidrSets(pods)]) sets.set(name, set);
  sets.set('veths', veths(pods));
  for (const group of fqdnGroups(snapshot, grantScope)) {
    for (const family of FAMILIES) sets.set(fqdnSetName(group, family), openSet(family, group.scope));
  }
  const rules = new RuleChains(store, peers, { grantScope, auditMode, logGroup, marks });
  const parts: Parts = { pods, store, rules, maps: new Map(), sets };
  if (pods.isRedirected) addRedirect(parts);
  addEgress(parts);
  addIngress(parts);
  return { ...TABLE, limits: LOG_LIMITS, sets, maps: parts.maps, chains: store.chains };
}

function addRedirect({ pods, store, maps }: Parts): void {
  const { snapshot, marks, redirectTo: { v4, v6 }, isTransparentUpstream } = pods.input;
  const redirect = store.fix('to-proxy', [`meta mark set meta mark | ${hex(marks.redirect)}`, 'notrack', 'accept']);
  const chainOf = memo(snapshot.ruleSets, (set) => store.add('dns', allDnsMatches(dnsRanges(set), pods.services, 'dport').map((match) => `${match} goto ${redirect}`)));
  const answersOf = memo(snapshot.ruleSets, (set) => store.add('answers', allDnsMatches(dnsRanges(set), pods.services, 'sport').map((match) => `${match} notrack accept`)));
  for (const [name, map] of placeMaps('dns', pods, 'from', (place) => {
    const row = dnsRuleSet(pods, place);
    return row === null ? 'accept' : `goto ${chainOf(row)}`;
  })) maps.set(name, map);
  for (const [name, map] of placeMaps('answers', pods, 'to', (place) => {
    const row = dnsRuleSet(pods, place);
    return row === null ? null : `goto ${answersOf(row)}`;
  })) maps.set(name, map);
  const anyDns = store.fix('stranger-dns', allDnsMatches(anyDnsRanges(snapshot), pods.services, 'dport').map((match) => `${match} goto ${redirect}`));
  const isOurs = `meta mark & ${hex(marks.redirect)} == ${hex(marks.redirect)}`;
  store.hook('dns-out-of-line', 'prerouting priority raw', [
    'iif 1 accept',
    `${isOurs} meta mark set meta mark & ${hex(~marks.redirect)}`,
    ...bySource(pods, 'dns', anyDns),
    ...strangersFrom(pods, anyDns),
  ]);
  store.hook('dns-to-proxy', 'prerouting priority mangle', [
    'iif 1 accept',
    `meta mark & ${hex(marks.redirect)} == 0 accept`,
    ...(v4 === null ? [] : [`meta nfproto ipv4 meta l4proto { tcp, udp } tproxy ip to ${v4.address}:${v4.port} accept`]),
    ...(v6 === null ? [] : [`meta nfproto ipv6 meta l4proto { tcp, udp } tproxy ip6 to [${v6.address}]:${v6.port} accept`]),
    // Without a socket tproxy leaves its rule.
    'drop',
  ]);
  store.hook('answers-out-of-line', 'output priority raw', byDestination('answers'));
  if (!isTransparentUpstream) return;
  // Who leaves from here with a pod's address is the proxy. An answer has the server's own address until it is delivered, so no socket
  // can be found for it here: the connection says whose it is.
  store.hook('questions-of-pods', 'output priority mangle', FAMILIES.map((family) => (
    `${WORDS[family].header} saddr @local${family} meta l4proto { tcp, udp } ct state != untracked ct mark set ct mark | ${hex(marks.redirect)}`
  )));
  store.hook('answers-to-proxy', BEHIND_DNAT, [
    `ct direction reply ct mark & ${hex(marks.redirect)} == ${hex(marks.redirect)} meta mark set meta mark | ${hex(marks.redirect)}`,
  ]);
}

function addEgress({ pods, store, rules, maps }: Parts): void {
  const { snapshot, marks, auditMode } = pods.input;
  const cut = auditMode ? [] : [cutText(marks)];
  const chainOf = memo(snapshot.ruleSets, (set) => rules.ofRuleSet(set, 'egress'));
  for (const [name, map] of placeMaps('from', pods, 'from', ({ endpoint: { ruleSet } }) => `goto ${ruleSet === null ? rules.unruled() : chainOf(ruleSet)}`)) maps.set(name, map);
  const stranger = rules.stranger('egress');
  const egress = store.fix('leaving', [...bySource(pods, 'from', stranger), ...strangersFrom(pods, stranger)]);
  const isRedirected = `meta mark & ${hex(marks.redirect)} == ${hex(marks.redirect)}`;
  store.hook('egress-input', 'input priority filter', [
    'iif 1 accept',
    // Of questions. An answer to a pod's own address is tracked, and comes from a pod that may be someone else than it says.
    ...(pods.isRedirected ? [`ct state untracked ${isRedirected} accept`] : []),
    DISCOVERY,
    ...cut,
    `goto ${egress}`,
  ]);
  store.hook('egress-forward', 'forward priority filter - 1', [
    // It was meant for the proxy, and the route there is gone.
    ...(pods.isRedirected ? [`${isRedirected} drop`] : []),
    BRIDGED_DISCOVERY,
    ...cut,
    `goto ${egress}`,
  ]);
}

function addIngress({ pods, store, rules, maps, sets }: Parts): void {
  const { ruleSets } = pods.input.snapshot;
  const chainOf = memo(ruleSets, (set) => rules.ofRuleSet(set, 'ingress'));
  const hostChainOf = memo(ruleSets, (set) => rules.ofHost(set));
  for (const [name, map] of placeMaps('to', pods, 'to', ({ endpoint: { ingressRuleSet } }) => `goto ${ingressRuleSet === undefined ? rules.unruled() : chainOf(ingressRuleSet)}`)) maps.set(name, map);
  for (const [name, map] of placeMaps('host-to', pods, 'to', ({ endpoint: { ingressRuleSet } }) => {
    const chain = ingressRuleSet === undefined ? null : hostChainOf(ingressRuleSet);
    return chain === null ? null : `goto ${chain}`;
  })) maps.set(name, map);
  for (const family of FAMILIES) sets.set(`itself${family}`, itselfSet(pods, family));
  const known = byDestination('to');
  store.hook('ingress-forward', 'forward priority filter', [
    ESTABLISHED,
    BRIDGED_DISCOVERY,
    ...FAMILIES.map((family) => `${itselfMatch(family)} accept`),
    ...known,
    ...strangersTo(pods, rules.stranger('ingress')),
  ]);
  store.hook('ingress-output', 'output priority filter', [
    ESTABLISHED,
    'oif 1 accept',
    DISCOVERY,
    ...ICMP_ERRORS,
    ...(pods.isRedirected ? byDestination('answers').map((rule) => `ct state untracked ${rule}`) : []),
    // Asked from a pod's own address: it is the pod's connection.
    ...FAMILIES.map((family) => `${WORDS[family].header} saddr @local${family} ${known[family === 4 ? 0 : 1]}`),
    ...byDestination('host-to'),
  ]);
}

/** What a pod sends to its own address, by way of a Service, does not leave it. */
function itselfSet({ places }: NodePods, family: 4 | 6): SetSpec {
  const { type } = WORDS[family];
  const own = places.filter((one) => one.family === family);
  const byEndpoint = new Map<number, typeof own>();
  for (const place of own) byEndpoint.set(place.endpoint.id, [...(byEndpoint.get(place.endpoint.id) ?? []), place]);
  const pairs = own.flatMap((a) => byEndpoint.get(a.endpoint.id)!.map((b) => `${a.from} . ${a.address} . ${b.to} . ${b.address}`));
  return { type: `iface_index . ${type} . iface_index . ${type}`, flag: null, elements: new Set(pairs) };
}

function itselfMatch(family: 4 | 6): string {
  const { header } = WORDS[family];
  return `iif . ${header} saddr . oif . ${header} daddr @itself${family}`;
}

/** Known pods by where they send from. A mark says that the port of a bridge did not know its address. */
function bySource({ input: { divert, marks } }: NodePods, map: string, stranger: string): string[] {
  return [
    ...(divert === null ? [] : [`iif ${divert.outer} meta mark & ${hex(marks.stranger)} == ${hex(marks.stranger)} goto ${stranger}`]),
    ...FAMILIES.map((family) => `iif . ${WORDS[family].header} saddr vmap @${map}${family}`),
  ];
}

function byDestination(map: string): string[] {
  return FAMILIES.map((family) => `oif . ${WORDS[family].header} daddr vmap @${map}${family}`);
}

/** Once for each rule set that is in use. */
function memo<T>(ruleSets: readonly RuleSet[], make: (set: RuleSet) => T): (row: number) => T {
  const known = new Map<number, T>();
  return (row) => {
    const found = known.get(row);
    if (found !== undefined) return found;
    const made = make(ruleSets[row]);
    known.set(row, made);
    return made;
  };
}
