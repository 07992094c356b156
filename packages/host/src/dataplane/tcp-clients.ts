/**
 * TCP connections from clients (RFC 7766): many queries on one connection, each answered as soon as its answer is
 * there, and bounds on everything that a client could use up.
 *
 * Invariant: each query takes a slot and gives it back once, also when its connection is gone by then.
 */
import type { MonoMs, SlotMemory, SocketAddress } from '@tandem/core';
import { acceptConnection, closeFd, EAGAIN, type Reactor, remoteAddress, ReadyEvent } from 'node-reuseport';
import { ClientConnection, type ConnectionEnd, type ConnectionStart, NEW_CONNECTION } from './client-connection.js';
import type { ConnectionRecords } from './connection-records.js';
import { UNSENT_IN_ALL_MAX, type UnsentBudget } from './stream.js';
import type { Tokens, Watcher } from './tokens.js';

/** Connections accepted per readiness event, so that a flood of them does not starve UDP. */
const ACCEPTS_PER_EVENT = 64;
const SWEEP_EVERY_MS = 500;
/** How soon a connection that found no slot looks again. */
const SLOTS_AGAIN_MS = 5;
/** A connection that the peer does not take in this time is read all the same: the peer hangs. */
const SHARE_WAIT_MS = 20;
/** A slot whose connection was lost to the peer is left to the peer for so long. */
const LOST_SLOT_MS = 1000;
/** So many slots, or one in eight of all where that is more, may hold answers that their clients do not read. */
const UNREAD_SLOTS_LEAST = 100;
const UNREAD_SLOTS_SHIFT = 3;
/** Pause after the process ran out of file descriptors. */
const ACCEPT_PAUSE_MS = 100;
const ECONNABORTED = 103;

export interface TcpClientLimits {
  readonly connections: number;
  readonly connectionsPerClient: number;
  /** Without a query under way, and without a whole query or an answer for this long, a connection is closed; dripping bytes does not count. */
  readonly idleTimeoutMs: number;
}

/** Gives the connection to the peer to hold. 'later': it takes none now; 'alone': there is no peer. */
export type ShareConnection = (connection: ClientConnection) => 'shared' | 'later' | 'alone';

export interface TcpSeams {
  readonly reactor: Reactor;
  readonly memory: SlotMemory;
  readonly tokens: Tokens;
  readonly unsent: UnsentBudget;
  readonly records: ConnectionRecords;
  /** The batch's time. */
  readonly nowMs: () => MonoMs;
  /** A query that is in a slot now. */
  readonly onQuery: (slot: number) => void;
}

interface Closed {
  readonly address: string;
  readonly asked: Iterable<number>;
  readonly unwritten: Iterable<number>;
  readonly end: ConnectionEnd;
}

export class TcpClients {
  private readonly seams: TcpSeams;
  private readonly limits: TcpClientLimits;
  private share: ShareConnection = () => 'alone';
  /** The one without a whole query or an answer for the longest time comes first. */
  private readonly connections = new Set<ClientConnection>();
  private readonly perClient = new Map<string, number>();
  private readonly ofSlot: (ClientConnection | null)[];
  /** Slots whose connection is the peer's now: the path still has the first, the others are freed at that time. */
  private readonly lostAsked = new Set<number>();
  private readonly lost = new Map<number, number>();
  /** Not held by the peer yet; read from that time on whether they are or not. */
  private readonly unshared = new Map<ClientConnection, number>();
  /** Found no slot. */
  private readonly short = new Set<ClientConnection>();
  /** Have answers to write at the end of the turn. */
  private filled: ClientConnection[] = [];
  /** May take more queries now. */
  private readonly roomy = new Set<ClientConnection>();
  private readonly listeners: { readonly fd: number; readonly token: number }[] = [];
  private accepting = true;
  private resumeAtMs = Infinity;
  private sweepAtMs = 0;

  constructor(seams: TcpSeams, limits: TcpClientLimits) {
    this.seams = seams;
    this.limits = limits;
    this.ofSlot = new Array<ClientConnection | null>(seams.memory.slotCount).fill(null);
  }

  /** From now on there may be a peer that holds connections; those that are there are given to it. */
  setShare(share: ShareConnection): void {
    this.share = share;
    const nowMs = this.seams.nowMs();
    for (const connection of this.connections) this.unshared.set(connection, nowMs);
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
    const againAtMs = this.short.size > 0 || this.unshared.size > 0 ? this.seams.nowMs() + SLOTS_AGAIN_MS : Infinity;
    return Math.min(this.resumeAtMs, againAtMs, this.connections.size + this.lost.size > 0 ? this.sweepAtMs : Infinity);
  }

  tick(): void {
    const nowMs = this.seams.nowMs();
    if (nowMs >= this.resumeAtMs) this.setAccepting(true);
    if (this.unshared.size > 0) this.shareAgain(nowMs);
    if (this.short.size + this.roomy.size > 0) this.resume();
    if (nowMs < this.sweepAtMs) return;
    this.sweepAtMs = nowMs + SWEEP_EVERY_MS;
    for (const connection of this.connections) {
      const isOld = nowMs - connection.progressAtMs >= this.limits.idleTimeoutMs;
      if (isOld && (connection.isIdle || connection.isStuck)) connection.close();
    }
    for (const [slot, atMs] of this.lost) if (nowMs >= atMs) this.free(slot);
  }

  /** Sends the answer to the slot's query, if its connection still exists; the slot is free once it is written. */
  reply(slot: number, bytes: Uint8Array, offset: number, length: number): void {
    const connection = this.ofSlot[slot];
    if (connection === null) {
      this.answeredNobody(slot);
      return;
    }
    connection.answer(slot, bytes, offset, length);
    if (this.connections.has(connection)) this.progressed(connection);
  }

  /** At the end of a turn: the answers to one client leave together. */
  flush(): void {
    const { filled } = this;
    if (filled.length === 0) return;
    this.filled = [];
    for (const connection of filled) {
      connection.isFilled = false;
      connection.flush();
      if (this.connections.has(connection) && connection.isIdle) this.madeRoom();
    }
    this.relieve();
  }

  /** Frees the slot; the query gets no answer. */
  drop(slot: number): void {
    const connection = this.ofSlot[slot];
    this.answeredNobody(slot);
    connection?.forget(slot);
  }

  /** A connection that was another member's. Null when it is broken, or no record is left for it. Takes the descriptor over. */
  adopt(fd: number, listener: number, start: ConnectionStart): ClientConnection | null {
    const client = remoteAddress(fd);
    const connection = client === null ? null : this.open(fd, listener, { client, start });
    if (connection === null) closeFd(fd);
    else this.roomy.add(connection);
    return connection;
  }

  /** Nothing is owed to any client. */
  get isSettled(): boolean {
    for (const connection of this.connections) if (!connection.isIdle) return false;
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

  /** Leaves the connections to the peer that holds them. */
  leaveAll(): void {
    this.stop();
    for (const connection of [...this.connections]) connection.leave();
  }

  private free(slot: number): void {
    this.ofSlot[slot] = null;
    this.lost.delete(slot);
    this.seams.reactor.freeSlot(slot);
  }

  /** The path is done with the slot; its connection is gone, or about to be closed. */
  private answeredNobody(slot: number): void {
    if (this.lostAsked.delete(slot)) this.leaveToPeer(slot);
    else this.free(slot);
  }

  /** A slot must not look answered before the peer that took its connection had time to take it, too. */
  private leaveToPeer(slot: number): void {
    this.ofSlot[slot] = null;
    this.lost.set(slot, this.seams.nowMs() + LOST_SLOT_MS);
  }

  private shareAgain(nowMs: MonoMs): void {
    let isLater = false;
    for (const [connection, readAtMs] of this.unshared) {
      // A peer that takes none takes the next one neither: it hangs, and there may be thousands.
      isLater ||= this.share(connection) === 'later';
      if (isLater) {
        if (nowMs >= readAtMs) connection.nowShared();
        continue;
      }
      this.unshared.delete(connection);
      connection.nowShared();
    }
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
    const connection = this.open(fd, index, { client, start: NEW_CONNECTION });
    if (connection !== null) return;
    // The kernel has no room to watch one more: as with descriptors.
    closeFd(fd);
    this.pauseAccepting();
  }

  /** Null: there is no room for it; the descriptor is still the caller's. */
  private open(fd: number, listener: number, from: { readonly client: SocketAddress; readonly start: ConnectionStart }): ClientConnection | null {
    const record = this.seams.records.allocate(listener);
    if (record === null) return null;
    const { client } = from;
    // What closes it while it is being made is noticed after that.
    let isMade = false;
    let closing: (() => void) | null = null;
    let connection: ClientConnection;
    try {
      const onClosed = (asked: Iterable<number>, unwritten: Iterable<number>, end: ConnectionEnd): void => {
        const remove = (): void => this.removed(connection, { address: client.address, asked, unwritten, end });
        if (isMade) remove();
        else closing = remove;
      };
      connection = new ClientConnection(this.seams, {
        fd,
        listener,
        record,
        ...from,
        onSlot: (slot) => {
          this.ofSlot[slot] = connection;
          this.progressed(connection);
        },
        onFilled: () => this.fill(connection),
        onUnasked: (slot) => this.answeredNobody(slot),
        onPassed: (slot) => this.leaveToPeer(slot),
        onAnswered: (slot) => this.free(slot),
        onSlotsShort: () => this.short.add(connection),
        onRoom: () => this.roomy.add(connection),
        onClosed,
      }, false);
    } catch {
      this.seams.records.forget(record);
      return null;
    }
    isMade = true;
    this.perClient.set(client.address, (this.perClient.get(client.address) ?? 0) + 1);
    this.connections.add(connection);
    (closing as (() => void) | null)?.();
    if (!this.connections.has(connection)) return connection;
    if (this.share(connection) === 'later') this.unshared.set(connection, this.seams.nowMs() + SHARE_WAIT_MS);
    else connection.nowShared();
    return connection;
  }

  private pauseAccepting(): void {
    this.setAccepting(false);
    this.resumeAtMs = this.seams.nowMs() + ACCEPT_PAUSE_MS;
  }

  private removed(connection: ClientConnection, closed: Closed): void {
    const { address, asked, unwritten, end } = closed;
    for (const slot of asked) {
      this.ofSlot[slot] = null;
      if (end !== 'closed') this.lostAsked.add(slot);
    }
    for (const slot of unwritten) {
      if (end === 'closed') this.free(slot);
      else this.leaveToPeer(slot);
    }
    // What is left to the peer keeps its record: it is what the peer goes by.
    if (end !== 'left') this.seams.records.forget(connection.record);
    this.connections.delete(connection);
    this.short.delete(connection);
    this.roomy.delete(connection);
    this.unshared.delete(connection);
    const count = this.perClient.get(address)! - 1;
    if (count === 0) this.perClient.delete(address);
    else this.perClient.set(address, count);
    this.madeRoom();
  }

  /** Where more waits for readers than all connections may have, those go that hold most of it. */
  private relieve(): void {
    const { unsent, memory } = this.seams;
    if (unsent.bytes > UNSENT_IN_ALL_MAX) this.closeHeaviest((connection) => connection.unreadBytes, () => unsent.bytes > UNSENT_IN_ALL_MAX);
    const slotsMax = Math.max(UNREAD_SLOTS_LEAST, memory.slotCount >> UNREAD_SLOTS_SHIFT);
    if (unsent.slots > slotsMax) this.closeHeaviest((connection) => connection.unreadSlots, () => unsent.slots > slotsMax);
  }

  /** Of the client that holds most the connections that hold most, as long as it is too much; then of the next: others lose nothing. */
  private closeHeaviest(held: (connection: ClientConnection) => number, isTooMuch: () => boolean): void {
    const clients = Map.groupBy(this.connections, (connection) => connection.clientAddress);
    const sums = [...clients.values()].map((ofClient) => ({ ofClient, sum: ofClient.reduce((sum, connection) => sum + held(connection), 0) }));
    for (const { ofClient } of sums.sort((a, b) => b.sum - a.sum)) {
      for (const connection of ofClient.sort((a, b) => held(b) - held(a))) {
        if (!isTooMuch()) return;
        connection.close();
      }
    }
  }

  private fill(connection: ClientConnection): void {
    if (connection.isFilled) return;
    connection.isFilled = true;
    this.filled.push(connection);
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
