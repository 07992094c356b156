/** Another member's shared sockets, held here: read while it is answered for, else left alone. */
import type { HeldSockets, MonoMs } from '@tandem/core';
import { closeFd, isListening, type Reactor } from 'node-reuseport';
import type { HeldConnections } from './held-connections.js';
import { isWildcard, type Listener, sharedWith } from './listeners.js';
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
  /** What a pause lets go of: all, but what a successor does not read. */
  private left: ReadonlySet<Listener>;

  /** Takes the descriptors over, but not when it throws: one of them is no UDP socket, or its number is in use. */
  constructor(listeners: readonly Listener[], options: HeldListenersOptions) {
    const { reactor, base } = options;
    this.listeners = listeners;
    this.left = new Set(listeners);
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
      // Its owner may have ended, or hang, before it listened. Nobody comes there, and who polls it hears of nothing else.
      if (isListening(tcp)) clients.addListener(tcp, base + i);
    });
  }

  pause(): void {
    const { reactor, clients, base } = this.options;
    this.listeners.forEach((listener, i) => {
      if (!this.left.has(listener)) return;
      reactor.pauseListener(base + i);
      clients.removeListener(listener.tcp);
    });
  }

  /**
   * Its successor reads these: what it has besides is read here until it is closed, for it would be in its group without a reader. What
   * is under way of that at the end has no socket to be answered from.
   */
  leaveTo(successors: readonly Listener[]): void {
    this.left = sharedWith(this.listeners, successors);
  }

  takeConnections(isDead: boolean, nowMs: MonoMs): boolean {
    return this.options.connections?.take(isDead, nowMs) ?? true;
  }

  awake(): void {
    this.options.connections?.awake();
  }

  close(): void {
    this.options.connections?.close();
    const { reactor, clients, base } = this.options;
    this.listeners.forEach(({ udp, tcp }, i) => {
      reactor.removeListener(base + i);
      clients.removeListener(tcp);
      closeFd(udp);
      closeFd(tcp);
    });
  }
}
