/**
 * The settings by which the two members could answer one query differently. Each member has its own; nothing makes
 * them equal, so the pair link compares them and the operator is told.
 */
import { formatSocketAddress, type Settings, type SocketAddress } from '@tandem/core';

export interface SettingMismatch {
  /** As in a flag, without dashes. */
  readonly name: string;
  readonly own: string;
  readonly peers: string;
}

/** Name to text, the same text for the same meaning. */
export function verdictSettings(settings: Settings): Readonly<Record<string, string>> {
  return {
    'listen': addressesText(settings.listen),
    'upstream': addressesText(settings.upstreams),
    'policy-port': String(settings.policyPort),
    'unknown-endpoint': settings.unknownEndpoint,
    'policy-audit-mode': String(settings.auditMode),
    'tofqdns-dns-reject-response-code': settings.rejectResponseCode,
    'refused-search-expansions': settings.refusedSearchExpansions,
    ...(settings.refusedSearchExpansions === 'refuse' ? {} : searchDomainsOf(settings)),
    'tofqdns-min-ttl': String(settings.minTtlSeconds),
  };
}

/** What differs. A name that one of the two does not have (another version) says nothing. */
export function settingMismatches(own: Readonly<Record<string, string>>, peers: Readonly<Record<string, string>>): SettingMismatch[] {
  return Object.entries(own)
    .filter(([name, text]) => Object.hasOwn(peers, name) && peers[name] !== text)
    .map(([name, text]) => ({ name, own: text, peers: peers[name] }));
}

/** They count for nothing where a refused expansion is refused like any name. */
function searchDomainsOf(settings: Settings): Readonly<Record<string, string>> {
  return { 'cluster-domain': settings.clusterDomain, 'search-domain': [...settings.searchDomains].sort().join(',') };
}

function addressesText(addresses: readonly SocketAddress[]): string {
  return addresses.map(formatSocketAddress).sort().join(',');
}
