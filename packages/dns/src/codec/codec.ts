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
  MAX_LABEL_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_NAME_BYTES,
  OPCODE_SHIFT,
  QUESTION_TAIL_BYTES,
  RECORD_FIXED_BYTES,
  TYPE,
  typeName,
  typeNumber,
} from '../constants.js';
import { skipName } from '../wire-name.js';
import { decodeService, encodeService, type ServiceParam } from './service-data.js';

export type { ServiceParam } from './service-data.js';

/** What was asked of `encodeMessage` cannot be put in bytes; the message says which part and why. */
export class DnsCodecError extends Error {
  override readonly name = 'DnsCodecError';
}

/** Names end in a dot and keep their letter case; the root is '.'. */
export interface DnsQuestion {
  readonly name: string;
  /** 'A', 'HTTPS', 'TYPE65534'. */
  readonly type: string;
  /** Number of the class; IN if absent. */
  readonly class?: number;
}

/** A record's data, by the form that its type gives it; types without a form of their own are bytes. */
export type DnsData =
  | { readonly form: 'address'; readonly address: string }
  | { readonly form: 'name'; readonly target: string }
  | { readonly form: 'mx'; readonly preference: number; readonly exchange: string }
  | {
      readonly form: 'soa';
      readonly primary: string;
      readonly mailbox: string;
      readonly serial: number;
      readonly refreshSeconds: number;
      readonly retrySeconds: number;
      readonly expireSeconds: number;
      readonly minimumSeconds: number;
    }
  | {
      readonly form: 'srv';
      readonly priority: number;
      readonly weight: number;
      readonly port: number;
      readonly target: string;
    }
  /** Each text at most 255 bytes, in UTF-8. */
  | { readonly form: 'text'; readonly texts: readonly string[] }
  /** SVCB and HTTPS (RFC 9460); parameters in the order of their keys. */
  | { readonly form: 'service'; readonly priority: number; readonly target: string; readonly params: readonly ServiceParam[] }
  | { readonly form: 'bytes'; readonly bytes: Uint8Array };

export interface DnsRecord {
  readonly name: string;
  readonly type: string;
  /** Number of the class; IN if absent. */
  readonly class?: number;
  readonly ttlSeconds: number;
  readonly data: DnsData;
}

export interface DnsEdns {
  readonly udpSize: number;
  readonly version: number;
  readonly dnssecOk: boolean;
  readonly options: readonly { readonly code: number; readonly data: Uint8Array }[];
}

export interface DnsMessage {
  readonly id: number;
  readonly response: boolean;
  readonly opcode: number;
  readonly authoritative: boolean;
  readonly truncated: boolean;
  readonly recursionDesired: boolean;
  readonly recursionAvailable: boolean;
  readonly authenticData: boolean;
  readonly checkingDisabled: boolean;
  /** With EDNS's upper bits: 0–4095. */
  readonly rcode: number;
  readonly questions: readonly DnsQuestion[];
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
  /** Without the OPT record, which is `edns`. */
  readonly additionals: readonly DnsRecord[];
  readonly edns: DnsEdns | null;
}

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
const MAX_TEXT_BYTES = 255;

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

/** Where a record's fixed part and data lie. */
interface RecordPlace {
  readonly type: number;
  readonly class: number;
  readonly data: number;
  readonly end: number;
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

function fromData(answer: Exclude<Answer, dnsPacket.OptAnswer>, bytes: Uint8Array, place: RecordPlace): DnsData {
  const raw = (): DnsData => ({ form: 'bytes', bytes: bytes.slice(place.data, place.end) });
  // Updates carry types without data (RFC 2136 §2.4).
  if (place.data === place.end) return raw();
  switch (answer.type) {
    case 'A':
    case 'AAAA':
      if (place.end - place.data !== (answer.type === 'A' ? 4 : 16)) throw new DnsCodecError('an address of a wrong length');
      return { form: 'address', address: answer.data };
    case 'CNAME':
    case 'DNAME':
    case 'NS':
    case 'PTR':
      return { form: 'name', target: withDot(answer.data) };
    case 'MX':
      return { form: 'mx', preference: answer.data.preference ?? 0, exchange: withDot(answer.data.exchange) };
    case 'SOA': {
      const soa = answer.data;
      return {
        form: 'soa',
        primary: withDot(soa.mname),
        mailbox: withDot(soa.rname),
        serial: soa.serial ?? 0,
        refreshSeconds: soa.refresh ?? 0,
        retrySeconds: soa.retry ?? 0,
        expireSeconds: soa.expire ?? 0,
        minimumSeconds: soa.minimum ?? 0,
      };
    }
    case 'SRV': {
      const { priority, weight, port, target } = answer.data;
      return { form: 'srv', priority: priority ?? 0, weight: weight ?? 0, port, target: withDot(target) };
    }
    case 'TXT':
      return { form: 'text', texts: (answer.data as Buffer[]).map((text) => text.toString('utf8')) };
    default: {
      if (place.type !== TYPE.SVCB && place.type !== TYPE.HTTPS) return raw();
      const service = decodeService(bytes.subarray(place.data, place.end));
      if (service === null) throw new DnsCodecError('malformed service parameters');
      return { form: 'service', ...service };
    }
  }
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

/** Forms by type: what data a record of that type takes besides bytes. */
const FORMS = new Map<number, DnsData['form']>([
  [TYPE.A, 'address'],
  [TYPE.AAAA, 'address'],
  [TYPE.CNAME, 'name'],
  [TYPE.DNAME, 'name'],
  [TYPE.NS, 'name'],
  [TYPE.PTR, 'name'],
  [TYPE.MX, 'mx'],
  [TYPE.SOA, 'soa'],
  [TYPE.SRV, 'srv'],
  [TYPE.TXT, 'text'],
  [TYPE.SVCB, 'service'],
  [TYPE.HTTPS, 'service'],
]);

/** The data as dns-packet takes it for this type; a Buffer is written as it is. */
function toData(record: DnsRecord, type: number): unknown {
  const { data } = record;
  if (type < 0) throw new DnsCodecError(`'${record.type}' is no record type`);
  if (type === TYPE.OPT) throw new DnsCodecError('OPT is written by `edns`, not as a record');
  if (data.form !== 'bytes' && FORMS.get(type) !== data.form) {
    throw new DnsCodecError(`a ${record.type} record does not take data of the form '${data.form}'`);
  }
  switch (data.form) {
    case 'bytes':
      if (data.bytes.length > 0xffff) throw new DnsCodecError('data above 65535 bytes');
      return Buffer.from(data.bytes);
    case 'address':
      requireAddress(data.address, type);
      return data.address;
    case 'name':
      return toPacketName(data.target);
    case 'mx':
      requireInteger('MX preference', data.preference, 0xffff);
      return { preference: data.preference, exchange: toPacketName(data.exchange) };
    case 'soa':
      return {
        mname: toPacketName(data.primary),
        rname: toPacketName(data.mailbox),
        serial: data.serial,
        refresh: data.refreshSeconds,
        retry: data.retrySeconds,
        expire: data.expireSeconds,
        minimum: data.minimumSeconds,
      };
    case 'srv':
      return { priority: data.priority, weight: data.weight, port: data.port, target: toPacketName(data.target) };
    case 'text':
      return data.texts.map((text) => {
        const bytes = Buffer.from(text, 'utf8');
        if (bytes.length > MAX_TEXT_BYTES) throw new DnsCodecError('a text above 255 bytes');
        return bytes;
      });
    case 'service': {
      const bytes = encodeService(data.priority, data.target, data.params);
      if (typeof bytes === 'string') throw new DnsCodecError(bytes);
      return Buffer.from(bytes);
    }
  }
}

const IPV4 = /^(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}$/;
const IPV6 = /^[0-9a-fA-F:.]{2,45}$/;

/** dns-packet writes nonsense for most malformed addresses, so what it is given is looked at first. */
function requireAddress(address: string, type: number): void {
  const good = type === TYPE.A ? IPV4.test(address) : IPV6.test(address) && address.includes(':');
  if (!good) throw new DnsCodecError(`'${address}' is no ${type === TYPE.A ? 'IPv4' : 'IPv6'} address`);
}

function requireInteger(what: string, value: number, max: number): void {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new DnsCodecError(`${what} ${String(value)} is no integer from 0 to ${String(max)}`);
  }
}

/** A name as dns-packet takes it: no dot at the end. */
function toPacketName(name: string): string {
  if (name === '.') return '.';
  const bare = name.endsWith('.') ? name.slice(0, -1) : name;
  let wireBytes = 1;
  for (const label of bare.split('.')) {
    if (!/^[\x21-\x5b\x5d-\x7e]+$/.test(label)) {
      throw new DnsCodecError(`'${name}' has a label that is empty or not plain ASCII`);
    }
    if (label.length > MAX_LABEL_BYTES) throw new DnsCodecError(`'${name}' has a label above ${String(MAX_LABEL_BYTES)} bytes`);
    wireBytes += label.length + 1;
  }
  if (wireBytes > MAX_NAME_BYTES) throw new DnsCodecError(`'${name}' is longer than ${String(MAX_NAME_BYTES)} bytes`);
  return bare;
}

function withDot(name: string): string {
  return name === '.' ? name : `${name}.`;
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
