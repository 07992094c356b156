/** What the query path is told, of a member's settings. */
import { AppError, formatSocketAddress, parseAddress, type PathSettings, type Settings } from '@tandem/core';
import { RCODE } from '@tandem/dns';

/** Of the slots: half is spare for taking over a peer's queries, and a tenth of the rest is for refusals. */
export const SPARE_SHARE = 0.5;
const REFUSAL_SHARE = 0.1;

/** The second of our four bits of the packet mark says that a bridged pod's place was checked. */
const ATTESTED_BIT = 2;

export function pathSettings(settings: Settings): PathSettings {
  return {
    upstreams: settings.upstreams.map((upstream) => {
      const address = parseAddress(upstream.address);
      if (address === null) throw new AppError('CONFIGURATION', `no address: ${formatSocketAddress(upstream)}`);
      return { address, port: upstream.port };
    }),
    policyPort: settings.policyPort,
    // What Cilium redirects has no mark of ours: the address is attested by its datapath.
    ...(settings.mode === 'transparent' && settings.ciliumAgent === null ? { attestedMark: settings.packetMark * ATTESTED_BIT } : {}),
    clientPorts: settings.clientAddressUpstream,
    unknownEndpoint: settings.unknownEndpoint,
    auditMode: settings.auditMode,
    rejectRcode: settings.rejectResponseCode === 'refused' ? RCODE.refused : RCODE.nxDomain,
    searchDomains: settings.refusedSearchExpansions === 'refuse'
      ? null
      : { cluster: settings.clusterDomain, others: settings.searchDomains },
    dnsCompression: settings.dnsCompression,
    concurrencyLimit: settings.concurrencyLimit,
    concurrencyGraceMs: settings.concurrencyGraceMs,
    responseMaxDelayMs: settings.responseMaxDelayMs,
    slotsForQueries: Math.max(1, Math.floor(settings.slots * SPARE_SHARE * (1 - REFUSAL_SHARE))),
    minTtlSeconds: settings.minTtlSeconds,
  };
}
