/**
 * Whole messages ↔ plain objects, where speed does not matter: tests, the CLI, the demo zone. dns-packet does the work,
 * behind types of our own.
 *
 * Invariant: `decodeMessage` gives null for bytes that are no message and never throws; `encodeMessage` throws
 * `DnsCodecError` and nothing else for what cannot be put in bytes; what one writes the other reads back.
 * Does not know: compression on the way out, and labels that hold dots or bytes outside ASCII (`nameToString` writes those).
 */
import dnsPacket from 'dns-packet';
import type { Answer, Packet, PacketOpt, Question } from 'dns-packet';
import {
  CLASS,
  FLAG,
  HEADER_BYTES,
  MAX_MESSAGE_BYTES,
  OPCODE_SHIFT,
  QUESTION_TAIL_BYTES,
  RECORD_FIXED_BYTES,
  typeName,
  typeNumber,
} from '../constants.js';
import { skipName } from '../wire-name.js';
import {
  DnsCodecError,
  type DnsEdns,
  type DnsMessage,
  type DnsQuestion,
  type DnsRecord,
} from './message.js';
import { fromData, requireInteger, toData, toPacketName, withDot, type RecordPlace } from './record-data.js';

export { DnsCodecError } from './message.js';
export type { DnsData, DnsEdns, DnsMessage, DnsQuestion, DnsRecord } from './message.js';
export type { ServiceParam } from './service-data.js';

/** A message with these fields where none is given: a query for nothing, recursion desired. */
const BLANK: DnsMessage = {
  id: 0,
  response: false,
  opcode: 0,
  authoritative: false,
  truncated: false,
  recursionDesired: true,
  recursionAvailable: false,
  authenticData: false,
  checkingDisabled: false,
  rcode: 0,
  questions: [],
  answers: [],
  authorities: [],
  additionals: [],
  edns: null,
};

const FLAG_FIELDS = [
  ['authoritative', FLAG.authoritative],
  ['truncated', FLAG.truncated],
  ['recursionDesired', FLAG.recursionDesired],
  ['recursionAvailable', FLAG.recursionAvailable],
  ['authenticData', FLAG.authenticData],
  ['checkingDisabled', FLAG.checkingDisabled],
] as const;

/** Classes as dns-packet calls them; it writes 0 for any other, so others are refused. */
const CLASS_NAMES = new Map<number, 'IN' | 'CH' | 'HS' | 'ANY'>([
  [CLASS.IN, 'IN'],
  [CLASS.CH, 'CH'],
  [CLASS.HS, 'HS'],
  [CLASS.ANY, 'ANY'],
]);

const RCODE_LOW_BITS = 4;
const MAX_RCODE = 0xfff;
const DNSSEC_OK = 0x8000;

/**
 * The message as bytes, uncompressed, in a new array. Fields that are absent are as in a plain query.
 *
 * @throws DnsCodecError for a malformed name, an unknown type name, a number out of its field, data in another form than its
 *   type's, or more than 65535 bytes
 */
export function encodeMessage(message: Partial<DnsMessage>): Uint8Array {
  const whole = { ...BLANK, ...message };
  requireInteger('rcode', whole.rcode, MAX_RCODE);
  requireInteger('id', whole.id, 0xffff);
  requireInteger('opcode', whole.opcode, 0xf);
  if (whole.rcode >>> RCODE_LOW_BITS !== 0 && whole.edns === null) {
    throw new DnsCodecError(`rcode ${String(whole.rcode)} needs EDNS, which the message does not have`);
  }
  let flags = (whole.opcode << OPCODE_SHIFT) | (whole.rcode & FLAG.rcode);
  for (const [field, mask] of FLAG_FIELDS) if (whole[field]) flags |= mask;
  const additionals = whole.additionals.map(toAnswer);
  if (whole.edns !== null) additionals.push(toOpt(whole.edns, whole.rcode));
  const packet: Packet = {
    id: whole.id,
    type: whole.response ? 'response' : 'query',
    flags,
    questions: whole.questions.map(toQuestion),
    answers: whole.answers.map(toAnswer),
    authorities: whole.authorities.map(toAnswer),
    additionals,
  };
  let bytes: Uint8Array;
  try {
    bytes = dnsPacket.encode(packet);
  } catch (error) {
    throw new DnsCodecError(`the message cannot be encoded: ${messageOf(error)}`, { cause: error });
  }
  if (bytes.length > MAX_MESSAGE_BYTES) {
    throw new DnsCodecError(`the message has ${String(bytes.length)} bytes, and ${String(MAX_MESSAGE_BYTES)} is the most`);
  }
  return bytes;
}

/** The message that fills `bytes`; null if it is malformed (or has bytes to spare, or two OPT records). */
export function decodeMessage(bytes: Uint8Array): DnsMessage | null {
  const places = findPlaces(bytes);
  if (places === null) return null;
  try {
    // Names and the known forms of data are dns-packet's to read; it gets a view, not a copy.
    const packet = dnsPacket.decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    return fromPacket(packet, bytes, places);
  } catch {
    // It throws plain errors of many kinds, all of which mean that the bytes are no message.
    return null;
  }
}

/** Type and class of each question, place of each record. */
interface Places {
  readonly questions: readonly { readonly type: number; readonly class: number }[];
  readonly records: readonly RecordPlace[];
}

/** Checks names, counts and lengths, which dns-packet takes on trust; null if one is wrong. */
function findPlaces(bytes: Uint8Array): Places | null {
  if (bytes.length < HEADER_BYTES || bytes.length > MAX_MESSAGE_BYTES) return null;
  const u16 = (at: number): number => (bytes[at] << 8) | bytes[at + 1];
  let at = HEADER_BYTES;
  const questions: { type: number; class: number }[] = [];
  for (let question = u16(4); question > 0; question -= 1) {
    const tail = skipName(bytes, 0, bytes.length, at);
    if (tail === 0 || tail + QUESTION_TAIL_BYTES > bytes.length) return null;
    questions.push({ type: u16(tail), class: u16(tail + 2) });
    at = tail + QUESTION_TAIL_BYTES;
  }
  const records: RecordPlace[] = [];
  for (let record = u16(6) + u16(8) + u16(10); record > 0; record -= 1) {
    const fixed = skipName(bytes, 0, bytes.length, at);
    if (fixed === 0 || fixed + RECORD_FIXED_BYTES > bytes.length) return null;
    const data = fixed + RECORD_FIXED_BYTES;
    const end = data + u16(fixed + 8);
    if (end > bytes.length) return null;
    records.push({ type: u16(fixed), class: u16(fixed + 2), data, end });
    at = end;
  }
  return at === bytes.length ? { questions, records } : null;
}

function fromPacket(packet: dnsPacket.DecodedPacket, bytes: Uint8Array, places: Places): DnsMessage {
  const flags = packet.flags ?? 0;
  let edns: DnsEdns | null = null;
  let rcodeHigh = 0;
  let next = 0;
  const take = (answers: Answer[] | undefined): DnsRecord[] => {
    const records: DnsRecord[] = [];
    for (const answer of answers ?? []) {
      const place = places.records[next];
      next += 1;
      if (answer.type === 'OPT') {
        if (edns !== null) throw new DnsCodecError('a second OPT record');
        edns = fromOpt(answer);
        rcodeHigh = answer.extendedRcode;
      } else {
        records.push(fromAnswer(answer, bytes, place));
      }
    }
    return records;
  };
  const questions = (packet.questions ?? []).map((question, index) => ({
    name: withDot(question.name),
    type: typeName(places.questions[index].type),
    class: places.questions[index].class,
  }));
  const answers = take(packet.answers);
  const authorities = take(packet.authorities);
  const additionals = take(packet.additionals);
  return {
    id: packet.id ?? 0,
    response: packet.type === 'response',
    opcode: (flags & FLAG.opcode) >>> OPCODE_SHIFT,
    authoritative: packet.flag_aa,
    truncated: packet.flag_tc,
    recursionDesired: packet.flag_rd,
    recursionAvailable: packet.flag_ra,
    authenticData: packet.flag_ad,
    checkingDisabled: packet.flag_cd,
    rcode: (flags & FLAG.rcode) | (rcodeHigh << RCODE_LOW_BITS),
    questions,
    answers,
    authorities,
    additionals,
    edns,
  };
}

function fromOpt(answer: dnsPacket.OptAnswer): DnsEdns {
  return {
    udpSize: answer.udpPayloadSize,
    version: answer.ednsVersion,
    dnssecOk: answer.flag_do,
    options: answer.options.map((option) => ({
      code: option.code,
      data: Uint8Array.from((option as { data?: Uint8Array }).data ?? []),
    })),
  };
}

function fromAnswer(answer: Exclude<Answer, dnsPacket.OptAnswer>, bytes: Uint8Array, place: RecordPlace): DnsRecord {
  return {
    name: withDot(answer.name),
    type: typeName(place.type),
    class: place.class,
    ttlSeconds: answer.ttl ?? 0,
    data: fromData(answer, bytes, place),
  };
}

function toQuestion(question: DnsQuestion): Question {
  // The class is dns-packet's word; the type is written by number, in its spelling.
  return {
    name: toPacketName(question.name),
    type: toPacketType(question.type) as Question['type'],
    class: toPacketClass(question.class),
  };
}

function toOpt(edns: DnsEdns, rcode: number): Answer {
  requireInteger('EDNS UDP size', edns.udpSize, 0xffff);
  requireInteger('EDNS version', edns.version, 0xff);
  if (edns.udpSize === 0) throw new DnsCodecError('an EDNS UDP size of 0 cannot be written');
  return {
    name: '.',
    type: 'OPT',
    udpPayloadSize: edns.udpSize,
    extendedRcode: rcode >>> RCODE_LOW_BITS,
    ednsVersion: edns.version,
    flags: edns.dnssecOk ? DNSSEC_OK : 0,
    flag_do: edns.dnssecOk,
    options: edns.options.map(({ code, data }) => {
      requireInteger('EDNS option code', code, 0xffff);
      return { code, data: Buffer.from(data) } as unknown as PacketOpt;
    }),
  };
}

function toAnswer(record: DnsRecord): Answer {
  requireInteger('TTL', record.ttlSeconds, 0xffff_ffff);
  const number = typeNumber(record.type);
  const data = toData(record, number);
  const packetType = Buffer.isBuffer(data) ? `UNKNOWN_${String(number)}` : typeName(number);
  return {
    name: toPacketName(record.name),
    type: packetType,
    class: toPacketClass(record.class),
    ttl: record.ttlSeconds,
    data,
  } as unknown as Answer;
}

function toPacketType(type: string): string {
  const number = typeNumber(type);
  if (number < 0) throw new DnsCodecError(`'${type}' is no record type`);
  return `UNKNOWN_${String(number)}`;
}

function toPacketClass(value: number | undefined): 'IN' | 'CH' | 'HS' | 'ANY' {
  const name = CLASS_NAMES.get(value ?? CLASS.IN);
  if (name === undefined) throw new DnsCodecError(`class ${String(value)} cannot be written`);
  return name;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
