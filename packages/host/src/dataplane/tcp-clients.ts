/**
 * TCP connections from clients (RFC 7766): many queries on one connection, each answered as soon as its answer is
 * there, and bounds on everything that a client could use up.
 *
 * Invariant: each query takes a slot and gives it back once, also when its connection is gone by then.
 */
import type { MonoMs, QueryPath, SlotMemory, SocketAddress } from '@tandem/core';
import { acceptConnection, closeFd, EAGAIN, type Reactor, remoteAddress, ReadyEvent } from 'node-reuseport';
import { ClientConnection } from './client-connection.js';
import type { UnsentBudget } from './stream.js';
import type { Tokens, Watcher } from './tokens.js';

/** Connections accepted per readiness event, so that a flood of them does not starve UDP. */
const ACCEPTS_PER_EVENT = 64;
const SWEEP_EVERY_MS = 500;
/** How soon a connection that found no slot looks again. */
const SLOTS_AGAIN_MS = 5;
/** Pause after the process ran out of file descriptors. */
const ACCEPT_PAUSE_MS = 100;
const ECONNABORTED = 103;

export interface TcpClientLimits {
  readonly connections: number;
  readonly connectionsPerClient: number;
  /** Without a query under way, and without a whole query or an answer for this long, a connection is closed; dripping bytes does not count. */
  readonly idleTimeoutMs: number;
}

export interface TcpSeams {
  readonly reactor: Reactor;
  readonly memory: SlotMemory;
  readonly tokens: Tokens;
  readonly unsent: UnsentBudget;
  /** The batch's time. */
  readonly nowMs: () => MonoMs;
}

export class TcpClients {
  private readonly seams: TcpSeams;
  private readonly path: QueryPath;
  private readonly limits: TcpClientLimits;
  /** The one without a whole query or an answer for the longest time comes first. */
  private readonly connections = new Set<ClientConnection>();
  private readonly perClient = new Map<string, number>();
  private readonly ofSlot: (ClientConnection | null)[];
  /** Found no slot. */
  private readonly short = new Set<ClientConnection>();
  /** May take more queries now. */
  private readonly roomy = new Set<ClientConnection>();
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

  /** Connections that wait there are another's to accept. */
  removeListener(fd: number): void {
    const at = this.listeners.findIndex((listener) => listener.fd === fd);
    if (at < 0) return;
    this.seams.reactor.unwatch(fd);
    this.seams.tokens.remove(this.listeners[at].token);
    this.listeners.splice(at, 1);
  }

  /** When `tick` has something to do. */
  nextDeadlineMs(): number {
    if (this.roomy.size > 0) return 0;
    const againAtMs = this.short.size > 0 ? this.seams.nowMs() + SLOTS_AGAIN_MS : Infinity;
    return Math.min(this.resumeAtMs, againAtMs, this.connections.size > 0 ? this.sweepAtMs : Infinity);
  }

  tick(): void {
    const nowMs = this.seams.nowMs();
    if (nowMs >= this.resumeAtMs) this.setAccepting(true);
    if (this.short.size + this.roomy.size > 0) this.resume();
    if (nowMs < this.sweepAtMs) return;
    this.sweepAtMs = nowMs + SWEEP_EVERY_MS;
    for (const connection of this.connections) {
      if (nowMs - connection.progressAtMs < this.limits.idleTimeoutMs) break;
      if (connection.isIdle) connection.close();
    }
  }

  /** Sends the answer to the slot's query, if its connection still exists, and frees the slot. */
  reply(slot: number, bytes: Uint8Array, offset: number, length: number): void {
    const connection = this.release(slot);
    if (connection === null) return;
    connection.answer(slot, bytes, offset, length);
    if (!this.connections.has(connection)) return;
    this.progressed(connection);
    if (connection.isIdle) this.madeRoom();
  }

  /** Frees the slot; the query gets no answer. */
  drop(slot: number): void {
    this.release(slot)?.forget(slot);
  }

  /** Nothing is owed to any client. */
  get isSettled(): boolean {
    for (const connection of this.connections) if (!connection.isSettled) return false;
    return true;
  }

  /** Takes no more connections and queries. */
  stop(): void {
    for (const { fd } of this.listeners) this.seams.reactor.unwatch(fd);
    this.listeners.length = 0;
    for (const connection of this.connections) connection.finish();
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

  /** The query path calls back into connections, but they may only call it from here or when their socket is ready. */
  private resume(): void {
    const connections = new Set([...this.roomy, ...this.short]);
    this.roomy.clear();
    this.short.clear();
    for (const connection of connections) connection.resume();
  }

  private accept(listenerFd: number, index: number): void {
    for (let i = 0; i < ACCEPTS_PER_EVENT; i++) {
      const isFull = this.connections.size >= this.limits.connections;
      const longestIdle = isFull ? this.longestIdle() : null;
      if (isFull && longestIdle === null) {
        this.setAccepting(false);
        return;
      }
      const fd = acceptConnection(listenerFd);
      if (fd === -EAGAIN) return;
      if (fd === -ECONNABORTED) continue;
      if (fd < 0) {
        this.pauseAccepting();
        return;
      }
      this.admit(fd, index, longestIdle);
    }
  }

  private longestIdle(): ClientConnection | null {
    for (const connection of this.connections) if (connection.isIdle) return connection;
    return null;
  }

  /** `yielding` gives its place up for the new one. */
  private admit(fd: number, index: number, yielding: ClientConnection | null): void {
    const client = remoteAddress(fd);
    const count = client === null ? Infinity : (this.perClient.get(client.address) ?? 0);
    if (client === null || count >= this.limits.connectionsPerClient) {
      closeFd(fd);
      return;
    }
    yielding?.close();
    let connection: ClientConnection;
    try {
      connection = this.connectionOf(fd, index, client);
    } catch {
      // The kernel has no room to watch one more: as with descriptors.
      closeFd(fd);
      this.pauseAccepting();
      return;
    }
    this.perClient.set(client.address, (this.perClient.get(client.address) ?? 0) + 1);
    this.connections.add(connection);
  }

  private connectionOf(fd: number, index: number, client: SocketAddress): ClientConnection {
    const connection: ClientConnection = new ClientConnection(this.seams, this.path, {
      fd,
      listener: index,
      client,
      onSlot: (slot) => {
        this.ofSlot[slot] = connection;
        this.progressed(connection);
      },
      onSlotsShort: () => this.short.add(connection),
      onRoom: () => this.roomy.add(connection),
      onClosed: (slots) => this.removed(connection, client.address, slots),
    });
    return connection;
  }

  private pauseAccepting(): void {
    this.setAccepting(false);
    this.resumeAtMs = this.seams.nowMs() + ACCEPT_PAUSE_MS;
  }

  private removed(connection: ClientConnection, address: string, slots: Iterable<number>): void {
    for (const slot of slots) this.ofSlot[slot] = null;
    this.connections.delete(connection);
    this.short.delete(connection);
    this.roomy.delete(connection);
    const count = this.perClient.get(address)! - 1;
    if (count === 0) this.perClient.delete(address);
    else this.perClient.set(address, count);
    this.madeRoom();
  }

  private progressed(connection: ClientConnection): void {
    this.connections.delete(connection);
    this.connections.add(connection);
  }

  /** A connection is idle or gone: a newcomer may have its place. */
  private madeRoom(): void {
    if (!this.accepting && this.resumeAtMs === Infinity) this.setAccepting(true);
  }

  /** Where every connection has queries under way, the kernel's backlog holds newcomers. */
  private setAccepting(accepting: boolean): void {
    this.accepting = accepting;
    this.resumeAtMs = Infinity;
    for (const { fd, token } of this.listeners) this.seams.reactor.rewatch(fd, token, accepting ? ReadyEvent.IN : 0);
  }
}
