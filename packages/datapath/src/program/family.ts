/** What differs between the two families of addresses, in nft's words. */

export type Family = 4 | 6;
export const FAMILIES: readonly Family[] = [4, 6];

export interface FamilyWords {
  readonly header: 'ip' | 'ip6';
  readonly type: 'ipv4_addr' | 'ipv6_addr';
  readonly nfproto: 'ipv4' | 'ipv6';
}

export const WORDS: Readonly<Record<Family, FamilyWords>> = {
  4: { header: 'ip', type: 'ipv4_addr', nfproto: 'ipv4' },
  6: { header: 'ip6', type: 'ipv6_addr', nfproto: 'ipv6' },
};

/** Of a canonical address or prefix. */
export function familyOf(text: string): Family {
  return text.includes(':') ? 6 : 4;
}
