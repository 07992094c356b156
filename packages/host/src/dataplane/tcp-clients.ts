/**
 * TCP connections from clients (RFC 7766): many queries on one connection, each answered as soon as its answer is
 * there, and bounds on everything that a client could use up.
 *
 * Invariant: each query takes a slot and gives it back once, also when its connection is gone by then.
 */
import { type MonoMs, type QueryPath, type SlotMemory } from '@tandem/core';
import { acceptConnection, closeFd, EAGAIN, type Reactor, remoteAddress, ReadyEvent } from 'node-reuseport';
import { ClientConnection } from './client-connection.js';
import type { Tokens, Watcher } from './tokens.js';

/** Connections accepted per readiness event, so that a flood of them does not starve UDP. */
const ACCEPTS_PER_EVENT = 64;
const SWEEP_EVERY_MS = 500;
/** Pause after the process ran out of file descriptors. */
const ACCEPT_PAUSE_MS = 100;
const ECONNABORTED = 103;

export interface TcpClientLimits {
  readonly connections: number;
  readonly connectionsPerClient: number;
  /** Without a whole query or an answer for this long, a connection is closed; dripping bytes does not count. */
  readonly idleTimeoutMs: number;
}

export interface TcpSeams {
  readonly reactor: Reactor;
  readonly memory: SlotMemory;
  readonly tokens: Tokens;
  /** The batch's time. */
  readonly nowMs: () => MonoMs;
}

export class TcpClients {
  private readonly seams: TcpSeams;
  private readonly path: QueryPath;
  private readonly limits: TcpClientLimits;
  private readonly connections = new Set<ClientConnection>();
  private readonly perClient = new Map<string, number>();
  private readonly ofSlot: (ClientConnection | null)[];
  private readonly short = new Set<ClientConnection>();
  private readonly listeners: { readonly fd: number; readonly token: number }[] = [];
  private accepting = true;
  private resumeAtMs = Infinity;
  private sweepAtMs = 0;

  constructor(seams: TcpSeams, path: QueryPath, limits: TcpClientLimits) {
    this.seams = seams;
    this.path = path;
    this.limits = limits;
    this.ofSlot = new Array<ClientConnection | null>(seams.memory.slotCount).fill(null);
  }

  get count(): number {
    return this.connections.size;
  }

  /** `index` goes into the slots' metadata. */
  addListener(fd: number, index: number): void {
    const watcher: Watcher = { onReady: () => this.accept(fd, index) };
    const token = this.seams.tokens.add(watcher);
    this.listeners.push({ fd, token });
    this.seams.reactor.watch(fd, token, ReadyEvent.IN);
  }

  /** When `tick` has something to do. */
  nextDeadlineMs(): number {
    return Math.min(this.resumeAtMs, this.connections.size > 0 ? this.sweepAtMs : Infinity);
  }

  tick(): void {
    const nowMs = this.seams.nowMs();
    if (nowMs >= this.resumeAtMs) this.setAccepting(true);
    // Slots may have come free in this batch.
    for (const connection of [...this.short]) {
      this.short.delete(connection);
      connection.resume();
    }
    if (nowMs < this.sweepAtMs) return;
    this.sweepAtMs = nowMs + SWEEP_EVERY_MS;
    for (const connection of this.connections) {
      if (nowMs - connection.progressAtMs >= this.limits.idleTimeoutMs) connection.close();
    }
  }

  /** Sends the answer to the slot's query, if its connection still exists, and frees the slot. */
  reply(slot: number, bytes: Uint8Array, offset: number, length: number): void {
    const connection = this.release(slot);
    connection?.answer(slot, bytes, offset, length);
  }

  /** Frees the slot; the query gets no answer. */
  drop(slot: number): void {
    this.release(slot)?.forget(slot);
  }

  /** Takes no more connections. */
  stop(): void {
    for (const { fd } of this.listeners) this.seams.reactor.unwatch(fd);
    this.listeners.length = 0;
  }

  closeAll(): void {
    this.stop();
    for (const connection of [...this.connections]) connection.close();
  }

  private release(slot: number): ClientConnection | null {
    const connection = this.ofSlot[slot];
    this.ofSlot[slot] = null;
    this.seams.reactor.freeSlot(slot);
    return connection;
  }

  private accept(listenerFd: number, index: number): void {
    for (let i = 0; i < ACCEPTS_PER_EVENT; i++) {
      if (this.connections.size >= this.limits.connections) {
        this.setAccepting(false);
        return;
      }
      const fd = acceptConnection(listenerFd);
      if (fd === -EAGAIN) return;
      if (fd === -ECONNABORTED) continue;
      if (fd < 0) {
        this.setAccepting(false);
        this.resumeAtMs = this.seams.nowMs() + ACCEPT_PAUSE_MS;
        return;
      }
      this.admit(fd, index);
    }
  }

  private admit(fd: number, index: number): void {
    const client = remoteAddress(fd);
    const count = client === null ? Infinity : (this.perClient.get(client.address) ?? 0);
    if (client === null || count >= this.limits.connectionsPerClient) {
      closeFd(fd);
      return;
    }
    this.perClient.set(client.address, count + 1);
    const connection = new ClientConnection(this.seams, this.path, {
      fd,
      listener: index,
      client,
      onSlot: (slot) => {
        this.ofSlot[slot] = connection;
      },
      onSlotsShort: () => this.short.add(connection),
      onClosed: (slots) => this.removed(connection, client.address, slots),
    });
    this.connections.add(connection);
  }

  private removed(connection: ClientConnection, address: string, slots: Iterable<number>): void {
    for (const slot of slots) this.ofSlot[slot] = null;
    this.connections.delete(connection);
    this.short.delete(connection);
    const count = this.perClient.get(address)! - 1;
    if (count === 0) this.perClient.delete(address);
    else this.perClient.set(address, count);
    if (!this.accepting && this.resumeAtMs === Infinity) this.setAccepting(true);
  }

  /** At the limit of connections the kernel's backlog holds newcomers. */
  private setAccepting(accepting: boolean): void {
    this.accepting = accepting;
    this.resumeAtMs = Infinity;
    for (const { fd, token } of this.listeners) this.seams.reactor.rewatch(fd, token, accepting ? ReadyEvent.IN : 0);
  }
}
