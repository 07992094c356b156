/** The FQDN sets of a small policy, in the kernel of the test's own namespace, and what is in them. */
import { execFileSync } from 'node:child_process';
import {
  type EndpointRecord, FqdnCache, type Mapping, monoMs, nameMatcher, parseSettings, type PolicyRule, type Settings, type Snapshot,
} from '@tandem/core';
import { bootTimeMs } from 'node-reuseport';
import { fqdnGroups, fqdnSetName, type GrantScope } from '../fqdn-groups.js';

const ORIGIN = { kind: 'CiliumNetworkPolicy', namespace: 'n', name: 'p', path: 'spec' } as const;

/** What `parseSettings` makes of flags, name and text by turns. */
export function settingsOf(...flags: readonly string[]): Settings {
  const raws = Array.from({ length: flags.length / 2 }, (_, i) => ({ name: flags[2 * i], texts: [flags[2 * i + 1]], where: 'test', from: 'argv' as const }));
  return parseSettings(raws, {
    role: 'agent', hostname: 'node', runDir: '/nowhere', stateDir: '/nowhere', resolver: '192.0.2.53:53', localAddresses: ['127.0.0.1'],
  }).settings;
}

export function cacheOf(settings: Settings): FqdnCache {
  return new FqdnCache({ maxAddressesPerName: settings.maxIpsPerHostname, maxZombies: settings.maxDeferredDeletes, idleGraceMs: 0, matcher: nameMatcher });
}

/** One rule with toFQDNs for each pattern. Pods by UID and address. */
export function snapshotOf(patterns: readonly string[], pods: Readonly<Record<string, string>> = { u1: '10.0.0.1' }): Snapshot {
  const rules = patterns.map((matchPattern): PolicyRule => ({ identities: [], fqdns: [{ matchName: null, matchPattern }], ports: [], dnsPatterns: null, origin: ORIGIN }));
  const endpoints = Object.entries(pods).map(([uid, address], i): EndpointRecord => (
    { id: i + 1, uid, namespace: 'n', pod: uid, identity: 256, addresses: [address], ruleSet: 0 }
  ));
  return { revision: 1, hash: '0', nodeName: 'node', identities: [], services: [], fqdnSelectors: [], policies: [], endpoints, ruleSets: [{ key: '0', rules }] };
}

export function mappingOf(name: string, address: string, more: { readonly ttlSeconds?: number; readonly lookupMs?: number; readonly endpointUid?: string } = {}): Mapping {
  const { ttlSeconds = 3600, lookupMs = bootTimeMs(), endpointUid = 'u1' } = more;
  return { endpointUid, name, address, lookupMs: monoMs(lookupMs), ttlSeconds, expiryMs: monoMs(lookupMs + ttlSeconds * 1000) };
}

/** Names of the IPv4 sets, in the order of the patterns. */
export function setsOf(snapshot: Snapshot, scope: GrantScope = 'node'): string[] {
  return fqdnGroups(snapshot, scope).map((group) => fqdnSetName(group, 4));
}

/** The table, anew, with these sets in it and nothing in them. */
export function makeTable(...sets: readonly string[]): void {
  const lines = sets.map((set) => `set ${set} { type ${set.startsWith('pod-') ? 'ipv4_addr . ipv4_addr' : 'ipv4_addr'}; flags timeout; }`);
  nft(['add table inet tandem', 'delete table inet tandem', 'table inet tandem {', ...lines, '}'].join('\n'));
}

export function addSet(set: string): void {
  nft(`add set inet tandem ${set} { type ipv4_addr; flags timeout; }`);
}

export function nft(text: string): void {
  execFileSync('nft', ['-f', '-'], { input: text });
}

/** Address (of a pod's set: both, with a space) → seconds until the kernel closes it. */
export function inKernel(set: string): Map<string, number> {
  const listed = JSON.parse(execFileSync('nft', ['-j', 'list', 'set', 'inet', 'tandem', set], { encoding: 'utf8' })) as { readonly nftables: readonly { readonly set?: { readonly elem?: readonly Listed[] } }[] };
  const elements = listed.nftables.flatMap((one) => one.set?.elem ?? []);
  return new Map(elements.map(({ elem: { val, expires } }) => [typeof val === 'string' ? val : val.concat.join(' '), expires]));
}

interface Listed {
  readonly elem: { readonly val: string | { readonly concat: readonly string[] }; readonly expires: number };
}
