/** Another member's shared sockets, held here: read while it is answered for, else left alone. */
import type { HeldSockets, MonoMs } from '@tandem/core';
import { closeFd, type Reactor } from 'node-reuseport';
import type { HeldConnections } from './held-connections.js';
import { isWildcard, type Listener } from './listeners.js';
import type { TcpClients } from './tcp-clients.js';

export interface HeldListenersOptions {
  readonly reactor: Reactor;
  readonly clients: TcpClients;
  /** Null: the member's journal is of a layout that says nothing of them. */
  readonly connections: HeldConnections | null;
  /** The first of the reactor's listener numbers that are these sockets'. */
  readonly base: number;
}

export class HeldListeners implements HeldSockets {
  readonly listeners: readonly Listener[];
  private readonly options: HeldListenersOptions;

  /** Takes the descriptors over, but not when it throws: one of them is no UDP socket, or its number is in use. */
  constructor(listeners: readonly Listener[], options: HeldListenersOptions) {
    const { reactor, base } = options;
    this.listeners = listeners;
    this.options = options;
    listeners.forEach(({ udp, address }, i) => {
      try {
        reactor.addListener(udp, base + i, { replyFromServerAddress: isWildcard(address) });
        reactor.pauseListener(base + i);
      } catch (error) {
        for (let added = 0; added < i; added++) reactor.removeListener(base + added);
        throw error;
      }
    });
  }

  read(): void {
    const { reactor, clients, base } = this.options;
    this.listeners.forEach(({ tcp }, i) => {
      reactor.resumeListener(base + i);
      clients.addListener(tcp, base + i);
    });
  }

  pause(): void {
    const { reactor, clients, base } = this.options;
    this.listeners.forEach(({ tcp }, i) => {
      reactor.pauseListener(base + i);
      clients.removeListener(tcp);
    });
  }

  takeConnections(isDead: boolean, nowMs: MonoMs): boolean {
    return this.options.connections?.take(isDead, nowMs) ?? true;
  }

  awake(): void {
    this.options.connections?.awake();
  }

  close(): void {
    this.options.connections?.close();
    const { reactor, base } = this.options;
    this.listeners.forEach(({ udp, tcp }, i) => {
      reactor.removeListener(base + i);
      closeFd(udp);
      closeFd(tcp);
    });
  }
}
