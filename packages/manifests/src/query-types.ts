/** Names of DNS types that a question may ask for (IANA's registry of DNS parameters), and `TYPE123` for all others (RFC 3597 §5). */
const TYPES: Readonly<Record<string, number>> = {
  A: 1, NS: 2, CNAME: 5, SOA: 6, PTR: 12, HINFO: 13, MX: 15, TXT: 16, RP: 17, AFSDB: 18, KEY: 25, AAAA: 28, LOC: 29, SRV: 33, NAPTR: 35, KX: 36, CERT: 37,
  DNAME: 39, APL: 42, DS: 43, SSHFP: 44, IPSECKEY: 45, RRSIG: 46, NSEC: 47, DNSKEY: 48, DHCID: 49, NSEC3: 50, NSEC3PARAM: 51, TLSA: 52, SMIMEA: 53, HIP: 55,
  CDS: 59, CDNSKEY: 60, OPENPGPKEY: 61, CSYNC: 62, ZONEMD: 63, SVCB: 64, HTTPS: 65, SPF: 99, EUI48: 108, EUI64: 109, IXFR: 251, AXFR: 252, ANY: 255, URI: 256,
  CAA: 257,
};
const TYPE_MAX = 65535;

/** null when it is none. Case does not count. */
export function queryType(text: string): number | null {
  const name = text.toUpperCase();
  if (Object.hasOwn(TYPES, name)) return TYPES[name];
  const number = /^TYPE([1-9][0-9]{0,4})$/.exec(name)?.[1];
  return number !== undefined && Number(number) <= TYPE_MAX ? Number(number) : null;
}
