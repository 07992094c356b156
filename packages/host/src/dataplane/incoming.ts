/**
 * A member that gives its sockets and journal here, or a successor of our own role that asks for ours: one connection to our
 * handover socket, from hello to its end. What is said on it: handover-messages.ts.
 */
import { AppError, formatSocketAddress, type HeldMember, parseSocketAddress, type Role } from '@tandem/core';
import { closeFd, Journal, ReadyEvent } from 'node-reuseport';
import type { OwnRecord } from './connection-records.js';
import type { HandoverOptions } from './handover.js';
import { HANDOVER_PROTOCOL, type HandoverMessage, receiveHandover, sendHandover, workersOf } from './handover-messages.js';
import type { HeldConnections } from './held-connections.js';
import type { HeldListeners } from './held-sockets.js';
import type { Holder } from './holder.js';
import type { Listener } from './listeners.js';
import type { Watcher } from './tokens.js';

/** Tells members apart whose flows are read elsewhere. */
let nextKey = 1;

/** A member that gives its sockets and journal here. */
export class Incoming implements Watcher {
  role: Role | null = null;
  /** How many its member has. */
  workers = 1;
  held: HeldMember | null = null;
  listeners: readonly Listener[] = [];
  heldListeners: HeldListeners | null = null;
  connections: HeldConnections | null = null;
  private readonly holder: Holder;
  private readonly seams: HandoverOptions['seams'];
  private readonly fd: number;
  private readonly token: number;
  private isConnected = true;
  private readonly key = nextKey++;

  constructor(holder: Holder, seams: HandoverOptions['seams'], fd: number) {
    this.holder = holder;
    this.seams = seams;
    this.fd = fd;
    this.token = seams.tokens.add(this);
    seams.reactor.watch(fd, this.token, ReadyEvent.IN);
  }

  /** Called also when it has ended: its descriptor's number may be another's by then. */
  onReady(): void {
    if (!this.isConnected) return;
    try {
      for (let received = receiveHandover(this.fd); received !== 'none'; received = receiveHandover(this.fd)) {
        if (received === 'end') {
          this.end();
          return;
        }
        this.handle(received.message, received.fds);
      }
    } catch (error) {
      this.holder.warn(error instanceof Error ? error.message : String(error));
      this.end();
    }
  }

  private handle(message: HandoverMessage, fds: readonly number[]): void {
    switch (message.kind) {
      case 'hello':
        this.workers = workersOf(message);
        this.hello(message.role, message.protocol);
        break;
      case 'share':
        this.share(message.listen, fds);
        break;
      case 'connection':
        this.connection(message, fds);
        break;
      case 'reading':
        this.holder.giveBackAll(this);
        break;
      case 'drain':
        this.drain();
        break;
      default:
        throw new AppError('LINK', `a giver does not say ${message.kind}`);
    }
  }

  private hello(role: Role, protocol: number): void {
    this.role = role;
    if (this.holder.own.yieldTo(this.fd, role)) return;
    const listeners = this.holder.inheritance(role);
    const listen = listeners.map(({ address }) => formatSocketAddress(address));
    sendHandover(this.fd, { kind: 'welcome', protocol: Math.min(protocol, HANDOVER_PROTOCOL), layout: this.holder.layout, listen }, listeners.flatMap(({ udp, tcp }) => [udp, tcp]));
  }

  private share(listen: readonly string[], fds: readonly number[]): void {
    const [journalFd, ...sockets] = fds;
    if (this.held !== null || journalFd === undefined || sockets.length !== 2 * listen.length) {
      for (const fd of fds) closeFd(fd);
      throw new AppError('LINK', 'a share does not fit its descriptors');
    }
    let journal: Journal | null = null;
    try {
      journal = Journal.open(journalFd);
      const listeners = listen.map((text, i) => ({ udp: sockets[2 * i], tcp: sockets[2 * i + 1], address: parseSocketAddress(text)! }));
      const { member, heldListeners, connections } = this.holder.hold(journal, listeners);
      this.listeners = listeners;
      this.heldListeners = heldListeners;
      this.held = member;
      this.connections = connections;
      if (this.role !== null) this.holder.flows(this.key, this.role, journal);
    } catch (error) {
      // Whoever gives what cannot be held gives it again and again: nothing of it may stay.
      journal?.release();
      for (const fd of sockets) closeFd(fd);
      throw error;
    } finally {
      closeFd(journalFd);
    }
    sendHandover(this.fd, { kind: 'taken' });
  }

  private drain(): void {
    const mayLeave = this.holder.own.mayPeerLeave();
    if (mayLeave) this.held?.drain();
    sendHandover(this.fd, { kind: mayLeave ? 'adopted' : 'busy' });
  }

  private connection({ index, generation }: OwnRecord, fds: readonly number[]): void {
    if (fds.length !== 1 || this.connections === null) {
      for (const fd of fds) closeFd(fd);
      if (fds.length !== 1) throw new AppError('LINK', 'a connection does not fit its descriptors');
      return;
    }
    this.connections.add({ index, generation }, fds[0]);
  }

  /** This process goes on without a data plane: nothing of the other member is kept. */
  close(): void {
    this.disconnect();
    this.held?.release();
  }

  private end(): void {
    this.disconnect();
    this.holder.flowsEnded(this.key);
    if (this.held === null) this.holder.forget(this);
    else this.held.end(this.seams.nowMs());
  }

  private disconnect(): void {
    if (!this.isConnected) return;
    this.isConnected = false;
    this.seams.reactor.unwatch(this.fd);
    this.seams.tokens.remove(this.token);
    closeFd(this.fd);
  }
}

/** Listeners from a message; none (descriptors closed) where it does not fit its descriptors. */
export function listenersOf(listen: readonly string[], fds: readonly number[]): readonly Listener[] {
  if (fds.length !== 2 * listen.length || listen.some((text) => parseSocketAddress(text) === null)) {
    for (const fd of fds) closeFd(fd);
    return [];
  }
  return listen.map((text, i) => ({ udp: fds[2 * i], tcp: fds[2 * i + 1], address: parseSocketAddress(text)! }));
}
