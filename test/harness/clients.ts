/**
 * DNS clients with a source address of their choice. Every wait has a deadline, so a lost query is a failed test and not
 * a hanging one.
 */
import { createSocket } from 'node:dgram';
import type { Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, isIPv6 } from 'node:net';
import type { Socket } from 'node:net';
import { within } from './until.js';

export interface Server {
  readonly address: string;
  readonly port: number;
}

const ANSWER_DEADLINE_MS = 5_000;

export class UdpClient {
  private readonly socket: UdpSocket;
  private readonly server: Server;
  private readonly waiting = new Map<number, (answer: Buffer) => void>();
  /** Datagrams that match no open question: late or sent twice. */
  readonly unexpected: Buffer[] = [];

  private constructor(socket: UdpSocket, server: Server) {
    this.socket = socket;
    this.server = server;
    socket.on('message', (bytes, from) => {
      const waiting = bytes.length >= 2 && from.port === server.port && from.address === server.address ? this.waiting.get(bytes.readUInt16BE(0)) : undefined;
      if (waiting === undefined) this.unexpected.push(bytes);
      else waiting(bytes);
    });
  }

  static async open(from: string, server: Server): Promise<UdpClient> {
    const socket = createSocket(isIPv6(from) ? 'udp6' : 'udp4');
    socket.bind(0, from);
    await once(socket, 'listening');
    return new UdpClient(socket, server);
  }

  get port(): number {
    return this.socket.address().port;
  }

  /** Resolves with the datagram that carries the query's ID. */
  async ask(query: Buffer, deadlineMs = ANSWER_DEADLINE_MS): Promise<Buffer> {
    const id = query.readUInt16BE(0);
    if (this.waiting.has(id)) throw new Error(`ID ${String(id)} is in use on this socket`);
    const answer = new Promise<Buffer>((resolve) => this.waiting.set(id, resolve));
    try {
      this.send(query);
      return await within(`answer to query ${String(id)} over UDP`, deadlineMs, answer);
    } finally {
      this.waiting.delete(id);
    }
  }

  send(bytes: Uint8Array): void {
    this.socket.send(bytes, this.server.port, this.server.address);
  }

  close(): void {
    this.socket.close();
  }
}

/** Reads DNS messages with their two-byte length in front (RFC 1035 4.2.2). */
export class MessageStream {
  private bytes: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Buffer[] {
    this.bytes = Buffer.concat([this.bytes, chunk]);
    const messages: Buffer[] = [];
    while (this.bytes.length >= 2 && this.bytes.length >= 2 + this.bytes.readUInt16BE(0)) {
      const end = 2 + this.bytes.readUInt16BE(0);
      messages.push(this.bytes.subarray(2, end));
      this.bytes = this.bytes.subarray(end);
    }
    return messages;
  }
}

export function framed(message: Uint8Array): Buffer {
  const bytes = Buffer.alloc(2 + message.length);
  bytes.writeUInt16BE(message.length);
  bytes.set(message, 2);
  return bytes;
}

export class TcpClient {
  readonly socket: Socket;
  /** IDs in the order in which their answers came. */
  readonly order: number[] = [];
  /** Resolves when the other side has ended or reset the connection. */
  readonly closed: Promise<void>;
  private readonly waiting = new Map<number, (answer: Buffer) => void>();
  private readonly stream = new MessageStream();

  private constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', () => {
      resolve();
    }));
    socket.on('error', () => undefined); // a reset also closes: that is what tests wait for
    socket.on('data', (chunk) => {
      for (const message of this.stream.push(chunk)) {
        const id = message.readUInt16BE(0);
        this.order.push(id);
        this.waiting.get(id)?.(message);
      }
    });
  }

  static async open(from: string, server: Server): Promise<TcpClient> {
    const socket = connect({ host: server.address, port: server.port, localAddress: from, noDelay: true });
    await within('TCP connection', ANSWER_DEADLINE_MS, once(socket, 'connect'));
    return new TcpClient(socket);
  }

  async ask(query: Buffer, deadlineMs = ANSWER_DEADLINE_MS): Promise<Buffer> {
    const [answer] = await this.askAll([query], deadlineMs);
    return answer;
  }

  /** Sends all queries in one write; resolves with their answers in the order of the queries. */
  async askAll(queries: readonly Buffer[], deadlineMs = ANSWER_DEADLINE_MS): Promise<Buffer[]> {
    const answers = queries.map((query) => new Promise<Buffer>((resolve) => this.waiting.set(query.readUInt16BE(0), resolve)));
    this.socket.write(Buffer.concat(queries.map(framed)));
    try {
      return await within(`answers to ${String(queries.length)} queries over TCP`, deadlineMs, Promise.all(answers));
    } finally {
      for (const query of queries) this.waiting.delete(query.readUInt16BE(0));
    }
  }

  close(): void {
    this.socket.destroy();
  }
}
