/**
 * A DNS server inside the test: UDP and TCP on one port, answers by a function, remembers what it was asked and what it
 * sent. Speaks to loopback only.
 */
import { createSocket } from 'node:dgram';
import type { Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { createServer } from 'node:net';
import type { Server as TcpServer, Socket } from 'node:net';
import { MessageStream, framed } from './clients.js';
import { readMessage } from './wire.js';
import type { Question } from './wire.js';

export interface Asked {
  readonly question: Question;
  readonly query: Buffer;
  readonly protocol: 'udp' | 'tcp';
  /** Source port of the query. */
  readonly fromPort: number;
}

/** The answer's bytes, a promise of them, or null for silence. */
export type Zone = (asked: Asked) => Buffer | null | Promise<Buffer | null>;

export class Upstream {
  readonly address: string;
  readonly port: number;
  readonly asked: Asked[] = [];
  /** What was sent last for `name/type`. */
  readonly sent = new Map<string, Buffer>();
  private readonly udp: UdpSocket;
  private readonly tcp: TcpServer;
  private readonly connections = new Set<Socket>();
  zone: Zone;

  private constructor(udp: UdpSocket, tcp: TcpServer, zone: Zone) {
    this.udp = udp;
    this.tcp = tcp;
    this.zone = zone;
    const { address, port } = udp.address();
    this.address = address;
    this.port = port;
    udp.on('message', (query, from) => {
      void this.answer({ query, protocol: 'udp', fromPort: from.port }).then((answer) => {
        if (answer !== null) udp.send(answer, from.port, from.address);
      });
    });
    tcp.on('connection', (socket) => {
      this.serve(socket);
    });
  }

  /** Port 0: one that is free. */
  static async start(address: string, port: number, zone: Zone): Promise<Upstream> {
    const udp = createSocket('udp4');
    udp.bind(port, address);
    await once(udp, 'listening');
    const tcp = createServer().listen(udp.address().port, address);
    await once(tcp, 'listening');
    return new Upstream(udp, tcp, zone);
  }

  close(): void {
    this.udp.close();
    this.tcp.close();
    for (const socket of this.connections) socket.destroy();
  }

  private async answer(seen: { query: Buffer; protocol: 'udp' | 'tcp'; fromPort: number }): Promise<Buffer | null> {
    const { question } = readMessage(seen.query);
    if (question === null) return null;
    const asked: Asked = { ...seen, question };
    this.asked.push(asked);
    const answer = await this.zone(asked);
    if (answer !== null) this.sent.set(`${question.name}/${String(question.type)}`, answer);
    return answer;
  }

  private serve(socket: Socket): void {
    const stream = new MessageStream();
    this.connections.add(socket);
    socket.on('close', () => this.connections.delete(socket));
    socket.on('error', () => undefined); // the proxy may close a connection that it no longer needs
    socket.on('data', (chunk) => {
      for (const query of stream.push(chunk)) {
        void this.answer({ query, protocol: 'tcp', fromPort: socket.remotePort ?? 0 }).then((answer) => {
          if (answer !== null && socket.writable) socket.write(framed(answer));
        });
      }
    });
  }
}

/** For zones: an answer that the server gives after a while. */
export async function slowly(answer: Buffer, delayMs: number): Promise<Buffer> {
  await pause(delayMs);
  return answer;
}
