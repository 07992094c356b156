/** The words for a DNS flow's types, response code and summary line, as Hubble's DNS parser writes them. */
import { typeName } from '@tandem/dns';
import type { DNS } from '@tandem/proto';

/** Of the IANA registry of DNS response codes, in the words that Hubble shows. */
const RCODES: readonly string[] = [
  'No Error', 'Format Error', 'Server Failure', 'Non-Existent Domain', 'Not Implemented', 'Query Refused', 'Name Exists when it should not',
  'RR Set Exists when it should not', 'RR Set that should exist does not', 'Server Not Authoritative for zone', 'Name not contained in zone',
];

export function typeText(type: number): string {
  return typeName(type);
}

export function rcodeText(rcode: number): string {
  return RCODES[rcode] ?? `RCODE${rcode}`;
}

export function summaryOf(dns: DNS, isAnswer: boolean): string {
  const asked = `${dns.query} ${dns.qtypes.join(',')}`;
  if (!isAnswer) return `DNS Query ${asked}`;
  return `DNS Answer ${answerText(dns)} TTL: ${dns.ttl} (${dns.observationSource === 'proxy' ? 'Proxy' : 'Query'} ${asked})`;
}

function answerText({ rcode, ips, cnames }: DNS): string {
  if (rcode !== 0) return `RCode: ${rcodeText(rcode)}`;
  const parts: string[] = [];
  if (ips.length > 0) parts.push(`"${ips.join(',')}"`);
  if (cnames.length > 0) parts.push(`CNAMEs: "${cnames.join(',')}"`);
  return parts.join(' ');
}
