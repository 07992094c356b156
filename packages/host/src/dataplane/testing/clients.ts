/** DNS clients inside the test. Every wait has a deadline: a lost query fails its test and hangs nothing. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, isIPv6, type Socket } from 'node:net';
import type { SocketAddress } from '@tandem/core';
import { framed, Messages } from './messages.js';
import { DEADLINE_MS, within } from './wait.js';

export interface Datagram {
  readonly bytes: Buffer;
  readonly from: string;
  readonly fromPort: number;
}

export class UdpClient {
  /** Everything that came, in order. */
  readonly received: Datagram[] = [];
  private readonly socket: UdpSocket;
  private readonly waiting = new Map<number, (datagram: Datagram) => void>();

  private constructor(socket: UdpSocket) {
    this.socket = socket;
    socket.on('message', (bytes, from) => {
      const datagram: Datagram = { bytes, from: from.address, fromPort: from.port };
      this.received.push(datagram);
      this.waiting.get(bytes.readUInt16BE(0))?.(datagram);
    });
  }

  static async open(from: string): Promise<UdpClient> {
    const socket = createSocket(isIPv6(from) ? 'udp6' : 'udp4').bind(0, from);
    await once(socket, 'listening');
    return new UdpClient(socket);
  }

  send(message: Uint8Array, to: SocketAddress): void {
    this.socket.send(message, to.port, to.address);
  }

  /** Resolves with the datagram that carries the query's ID. */
  async ask(query: Buffer, to: SocketAddress): Promise<Datagram> {
    const id = query.readUInt16BE(0);
    const answer = new Promise<Datagram>((resolve) => this.waiting.set(id, resolve));
    this.send(query, to);
    return within(`the answer to ${id} over UDP`, DEADLINE_MS, answer);
  }

  close(): void {
    this.socket.close();
  }
}

export class TcpClient {
  readonly socket: Socket;
  /** Whole messages that came, in order. */
  readonly received: Buffer[] = [];
  /** The other side has ended its half. */
  readonly ended: Promise<void>;
  /** The connection is closed, in whatever way. */
  readonly closed: Promise<void>;
  private readonly messages = new Messages();
  private onMessage: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.ended = new Promise((resolve) => socket.once('end', () => resolve()));
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    // A reset closes, too: that is what tests wait for.
    socket.on('error', () => undefined);
    socket.on('data', (piece) => {
      this.received.push(...this.messages.push(piece));
      this.onMessage();
    });
  }

  /** `allowHalfOpen`: the other side's FIN does not end ours. */
  static async open(to: SocketAddress, options: { readonly from?: string; readonly allowHalfOpen?: boolean } = {}): Promise<TcpClient> {
    const { from, allowHalfOpen = false } = options;
    const socket = connect({
      host: to.address, port: to.port, noDelay: true, allowHalfOpen, ...(from === undefined ? {} : { localAddress: from }),
    });
    const client = new TcpClient(socket);
    await within('a TCP connection', DEADLINE_MS, once(socket, 'connect'));
    return client;
  }

  send(...queries: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(queries.map(framed)));
  }

  /** Resolves when this many messages have come in all. */
  async messagesCame(count: number, deadlineMs = DEADLINE_MS): Promise<readonly Buffer[]> {
    const came = new Promise<void>((resolve) => {
      this.onMessage = () => {
        if (this.received.length >= count) resolve();
      };
      this.onMessage();
    });
    try {
      await within(`${count} messages over TCP`, deadlineMs, came);
    } catch (error) {
      throw new Error(`${this.received.length} of ${count} messages came`, { cause: error });
    }
    return this.received;
  }

  /** One question, one answer, nothing else under way. */
  async ask(query: Buffer): Promise<Buffer> {
    const before = this.received.length;
    this.send(query);
    return (await this.messagesCame(before + 1))[before];
  }

  close(): void {
    this.socket.destroy();
  }
}
