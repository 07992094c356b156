/** What the tables share: the snapshot's pods by where they are, and as elements of maps. */
import type { ProgramInput } from './input.js';
import { DnsServices, dnsRanges } from './dns-chains.js';
import { FAMILIES, familyOf, WORDS, type Family } from './family.js';
import { intervalText, unionOf } from './intervals.js';
import { podPlaces, type PodPlace } from './pods.js';
import type { MapSpec, SetSpec } from './program.js';

export interface NodePods {
  readonly input: ProgramInput;
  readonly places: readonly PodPlace[];
  readonly services: DnsServices;
  readonly isRedirected: boolean;
}

export function nodePods(input: ProgramInput): NodePods {
  const { v4, v6 } = input.redirectTo;
  return {
    input,
    places: podPlaces(input.snapshot, input.divert?.outer ?? null),
    services: new DnsServices(input.snapshot),
    isRedirected: v4 !== null || v6 !== null,
  };
}

/** Of each pod whose DNS goes to the proxy: the row of its egress rules. */
export function dnsRuleSet({ input: { snapshot } }: NodePods, { endpoint }: PodPlace): number | null {
  const { ruleSet } = endpoint;
  return ruleSet === null || dnsRanges(snapshot.ruleSets[ruleSet]).length === 0 ? null : ruleSet;
}

/** One map for each family: interface and address to a verdict; null: no element. */
export function placeMaps(name: string, { places }: NodePods, side: 'from' | 'to', verdictOf: (place: PodPlace) => string | null): [string, MapSpec][] {
  return FAMILIES.map((family) => {
    const elements = new Map<string, string>();
    for (const place of places) {
      const verdict = place.family === family ? verdictOf(place) : null;
      if (verdict !== null) elements.set(`${place[side]} . ${place.address}`, verdict);
    }
    return [`${name}${family}`, { type: `iface_index . ${WORDS[family].type}`, elements }];
  });
}

/** Addresses of all local pods, wherever they are. */
export function localSets({ input: { snapshot } }: NodePods): [string, SetSpec][] {
  const addresses = snapshot.endpoints.flatMap((one) => one.addresses);
  return FAMILIES.map((family) => [
    `local${family}`,
    { type: WORDS[family].type, flag: null, elements: new Set(addresses.filter((one) => familyOf(one) === family)) },
  ]);
}

/** Interfaces that are one pod's alone: nobody else sends from there. */
export function veths({ input: { divert }, places }: NodePods): SetSpec {
  const indexes = places.filter(({ port }) => port === null).map(({ from }) => String(from));
  return { type: 'iface_index', flag: null, elements: new Set(divert === null ? indexes : [...indexes, String(divert.outer)]) };
}

/** Networks of this node's pods, one set for each family that has any. */
export function podCidrSets({ input: { podCidrs } }: NodePods): [string, SetSpec][] {
  return [...unionOf(podCidrs)]
    .filter(([, intervals]) => intervals.length > 0)
    .map(([family, intervals]) => [podCidrSet(family), { type: WORDS[family].type, flag: 'interval', elements: new Set(intervals.map(intervalText)) }]);
}

/**
 * Rules that end at `chain` for packets that come from a pod's address, interface or network, and are no known pod's. Behind the
 * look-up of known ones.
 */
export function strangersFrom(pods: NodePods, chain: string): string[] {
  return [`iif @veths goto ${chain}`, ...FAMILIES.map((family) => `${WORDS[family].header} saddr @local${family} goto ${chain}`), ...inPodCidrs(pods, 'saddr', chain)];
}

/** The same of packets to such an address. */
export function strangersTo(pods: NodePods, chain: string): string[] {
  return [...FAMILIES.map((family) => `${WORDS[family].header} daddr @local${family} goto ${chain}`), ...inPodCidrs(pods, 'daddr', chain)];
}

/** The node has addresses in its pods' network, too. */
function inPodCidrs(pods: NodePods, field: 'saddr' | 'daddr', chain: string): string[] {
  return podCidrSets(pods).map(([name]) => {
    const { header } = WORDS[name === podCidrSet(4) ? 4 : 6];
    return `${header} ${field} @${name} fib ${field} type != local goto ${chain}`;
  });
}

function podCidrSet(family: Family): string {
  return `pod-cidrs${family}`;
}
