/**
 * Does an answer give a private address? For DNS rebinding: a public name that leads into the network of who asks.
 *
 * Every A and AAAA record of the answer section counts, and every address hint of its SVCB and HTTPS records, on the alias
 * chain or off it: some clients do not follow the chain. A binding that cannot be read whole counts as private. The other sections do
 * not count: clients connect to what answers their question.
 *
 * | Private | Source |
 * |---|---|
 * | 10/8, 172.16/12, 192.168/16 | RFC 1918 |
 * | 100.64/10 | RFC 6598 |
 * | 127/8, 0/8 | RFC 1122 §3.2.1.3 |
 * | 169.254/16 | RFC 3927 |
 * | ::, ::1, and the above as ::ffff:0:0/96 | RFC 4291 §2.5 |
 * | the above as 64:ff9b::/96, which a NAT64 leads to them | RFC 6052 §2.1, §3.1 |
 * | fc00::/7 | RFC 4193 |
 * | fe80::/10, fec0::/10 | RFC 4291 §2.5.6, §2.5.7 |
 *
 * Allocates nothing. Does not know: which names may have private addresses.
 */
import { SCAN, scanServiceBinding, ServiceBindingHints, TYPE, type AnswerView } from '@tandem/dns';

const V4_BYTES = 4;
const V6_BYTES = 16;
/** Zeros in front of the two 0xff of an IPv4-mapped address. */
const V4_MAPPED_ZEROS = 10;
const LOOPBACK_V6_LAST = 1;
/** 64:ff9b::/96 */
const NAT64_PREFIX = new Uint8Array([0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0]);

const hints = new ServiceBindingHints();

/** `start`: where the message that `view` describes begins in `bytes`. */
export function givesPrivateAddress(bytes: Uint8Array, start: number, view: AnswerView): boolean {
  for (let i = 0; i < view.recordCount; i++) {
    const at = start + view.dataOffset[i];
    switch (view.recordType[i]) {
      case TYPE.A:
        if (view.dataLength[i] === V4_BYTES && isPrivateV4(bytes, at)) return true;
        break;
      case TYPE.AAAA:
        if (view.dataLength[i] === V6_BYTES && isPrivateV6(bytes, at)) return true;
        break;
      case TYPE.SVCB:
      case TYPE.HTTPS:
        if (hasPrivateHint(bytes, start, view, i)) return true;
    }
  }
  return false;
}

function hasPrivateHint(bytes: Uint8Array, start: number, view: AnswerView, record: number): boolean {
  const code = scanServiceBinding(bytes, start, view.dataOffset[record], view.dataLength[record], hints);
  if (code !== SCAN.ok || hints.droppedCount > 0) return true;
  for (let i = 0; i < hints.ipv4Count; i++) if (isPrivateV4(bytes, start + hints.ipv4Offsets[i])) return true;
  for (let i = 0; i < hints.ipv6Count; i++) if (isPrivateV6(bytes, start + hints.ipv6Offsets[i])) return true;
  return false;
}

/** Of the four bytes at `at`. */
export function isPrivateV4(bytes: Uint8Array, at: number): boolean {
  const second = bytes[at + 1];
  switch (bytes[at]) {
    case 0:
    case 10:
    case 127:
      return true;
    case 100:
      return (second & 0xc0) === 64;
    case 169:
      return second === 254;
    case 172:
      return (second & 0xf0) === 16;
    case 192:
      return second === 168;
    default:
      return false;
  }
}

/** Of the sixteen bytes at `at`. */
export function isPrivateV6(bytes: Uint8Array, at: number): boolean {
  const first = bytes[at];
  if (first !== 0) return (first & 0xfe) === 0xfc || (first === 0xfe && (bytes[at + 1] & 0x80) !== 0);
  const v4 = at + V6_BYTES - V4_BYTES;
  if (bytes[at + 1] === 0x64) return hasPrefix(NAT64_PREFIX, bytes, at) && isPrivateV4(bytes, v4);
  for (let i = 1; i < V4_MAPPED_ZEROS; i++) if (bytes[at + i] !== 0) return false;
  if (bytes[v4 - 2] === 0xff && bytes[v4 - 1] === 0xff) return isPrivateV4(bytes, v4);
  for (let i = at + V4_MAPPED_ZEROS; i < at + V6_BYTES - 1; i++) if (bytes[i] !== 0) return false;
  return bytes[at + V6_BYTES - 1] <= LOOPBACK_V6_LAST;
}

function hasPrefix(prefix: Uint8Array, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < prefix.length; i++) if (bytes[at + i] !== prefix[i]) return false;
  return true;
}
