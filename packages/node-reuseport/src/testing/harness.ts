/** What the tests share: sockets on loopback, and a journal with its reactor and word-wise access to slots. */
import {
  bindSocket,
  connectSocket,
  Control,
  Journal,
  localAddress,
  openSocket,
  Reactor,
  receiveInto,
  sendFrom,
  TransmitKind,
  transmitStride,
} from '../index.js';

export function udp(family: 4 | 6 = 4, extra: { packetInfo?: boolean; reusePort?: boolean } = {}): number {
  const fd = openSocket({ type: 'udp', family, ...extra });
  bindSocket(fd, family === 4 ? '127.0.0.1' : '::1', 0);
  return fd;
}

/** A UDP socket connected to where `server` is bound. */
export function client(server: number): number {
  const where = localAddress(server);
  const fd = udp(where.family);
  connectSocket(fd, where.address, where.port);
  return fd;
}

export function sendId(fd: number, id: number): void {
  const sent = sendFrom(fd, new Uint8Array(Uint32Array.of(id).buffer), 0, 4);
  if (sent !== 4) throw new Error(`send said ${String(sent)}`);
}

/** The u32 at the start of every datagram that waits. */
export function receiveIds(fd: number): number[] {
  const buffer = new Uint8Array(65536);
  const ids: number[] = [];
  for (;;) {
    const length = receiveInto(fd, buffer, 0, buffer.length, false);
    if (length < 0) return ids;
    ids.push(length < 4 ? -1 : new DataView(buffer.buffer).getUint32(0, true));
  }
}

export class Side {
  readonly journal: Journal;
  readonly reactor: Reactor;
  readonly words: Uint32Array;
  readonly bytes: Uint8Array;

  constructor(slots: number, batch: number, options: { readonly readyCapacity?: number; readonly version?: number } = {}) {
    const { readyCapacity = 256, version } = options;
    this.journal = Journal.create({ slots, batch, ...(version === undefined ? {} : { version }) });
    this.reactor = new Reactor(this.journal, { readyCapacity });
    this.words = new Uint32Array(this.journal.buffer);
    this.bytes = new Uint8Array(this.journal.buffer);
  }

  state(slot: number): number {
    return this.words[this.journal.layout.stateOffset / 4 + slot] & 7;
  }

  meta(slot: number): number {
    return (this.journal.layout.slotOffset + slot * this.journal.layout.slotStride) / 4;
  }

  payload(slot: number): number {
    return this.meta(slot) * 4 + this.journal.layout.payloadOffset;
  }

  /** The u32 at the start of the slot's payload. */
  id(slot: number): number {
    return this.words[this.payload(slot) / 4];
  }

  /** Lists an answer: the slot's own first four bytes, or what lies at `offset`. */
  reply(row: number, slot: number, offset = this.payload(slot), length = 4): void {
    this.reactor.transmit.set([TransmitKind.REPLY, slot, offset, length, 0, 0, 0, 0], row * transmitStride);
  }

  ask(row: number, slot: number, length: number, upstream: number): void {
    this.reactor.transmit.set([TransmitKind.ASK, slot, this.payload(slot), length, upstream, 0, 0, 0], row * transmitStride);
  }

  /** Steps once and returns the slots received. */
  receive(timeoutMs = 0): number[] {
    this.reactor.step(0, timeoutMs);
    return [...this.reactor.received.subarray(0, this.reactor.control[Control.RECEIVED])];
  }

  count(index: number): number {
    return this.reactor.control[index];
  }

  close(): void {
    this.reactor.close();
    this.journal.release();
  }
}
