/**
 * What a scan found: one small integer per broken rule.
 *
 * Invariant: 0 is the only success; no two rules have one number.
 * Does not know: what to do about it. A caller drops on `tooShort`, `badRange` and `wrongDirection` (nobody may be told),
 * answers NOTIMP on `opcode`, may overlook `trailingBytes` (everything else was read), and answers FORMERR on the rest.
 */

export const SCAN = {
  /** Every rule holds. */
  ok: 0,
  /** Shorter than a header (RFC 1035 §4.1.1): there is not even an ID to answer. */
  tooShort: 1,
  /** Longer than 65535 bytes, or the range given does not lie in the array. */
  badRange: 2,
  /** QR says response where a query is scanned, or the reverse. */
  wrongDirection: 3,
  /** The opcode is not QUERY. The header alone was read. */
  opcode: 4,
  /** QDCOUNT is 0. The header alone was read. */
  noQuestion: 5,
  /** QDCOUNT is above 1 (RFC 9619 forbids it). The header alone was read. */
  manyQuestions: 6,
  /** The question's name runs past the end. */
  nameTruncated: 7,
  /** The question's name is longer than 255 bytes (RFC 1035 §2.3.4). */
  nameTooLong: 8,
  /** A label of the question starts with bits 01 or 10, which mean nothing (RFC 6891 §5). */
  labelType: 9,
  /** The question's name is compressed, with nothing before it to point at. */
  namePointer: 10,
  /** The message ends before the question's type and class. */
  questionTruncated: 11,
  /** More records than this side takes: `MAX_QUERY_RECORDS`, `MAX_ANSWER_RECORDS`. */
  tooManyRecords: 12,
  /** An owner name is malformed: runs out, too long, or a pointer that does not lead strictly backwards. */
  recordName: 13,
  /** A record runs past the end: a count promises more than is there. */
  recordTruncated: 14,
  /** A record's data is malformed: a CNAME that is no name, a service parameter that runs out. */
  recordData: 15,
  /** An OPT record outside the additional section (RFC 6891 §6.1.1). */
  ednsMisplaced: 16,
  /** A second OPT record (RFC 6891 §6.1.1). */
  ednsDuplicate: 17,
  /** An OPT record whose owner is not the root (RFC 6891 §6.1.2). */
  ednsOwner: 18,
  /** An EDNS option that runs past its record. */
  ednsOptions: 19,
  /** Bytes after the last record. All fields are filled. */
  trailingBytes: 20,
} as const;

const NAMES: string[] = [];
for (const [name, code] of Object.entries(SCAN)) NAMES[code] = name;

/** The code's name in `SCAN` ('nameTooLong'); 'unknown' for any other number. */
export function scanCodeName(code: number): string {
  return NAMES[code] ?? 'unknown';
}
