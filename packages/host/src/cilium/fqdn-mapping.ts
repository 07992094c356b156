/**
 * A mapping as Cilium's agent reads it. It parses some of the fields without looking whether they can be parsed, so each of them always
 * can: what is not known here is said as unspecified, never left out.
 */
import { RESERVED_IDENTITY } from '@tandem/core';
import { RCODE, TYPE } from '@tandem/dns';
import type { fqdnPb } from '@tandem/proto';
import type { Untold } from './untold-mappings.js';
import { textBytes } from './wire-addresses.js';

/** The mapping does not say which server taught it. */
const UNSPECIFIED_SERVER = '0.0.0.0:53';
const MS_PER_SECOND = 1000;

/** The time to live is what is left of it: the agent takes the moment when it is told for that of the look-up. */
export function fqdnMapping({ endpoint, name, addresses, expiryMs }: Untold, nowMs: number): fqdnPb.FQDNMapping {
  const types = [...new Set(addresses.map((address) => (address.includes(':') ? TYPE.AAAA : TYPE.A)))];
  return {
    fqdn: name,
    recordIp: addresses.map(textBytes),
    ttl: Math.max(0, Math.ceil((expiryMs - nowMs) / MS_PER_SECOND)),
    sourceIdentity: endpoint.identity,
    sourceIp: textBytes(endpoint.addresses[0]),
    responseCode: RCODE.noError,
    metricsData: {
      processingStats: {
        totalTimeNs: 0n, processingTimeNs: 0n, upstreamTimeNs: 0n, semaphoreAcquireTimeNs: 0n, policyCheckTimeNs: 0n, policyGenerationTimeNs: 0n, dataplaneTimeNs: 0n,
        qnameLockTimeNs: 0n, updateEpCacheTimeNs: 0n, updateNameManagerCacheTimeNs: 0n,
      },
      dnsResponseData: { isResponse: true, cnames: [], qtypes: types, answerTypes: types },
      sourcePort: 0,
      serverAddr: UNSPECIFIED_SERVER,
      serverIdentity: RESERVED_IDENTITY.world,
      protocol: 'udp',
      allowed: true,
      errorMessage: '',
      errorKind: 0,
    },
  };
}
