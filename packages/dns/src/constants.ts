/**
 * Numbers of the DNS wire format, each with its source.
 *
 * Invariant: values here are the protocol's, never tuning of ours (but for the bounds at the end, which say why).
 * Does not know: bytes.
 */

/** Response codes. Above 15 they need EDNS: upper 8 bits travel in OPT (RFC 6891 §6.1.3). */
export const RCODE = {
  noError: 0,
  formErr: 1,
  servFail: 2,
  nxDomain: 3,
  notImp: 4,
  refused: 5,
  yxDomain: 6,
  yxRrSet: 7,
  nxRrSet: 8,
  notAuth: 9,
  notZone: 10,
  badVers: 16,
  badCookie: 23,
} as const;

/** Record types (RFC 1035 §3.2.2 and the RFCs that added one). */
export const TYPE = {
  A: 1,
  NS: 2,
  MD: 3,
  MF: 4,
  CNAME: 5,
  SOA: 6,
  MB: 7,
  MG: 8,
  MR: 9,
  NULL: 10,
  WKS: 11,
  PTR: 12,
  HINFO: 13,
  MINFO: 14,
  MX: 15,
  TXT: 16,
  RP: 17,
  AFSDB: 18,
  X25: 19,
  ISDN: 20,
  RT: 21,
  SIG: 24,
  KEY: 25,
  PX: 26,
  AAAA: 28,
  LOC: 29,
  NXT: 30,
  SRV: 33,
  NAPTR: 35,
  KX: 36,
  CERT: 37,
  DNAME: 39,
  OPT: 41,
  APL: 42,
  DS: 43,
  SSHFP: 44,
  IPSECKEY: 45,
  RRSIG: 46,
  NSEC: 47,
  DNSKEY: 48,
  DHCID: 49,
  NSEC3: 50,
  NSEC3PARAM: 51,
  TLSA: 52,
  SMIMEA: 53,
  HIP: 55,
  CDS: 59,
  CDNSKEY: 60,
  OPENPGPKEY: 61,
  CSYNC: 62,
  ZONEMD: 63,
  SVCB: 64,
  HTTPS: 65,
  SPF: 99,
  EUI48: 108,
  EUI64: 109,
  TKEY: 249,
  TSIG: 250,
  IXFR: 251,
  AXFR: 252,
  MAILB: 253,
  MAILA: 254,
  ANY: 255,
  URI: 256,
  CAA: 257,
  TA: 32768,
  DLV: 32769,
} as const;

/** Classes (RFC 1035 §3.2.4, RFC 2136 §1.3 for none). */
export const CLASS = { IN: 1, CH: 3, HS: 4, NONE: 254, ANY: 255 } as const;

/** Kinds of query (RFC 1035 §4.1.1, RFC 1996, RFC 2136, RFC 8490). */
export const OPCODE = { query: 0, iquery: 1, status: 2, notify: 4, update: 5, dso: 6 } as const;

/** Masks over the 16-bit flag word at offset 2 of a message (RFC 1035 §4.1.1, RFC 4035 §3.1.6 for AD and CD). */
export const FLAG = {
  response: 0x8000,
  opcode: 0x7800,
  authoritative: 0x0400,
  truncated: 0x0200,
  recursionDesired: 0x0100,
  recursionAvailable: 0x0080,
  authenticData: 0x0020,
  checkingDisabled: 0x0010,
  rcode: 0x000f,
} as const;

/** How far the opcode lies above bit 0 of the flag word. */
export const OPCODE_SHIFT = 11;

/** Info codes of Extended DNS Errors (RFC 8914 §4). */
export const EDE = {
  other: 0,
  unsupportedDnskeyAlgorithm: 1,
  unsupportedDsDigest: 2,
  staleAnswer: 3,
  forgedAnswer: 4,
  dnssecIndeterminate: 5,
  dnssecBogus: 6,
  signatureExpired: 7,
  signatureNotYetValid: 8,
  dnskeyMissing: 9,
  rrsigsMissing: 10,
  noZoneKeyBitSet: 11,
  nsecMissing: 12,
  cachedError: 13,
  notReady: 14,
  blocked: 15,
  censored: 16,
  filtered: 17,
  prohibited: 18,
  staleNxDomainAnswer: 19,
  notAuthoritative: 20,
  notSupported: 21,
  noReachableAuthority: 22,
  networkError: 23,
  invalidData: 24,
} as const;

/** In place of an info code: the reply carries no Extended DNS Error. */
export const NO_EDE = -1;

/** EDNS option codes that Tandem reads or writes (RFC 7871, RFC 7873, RFC 7828, RFC 7830, RFC 8914). */
export const EDNS_OPTION = { clientSubnet: 8, cookie: 10, tcpKeepalive: 11, padding: 12, extendedError: 15 } as const;

/** Parameter keys of SVCB and HTTPS records that carry addresses (RFC 9460 §14.3.2). */
export const SVC_PARAM = { mandatory: 0, alpn: 1, noDefaultAlpn: 2, port: 3, ipv4Hint: 4, ech: 5, ipv6Hint: 6 } as const;

/** Bytes of a message's header (RFC 1035 §4.1.1). */
export const HEADER_BYTES = 12;
/** Bytes of a question after its name: type and class (RFC 1035 §4.1.2). */
export const QUESTION_TAIL_BYTES = 4;
/** Bytes of a record between owner name and data: type, class, TTL, length (RFC 1035 §4.1.3). */
export const RECORD_FIXED_BYTES = 10;
/** Bytes of an OPT record without options: root owner and the fixed part (RFC 6891 §6.1.2). */
export const OPT_FIXED_BYTES = 11;
/** Bytes of an EDNS option before its data: code and length (RFC 6891 §6.1.2). */
export const OPTION_HEADER_BYTES = 4;

/** Longest name on the wire, in bytes, with length bytes and root (RFC 1035 §2.3.4). */
export const MAX_NAME_BYTES = 255;
/** Longest label in bytes (RFC 1035 §2.3.4). */
export const MAX_LABEL_BYTES = 63;
/** Most labels in a name, root not counted: what 255 bytes can hold. */
export const MAX_LABELS = 127;
/** Longest message in bytes: TCP's length prefix and UDP's length field are 16 bits (RFC 1035 §4.2.2). */
export const MAX_MESSAGE_BYTES = 65535;
/** Largest UDP answer for a client without EDNS, in bytes (RFC 1035 §2.3.4), and the least that EDNS can ask (RFC 6891 §6.2.3). */
export const MIN_UDP_BYTES = 512;
/** UDP size that our own replies announce, in bytes: no fragment on any usual path (RFC 9715 §3.2 gives the reasoning). */
export const OUR_UDP_BYTES = 1232;
/** First message offset that a 14-bit compression pointer cannot reach (RFC 1035 §4.1.4). */
export const POINTER_LIMIT = 0x4000;

/** Most pointers followed in one name. A sender needs at most one per label, so no honest name has more. */
export const MAX_POINTER_HOPS = 127;
/** Most records in a query. Honest ones carry OPT, TSIG or SIG(0), and a SOA for IXFR. */
export const MAX_QUERY_RECORDS = 32;
/** Most records of an answer section that a view holds; a 64 KiB message of A records has about this many. */
export const MAX_ANSWER_RECORDS = 4096;

const TYPE_NAMES = new Map<number, string>();
for (const [name, number] of Object.entries(TYPE)) TYPE_NAMES.set(number, name);
const TYPE_NUMBERS = new Map<string, number>(Object.entries(TYPE));

/** The type's mnemonic ('A', 'HTTPS'), or 'TYPE65534' for one without (RFC 3597 §5). */
export function typeName(type: number): string {
  return TYPE_NAMES.get(type) ?? `TYPE${String(type)}`;
}

/** The type's number from its mnemonic in any letter case or from 'TYPE65534'; −1 if neither. */
export function typeNumber(name: string): number {
  const upper = name.toUpperCase();
  const known = TYPE_NUMBERS.get(upper);
  if (known !== undefined) return known;
  if (!/^TYPE[0-9]{1,5}$/.test(upper)) return -1;
  const number = Number(upper.slice('TYPE'.length));
  return number <= 0xffff ? number : -1;
}
