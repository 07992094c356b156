/** DNS messages for the data plane's tests. */
import { decodeMessage, type DnsData, type DnsMessage, encodeMessage } from '@tandem/dns/codec';

const EDE_OPTION = 15;
const EDNS_BYTES = 1232;

let lastId = 0;

/** A query with an ID of its own, EDNS included. */
export function query(name: string, type = 'A'): Buffer {
  lastId = (lastId + 1) & 0xffff;
  return Buffer.from(
    encodeMessage({
      id: lastId,
      questions: [{ name, type, class: 1 }],
      edns: { udpSize: EDNS_BYTES, version: 0, dnssecOk: false, options: [] },
    }),
  );
}

/** The answer to `asked` with records of one type. */
export function answerTo(asked: Uint8Array, type: string, records: readonly DnsData[]): Buffer {
  const { id, questions } = read(asked);
  const answers = records.map((data) => ({ name: questions[0].name, type, class: 1, ttlSeconds: 60, data }));
  return Buffer.from(encodeMessage({ id, response: true, recursionAvailable: true, questions, answers }));
}

/** An answer that holds 192.0.2.1. */
export function addressFor(asked: Uint8Array): Buffer {
  return answerTo(asked, 'A', [{ form: 'address', address: '192.0.2.1' }]);
}

/** An answer of about `bytes` bytes of TXT. */
export function largeAnswer(asked: Uint8Array, bytes: number): Buffer {
  const records = Array.from({ length: Math.floor(bytes / 250) }, (_, i): DnsData => ({
    form: 'text',
    texts: [String(i).padEnd(200, 'x')],
  }));
  return answerTo(asked, 'TXT', records);
}

/** @throws Error for bytes that are no message. */
export function read(bytes: Uint8Array): DnsMessage {
  const message = decodeMessage(bytes);
  if (message === null) throw new Error(`${bytes.length} bytes that are no DNS message`);
  return message;
}

/** The Extended DNS Error's info code, or null without one. */
export function extendedError(bytes: Uint8Array): number | null {
  const option = read(bytes).edns?.options.find(({ code }) => code === EDE_OPTION);
  return option === undefined ? null : (option.data[0] << 8) | option.data[1];
}

/** With the two bytes of length that a stream has in front of a message. */
export function framed(message: Uint8Array): Buffer {
  const bytes = Buffer.alloc(2 + message.length);
  bytes.writeUInt16BE(message.length);
  bytes.set(message, 2);
  return bytes;
}

/** Puts a stream's pieces together to messages; an implementation of its own, to hold `FrameReader` against. */
export class Messages {
  private rest = Buffer.alloc(0);

  push(piece: Uint8Array): Buffer[] {
    this.rest = Buffer.concat([this.rest, piece]);
    const whole: Buffer[] = [];
    while (this.rest.length >= 2 && this.rest.length >= 2 + this.rest.readUInt16BE(0)) {
      const end = 2 + this.rest.readUInt16BE(0);
      whole.push(this.rest.subarray(2, end));
      this.rest = this.rest.subarray(end);
    }
    return whole;
  }
}
