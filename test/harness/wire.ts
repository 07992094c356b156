/**
 * DNS messages by hand, so that the tests do not judge the product with its own codec. Knows only what the tests send
 * and look at; bytes are in network order.
 */
export const TYPE = { A: 1, CNAME: 5, TXT: 16, AAAA: 28, OPT: 41, HTTPS: 65 } as const;
export const RCODE = { noError: 0, formErr: 1, servFail: 2, nxDomain: 3, notImp: 4, refused: 5 } as const;
export const EDE_BLOCKED = 15;

const CLASS_IN = 1;
const HEADER_BYTES = 12;
const OPTION_EDE = 15;
const FLAG_RESPONSE = 0x8000;
const FLAG_TRUNCATED = 0x0200;
const FLAG_RECURSION_DESIRED = 0x0100;
const FLAG_RECURSION_AVAILABLE = 0x0080;

export interface Question {
  /** Without the final dot; letter case is kept. */
  readonly name: string;
  readonly type: number;
}

export interface QueryOptions {
  readonly id?: number;
  /** The UDP size to announce; absent: no EDNS. */
  readonly ednsSize?: number;
}

export interface Answer {
  /** Owner; absent: the question's name. */
  readonly name?: string;
  readonly type: number;
  readonly ttlSeconds?: number;
  /** Wire form of the record's data. */
  readonly data: Uint8Array;
}

export function encodeName(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '');
  return Buffer.concat([...labels.flatMap((label) => [Buffer.from([label.length]), Buffer.from(label, 'latin1')]), Buffer.from([0])]);
}

function words16(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 2);
  values.forEach((value, index) => bytes.writeUInt16BE(value, index * 2));
  return bytes;
}

function words32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

let lastId = 0;

export function buildQuery(question: Question, options: QueryOptions = {}): Buffer {
  const id = options.id ?? (lastId = (lastId + 1) & 0xffff);
  const opt = options.ednsSize === undefined ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0]), words16(TYPE.OPT, options.ednsSize, 0, 0, 0)]);
  const header = words16(id, FLAG_RECURSION_DESIRED, 1, 0, 0, opt.length > 0 ? 1 : 0);
  return Buffer.concat([header, encodeName(question.name), words16(question.type, CLASS_IN), opt]);
}

/** The answer to `query` with its ID and question copied; compressed owners point at the question. */
export function buildAnswer(query: Uint8Array, answers: readonly Answer[], options: { rcode?: number; truncated?: boolean } = {}): Buffer {
  const flags = FLAG_RESPONSE | FLAG_RECURSION_DESIRED | FLAG_RECURSION_AVAILABLE | (options.truncated === true ? FLAG_TRUNCATED : 0) | (options.rcode ?? 0);
  const end = questionEnd(query);
  const header = Buffer.concat([query.subarray(0, 2), words16(flags, 1, answers.length, 0, 0)]);
  const records = answers.map((answer) => Buffer.concat([
    answer.name === undefined ? words16(0xc000 | HEADER_BYTES) : encodeName(answer.name),
    words16(answer.type, CLASS_IN), words32(answer.ttlSeconds ?? 60), words16(answer.data.length), answer.data,
  ]));
  return Buffer.concat([header, query.subarray(HEADER_BYTES, end), ...records]);
}

export function addressA(text: string): Answer {
  return { type: TYPE.A, data: Buffer.from(text.split('.').map(Number)) };
}

function questionEnd(bytes: Uint8Array): number {
  let at = HEADER_BYTES;
  while (bytes[at] !== 0) {
    if (at >= bytes.length) throw new Error('the question runs past the message');
    at += bytes[at] + 1;
  }
  return at + 5;
}

/** What a test looks at in a message. */
export interface Message {
  readonly id: number;
  readonly rcode: number;
  readonly response: boolean;
  readonly truncated: boolean;
  readonly question: Question | null;
  readonly answerCount: number;
  /** Extended DNS Error codes, in order. */
  readonly extendedErrors: readonly number[];
  readonly hasEdns: boolean;
}

export function readMessage(bytes: Uint8Array): Message {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.length < HEADER_BYTES) throw new Error(`a message of ${String(view.length)} bytes`);
  const flags = view.readUInt16BE(2);
  const hasQuestion = view.readUInt16BE(4) === 1;
  const edns = findEdns(view, hasQuestion);
  return {
    id: view.readUInt16BE(0), rcode: flags & 0xf, response: (flags & FLAG_RESPONSE) !== 0, truncated: (flags & FLAG_TRUNCATED) !== 0,
    question: hasQuestion ? readQuestion(view) : null, answerCount: view.readUInt16BE(6),
    extendedErrors: edns === null ? [] : extendedErrors(edns), hasEdns: edns !== null,
  };
}

function readQuestion(view: Buffer): Question {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (; view[at] !== 0; at += view[at] + 1) labels.push(view.toString('latin1', at + 1, at + 1 + view[at]));
  return { name: labels.join('.'), type: view.readUInt16BE(at + 1) };
}

/** The options of the OPT record, or null without one. */
function findEdns(view: Buffer, hasQuestion: boolean): Buffer | null {
  let at = hasQuestion ? questionEnd(view) : HEADER_BYTES;
  const records = view.readUInt16BE(6) + view.readUInt16BE(8) + view.readUInt16BE(10);
  for (let i = 0; i < records; i++) {
    while (view[at] !== 0 && view[at] < 0xc0) at += view[at] + 1;
    at += view[at] === 0 ? 1 : 2;
    const length = view.readUInt16BE(at + 8);
    if (view.readUInt16BE(at) === TYPE.OPT) return view.subarray(at + 10, at + 10 + length);
    at += 10 + length;
  }
  return null;
}

function extendedErrors(options: Buffer): number[] {
  const found: number[] = [];
  for (let at = 0; at + 4 <= options.length; at += 4 + options.readUInt16BE(at + 2)) {
    if (options.readUInt16BE(at) === OPTION_EDE) found.push(options.readUInt16BE(at + 4));
  }
  return found;
}
