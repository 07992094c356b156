/**
 * The kernel's SO_REUSEPORT group: a flow's hash chooses among the bound sockets.
 *
 * As in the kernel: a socket that closes leaves its place to the last one, so flows are hashed anew; a socket closes when
 * nobody holds a descriptor of it any more, and what waits in it is then lost; a process that is stopped keeps its
 * sockets' share; whoever holds a descriptor may read, and nobody is told by whom it was meant to be read.
 */
import { assert } from '@tandem/core';
import type { Datagram } from './datagram.js';

/** What polls a socket. */
export interface Reader {
  wake(): void;
}

/** Datagrams in one socket at most: the next is lost, as in the kernel. */
const QUEUE_MAX = 4096;

export class SharedSocket {
  readonly number: number;
  readonly queue: Datagram[] = [];
  /** In the order in which they began to poll. */
  readonly readers = new Set<Reader>();
  private readonly group: ReuseportSwitch;
  private descriptors = 1;

  constructor(number: number, group: ReuseportSwitch) {
    this.number = number;
    this.group = group;
  }

  /** One more descriptor of it, in a message or in another process. */
  duplicate(): void {
    assert(this.descriptors > 0, 'the socket is open');
    this.descriptors++;
  }

  /** One descriptor less. */
  close(): void {
    assert(this.descriptors > 0, 'no descriptor is closed twice');
    if (--this.descriptors === 0) this.group.remove(this);
  }

  /** One that was handed back may be bound already, or not. */
  bind(): void {
    this.group.add(this);
  }
}

export class ReuseportSwitch {
  private readonly members: SharedSocket[] = [];
  private readonly onLost: (datagram: Datagram) => void;
  private sockets = 0;

  constructor(onLost: (datagram: Datagram) => void) {
    this.onLost = onLost;
  }

  /** Sockets in the group. */
  get size(): number {
    return this.members.length;
  }

  /** A new socket, not bound yet. */
  create(): SharedSocket {
    return new SharedSocket(++this.sockets, this);
  }

  add(socket: SharedSocket): void {
    if (!this.members.includes(socket)) this.members.push(socket);
  }

  remove(socket: SharedSocket): void {
    const index = this.members.indexOf(socket);
    if (index >= 0) {
      const last = this.members.pop()!;
      if (last !== socket) this.members[index] = last;
    }
    for (const datagram of socket.queue.splice(0)) this.onLost(datagram);
  }

  deliver(datagram: Datagram): void {
    const socket = this.chosen(datagram.flow.hash);
    if (socket === null || socket.queue.length >= QUEUE_MAX) {
      this.onLost(datagram);
      return;
    }
    socket.queue.push(datagram);
    for (const reader of socket.readers) reader.wake();
  }

  /** The socket of a flow, by the upper bits of its hash times the size of the group (`reciprocal_scale`). */
  chosen(hash: number): SharedSocket | null {
    if (this.members.length === 0) return null;
    return this.members[Math.floor((hash / 0x1_0000_0000) * this.members.length)];
  }
}
