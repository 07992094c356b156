/** A DNS server inside the test, UDP and TCP on one loopback port, whose answers are the test's to give. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, isIPv6, type Server, type Socket } from 'node:net';
import type { SocketAddress } from '@tandem/core';
import { framed, Messages } from './messages.js';

export interface Asked {
  readonly query: Buffer;
  readonly protocol: 'udp' | 'tcp';
  readonly fromPort: number;
  /** Sends an answer; may be called late, and more than once. */
  readonly answer: (bytes: Uint8Array) => void;
  /** The connection of a question that came by TCP. */
  readonly connection: Socket | null;
}

export type Zone = (asked: Asked) => void;

const TRIES = 20;

export class TestUpstream {
  readonly address: SocketAddress;
  readonly asked: Asked[] = [];
  connectionsMade = 0;
  zone: Zone;
  private readonly udp: UdpSocket;
  private readonly tcp: Server;
  private readonly connections = new Set<Socket>();

  private constructor(udp: UdpSocket, tcp: Server, zone: Zone) {
    this.udp = udp;
    this.tcp = tcp;
    this.zone = zone;
    const { address, port } = udp.address();
    this.address = { address, family: isIPv6(address) ? 6 : 4, port };
    udp.on('message', (query, from) => {
      this.take({ query, protocol: 'udp', fromPort: from.port, connection: null, answer: (bytes) => udp.send(bytes, from.port, from.address) });
    });
    tcp.on('connection', (connection) => this.serve(connection));
  }

  static async start(address: string, zone: Zone): Promise<TestUpstream> {
    for (let i = 1; ; i++) {
      const udp = createSocket(isIPv6(address) ? 'udp6' : 'udp4').bind(0, address);
      await once(udp, 'listening');
      const tcp = createServer();
      try {
        tcp.listen(udp.address().port, address);
        await once(tcp, 'listening');
        return new TestUpstream(udp, tcp, zone);
      } catch (error) {
        // The port is free for UDP but not for TCP.
        udp.close();
        if (i === TRIES) throw error;
      }
    }
  }

  async stop(): Promise<void> {
    for (const connection of this.connections) connection.destroy();
    if (this.tcp.listening) await this.refuseTcp();
    const closed = once(this.udp, 'close');
    this.udp.close();
    await closed;
  }

  /** From now on connections are refused; UDP goes on. */
  async refuseTcp(): Promise<void> {
    for (const connection of this.connections) connection.destroy();
    const closed = once(this.tcp, 'close');
    this.tcp.close();
    await closed;
  }

  private take(asked: Asked): void {
    this.asked.push(asked);
    this.zone(asked);
  }

  private serve(connection: Socket): void {
    const messages = new Messages();
    this.connectionsMade++;
    this.connections.add(connection);
    connection.on('close', () => this.connections.delete(connection));
    // A proxy that no longer needs the connection may reset it.
    connection.on('error', () => undefined);
    connection.on('data', (piece) => {
      for (const query of messages.push(piece)) {
        const answer = (bytes: Uint8Array): void => {
          if (connection.writable) connection.write(framed(bytes));
        };
        this.take({ query, protocol: 'tcp', fromPort: connection.remotePort ?? 0, connection, answer });
      }
    });
  }
}
