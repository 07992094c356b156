/**
 * Small answers of our own, written straight into the buffer they are sent from.
 *
 * Invariant: counts are true, at most `outCapacity` bytes are written from `outStart`, nothing is allocated. `out` may be
 * the array that is read, at the same offset (an answer in place of its query) or anywhere that does not overlap.
 * Does not know: why a query is refused.
 *
 * | Rule | Source |
 * |---|---|
 * | ID, opcode, RD copied; QR set; question repeated byte for byte | RFC 1035 §4.1.1, RFC 5452 §9.1 (letter case) |
 * | CD copied, AD clear | RFC 4035 §3.2.2–3 |
 * | OPT if and only if the query had one; DO copied | RFC 6891 §6.1.1, RFC 3225 §3 |
 * | response codes above 15 split over header and OPT | RFC 6891 §6.1.3 |
 * | Extended DNS Error option: info code, then text | RFC 8914 §2 |
 */
import type { AnswerView } from './answer-view.js';
import {
  EDNS_OPTION,
  FLAG,
  HEADER_BYTES,
  OPTION_HEADER_BYTES,
  OPT_FIXED_BYTES,
  OUR_UDP_BYTES,
  RCODE,
  TYPE,
} from './constants.js';
import type { QueryView } from './query-view.js';

const INFO_CODE_BYTES = 2;
const RCODE_LOW_BITS = 4;
/** The DO bit in the high byte of OPT's flags. */
const DNSSEC_OK_HIGH = 0x80;

/**
 * Writes a reply without records to the query that `view` describes. The question is repeated if it could be read, else
 * the reply is a bare header. Call it only if the scan's code lets the client be told (not `tooShort`, `badRange`,
 * `wrongDirection`).
 *
 * @param start absolute offset of the query
 * @param rcode of `RCODE`, up to 4095; above 15 it needs EDNS, and is SERVFAIL without
 * @param ede info code of `EDE`, or `NO_EDE`; left out if the query had no EDNS
 * @param outCapacity bytes that may be written; to the array's end if absent
 * @param edeText extra text of the EDE option, ASCII; null for none
 * @returns bytes written; 0 if the reply does not fit
 */
export function buildReply(
  query: Uint8Array,
  start: number,
  view: QueryView,
  rcode: number,
  ede: number,
  out: Uint8Array,
  outStart: number,
  outCapacity: number = out.length - outStart,
  edeText: Uint8Array | null = null,
): number {
  const questionBytes = view.questionEnd === 0 ? 0 : view.questionEnd - view.nameStart;
  const textBytes = edeText === null ? 0 : edeText.length;
  const optionBytes = view.hasEdns && ede >= 0 ? OPTION_HEADER_BYTES + INFO_CODE_BYTES + textBytes : 0;
  const length = HEADER_BYTES + questionBytes + (view.hasEdns ? OPT_FIXED_BYTES + optionBytes : 0);
  if (length > outCapacity || outStart < 0 || outStart + length > out.length) return 0;

  const wanted = view.hasEdns || rcode < 1 << RCODE_LOW_BITS ? rcode : RCODE.servFail;
  const kept = view.flags & (FLAG.opcode | FLAG.recursionDesired | FLAG.checkingDisabled);
  const flags = kept | FLAG.response | FLAG.recursionAvailable | (wanted & FLAG.rcode);
  copyBytes(query, start, start + 2, out, outStart);
  writeU16(out, outStart + 2, flags);
  writeU16(out, outStart + 4, questionBytes === 0 ? 0 : 1);
  writeU16(out, outStart + 6, 0);
  writeU16(out, outStart + 8, 0);
  writeU16(out, outStart + 10, view.hasEdns ? 1 : 0);
  if (questionBytes !== 0) copyBytes(query, view.nameStart, view.questionEnd, out, outStart + HEADER_BYTES);
  if (!view.hasEdns) return length;

  let at = outStart + HEADER_BYTES + questionBytes;
  out[at] = 0;
  writeU16(out, at + 1, TYPE.OPT);
  writeU16(out, at + 3, OUR_UDP_BYTES);
  out[at + 5] = wanted >>> RCODE_LOW_BITS;
  out[at + 6] = 0;
  out[at + 7] = view.ednsDnssecOk ? DNSSEC_OK_HIGH : 0;
  out[at + 8] = 0;
  writeU16(out, at + 9, optionBytes);
  at += OPT_FIXED_BYTES;
  if (optionBytes === 0) return length;
  writeU16(out, at, EDNS_OPTION.extendedError);
  writeU16(out, at + 2, INFO_CODE_BYTES + textBytes);
  writeU16(out, at + 4, ede);
  if (edeText !== null) copyBytes(edeText, 0, textBytes, out, at + OPTION_HEADER_BYTES + INFO_CODE_BYTES);
  return length;
}

/**
 * Writes the answer that `view` describes without its records: TC set, question, and the OPT record if there is one (without
 * its options if they do not fit). The client comes back over TCP (RFC 2181 §9).
 *
 * @param start absolute offset of the answer
 * @param outCapacity bytes that may be written; to the array's end if absent
 * @returns bytes written; 0 if not even that fits, or the answer has no header
 */
export function buildTruncated(
  answer: Uint8Array,
  start: number,
  length: number,
  view: AnswerView,
  out: Uint8Array,
  outStart: number,
  outCapacity: number = out.length - outStart,
): number {
  if (length < HEADER_BYTES) return 0;
  const questionBytes = view.questionEnd === 0 ? 0 : view.questionEnd - view.nameStart;
  const room = Math.min(outCapacity, out.length - outStart) - HEADER_BYTES - questionBytes;
  let optBytes = view.hasEdns ? view.ednsEnd - view.ednsOffset : 0;
  const optionsDropped = optBytes > room;
  if (optionsDropped) optBytes = OPT_FIXED_BYTES;
  if (optBytes > room || room < 0 || outStart < 0) return 0;

  copyBytes(answer, start, start + 2, out, outStart);
  writeU16(out, outStart + 2, view.flags | FLAG.truncated);
  writeU16(out, outStart + 4, questionBytes === 0 ? 0 : 1);
  writeU16(out, outStart + 6, 0);
  writeU16(out, outStart + 8, 0);
  writeU16(out, outStart + 10, optBytes === 0 ? 0 : 1);
  let at = outStart + HEADER_BYTES;
  if (questionBytes !== 0) copyBytes(answer, view.nameStart, view.questionEnd, out, at);
  at += questionBytes;
  if (optBytes !== 0) {
    copyBytes(answer, view.ednsOffset, view.ednsOffset + optBytes, out, at);
    if (optionsDropped) writeU16(out, at + OPT_FIXED_BYTES - 2, 0);
  }
  return at + optBytes - outStart;
}

/** First to last, which is right in place and whenever the target lies before the source. */
function copyBytes(from: Uint8Array, begin: number, end: number, to: Uint8Array, at: number): void {
  const shift = at - begin;
  for (let i = begin; i < end; i += 1) to[i + shift] = from[i]!;
}

function writeU16(out: Uint8Array, at: number, value: number): void {
  out[at] = value >>> 8;
  out[at + 1] = value;
}
