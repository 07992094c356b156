/**
 * Core's Wire over the reactor: UDP goes into the transmit list of the next step, TCP to its connections.
 *
 * Invariant: what was listed lies still until it is sent: no scratch buffer is used twice between two flushes.
 */
import { SLOT, SLOT_FLAG, slotPayload, slotWord, STREAM_PORT, type SlotMemory, type Wire } from '@tandem/core';
import { type Reactor, TransmitKind, transmitStride } from 'node-reuseport';
import type { TcpClients } from './tcp-clients.js';
import type { TcpUpstreams } from './tcp-upstreams.js';

export class ReactorWire implements Wire {
  private readonly reactor: Reactor;
  private readonly memory: SlotMemory;
  private readonly transmit: Uint32Array;
  private readonly capacity: number;
  private clients: TcpClients | null = null;
  private upstreams: TcpUpstreams | null = null;
  private clientPorts: ((slot: number, except: number) => number) | null = null;
  private rows = 0;
  private scratchUsed = 0;
  private largeUsed = 0;

  constructor(reactor: Reactor, memory: SlotMemory) {
    this.reactor = reactor;
    this.memory = memory;
    this.transmit = reactor.transmit;
    this.capacity = reactor.journal.layout.transmitCapacity;
  }

  /** The streams need the query path and the path needs the wire: they are joined here, before the first packet. */
  setStreams(clients: TcpClients, upstreams: TcpUpstreams): void {
    this.clients = clients;
    this.upstreams = upstreams;
  }

  /** For questions that leave with their clients' addresses. */
  setClientPorts(numberFor: (slot: number, except: number) => number): void {
    this.clientPorts = numberFor;
  }

  /** Rows listed for the next step, which the caller passes on; the list is empty afterwards. */
  takeRows(): number {
    const rows = this.rows;
    this.rows = 0;
    this.scratchUsed = 0;
    this.largeUsed = 0;
    return rows;
  }

  ask(slot: number, port: number): void {
    if (port === STREAM_PORT) {
      this.upstreams!.ask(slot);
      return;
    }
    const length = this.memory.words[slotWord(this.memory, slot) + SLOT.length];
    this.list(TransmitKind.ASK, slot, slotPayload(this.memory, slot), length, port);
  }

  clientPort(slot: number, except: number): number {
    return this.clientPorts!(slot, except);
  }

  reply(slot: number, bytes: Uint8Array, offset: number, length: number): void {
    if (this.isTcp(slot)) this.clients!.reply(slot, bytes, offset, length);
    else this.list(TransmitKind.REPLY, slot, offset, length, 0);
  }

  /** An answer that the owner of a slot taken over had ready. */
  replyTaken(slot: number, offset: number, length: number): void {
    this.list(TransmitKind.REPLY, slot, offset, length, 0);
  }

  drop(slot: number): void {
    if (this.isTcp(slot)) this.clients!.drop(slot);
    else this.reactor.freeSlot(slot);
  }

  scratch(): number {
    const { scratchCount, scratchOffset, scratchStride } = this.reactor.journal.layout;
    if (this.scratchUsed === scratchCount || this.isFull) this.flush();
    return scratchOffset + this.scratchUsed++ * scratchStride;
  }

  largeScratch(): number {
    const { heldAnswerCount, heldAnswerOffset, answerStride } = this.reactor.journal.layout;
    if (this.largeUsed === heldAnswerCount || this.isFull) this.flush();
    return heldAnswerOffset + this.largeUsed++ * answerStride;
  }

  /** The next row would make room by sending; a buffer that is handed out before that would count as free after it. */
  private get isFull(): boolean {
    return this.rows === this.capacity;
  }

  private list(kind: number, slot: number, offset: number, length: number, port: number): void {
    if (this.isFull) this.flush();
    const row = this.rows++ * transmitStride;
    this.transmit[row] = kind;
    this.transmit[row + 1] = slot;
    this.transmit[row + 2] = offset;
    this.transmit[row + 3] = length;
    this.transmit[row + 4] = port;
  }

  /** Sends what is listed now. */
  flush(): void {
    this.reactor.flush(this.takeRows());
  }

  private isTcp(slot: number): boolean {
    return (this.memory.words[slotWord(this.memory, slot) + SLOT.flags] & SLOT_FLAG.tcp) !== 0;
  }
}
