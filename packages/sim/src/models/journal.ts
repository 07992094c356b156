/**
 * A journal as it lies in shared memory: slots with their state words, the receive and transmit batches, notes of thefts.
 * Both its owner (models/reactor.ts) and a thief (models/take.ts) work on it, as on the addon's.
 *
 * Invariant: a state word changes by compare-and-swap only, and each arming has a new generation. What the kernel writes
 * (payload, then length) is written in one piece: no kill falls into a system call.
 * Left out: bytes of names and control data (a slot keeps the datagram they would be read from), and memory order.
 */
import { SLOT, setReceivedAtMs, slotPayload, slotWord, type SlotMemory } from '@tandem/core';
import type { Datagram } from './datagram.js';

export const STATE = { free: 0, armed: 1, work: 2, send: 3, stolen: 4 } as const;
const STATE_BITS = 3;
const STATE_MASK = (1 << STATE_BITS) - 1;

/** In a length: the kernel has not written it. In an index: no slot. In a listener: none. */
export const UNSET = 0xffff_ffff;

/** Datagrams received at once, answer buffers. */
export const BATCH = 16;
export const TRANSMIT_ROWS = 64;
const STRIDE_BYTES = 1152;
const PAYLOAD_OFFSET = 128;
export const PAYLOAD_BYTES = STRIDE_BYTES - PAYLOAD_OFFSET;
/** The upstreams here send nothing larger. */
export const ANSWER_BYTES = 4096;
export const SCRATCHES = 64;
export const LARGE_SCRATCHES = 4;
const SCRATCH_BYTES = 512;

export interface ReceiveEntry {
  slot: number;
  /** `msg_len`. */
  length: number;
  listener: number;
}

/** A row of the transmit batch. */
export interface TransmitEntry {
  slot: number;
  /** The state word (SEND) of the slot while this entry is under way. */
  word: number;
  offset: number;
  length: number;
  /** Index of the message that it leaves in, perhaps with others. */
  message: number;
}

/** What a message's header says. */
export interface TransmitMessage {
  /** False: poisoned; the kernel refuses to send it. */
  hasName: boolean;
  /** `msg_len`: UNSET until the kernel has sent it. */
  sent: number;
}

/** What is remembered of thefts; survives the slot's reuse. */
export interface Note {
  stolenWord: number;
  sentWord: number;
  sourceSlot: number;
  sourceWord: number;
  /** Number of the journal copied from; 0: received. */
  sourceJournal: number;
  /** The swap that makes the theft has happened. */
  isTaken: boolean;
}

const NO_RECEIVE: ReceiveEntry = { slot: UNSET, length: UNSET, listener: UNSET };
const NO_TRANSMIT: TransmitEntry = { slot: UNSET, word: 0, offset: 0, length: 0, message: 0 };
const NO_MESSAGE: TransmitMessage = { hasName: false, sent: UNSET };
const NO_NOTE: Note = { stolenWord: 0, sentWord: 0, sourceSlot: 0, sourceWord: 0, sourceJournal: 0, isTaken: false };

export function stateOf(word: number): number {
  return word & STATE_MASK;
}

export function withState(word: number, state: number): number {
  return ((word & ~STATE_MASK) | state) >>> 0;
}

export function nextGeneration(word: number, state: number): number {
  return ((((word >>> STATE_BITS) + 1) << STATE_BITS) | state) >>> 0;
}

export class Journal implements SlotMemory {
  number: number;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly slotCount: number;
  readonly firstSlotOffset = 0;
  readonly slotStride = STRIDE_BYTES;
  readonly payloadOffset = PAYLOAD_OFFSET;
  readonly states: Uint32Array;
  readonly notes: Note[];
  /** What each slot received: stands for its name and control data. */
  readonly datagrams: (Datagram | null)[];
  readonly receive: ReceiveEntry[];
  readonly transmit: TransmitEntry[];
  readonly messages: TransmitMessage[];
  readonly answerOffset: number;
  readonly scratchOffset: number;
  readonly largeOffset: number;
  readonly adoptionOffset: number;
  heartbeat = 0;
  /** Slot that is being read, plus one. */
  cursor = 0;
  /** Its owner has met a fault, and has said so with its last breath. */
  isDying = false;

  constructor(number: number, slotCount: number) {
    this.number = number;
    this.slotCount = slotCount;
    this.answerOffset = slotCount * STRIDE_BYTES;
    this.scratchOffset = this.answerOffset + BATCH * ANSWER_BYTES;
    this.largeOffset = this.scratchOffset + SCRATCHES * SCRATCH_BYTES;
    this.adoptionOffset = this.largeOffset + LARGE_SCRATCHES * ANSWER_BYTES;
    this.bytes = new Uint8Array(this.adoptionOffset + ANSWER_BYTES);
    this.words = new Uint32Array(this.bytes.buffer);
    this.states = new Uint32Array(slotCount);
    this.notes = Array.from({ length: slotCount }, () => ({ ...NO_NOTE }));
    this.datagrams = new Array<Datagram | null>(slotCount).fill(null);
    this.receive = Array.from({ length: BATCH }, () => ({ ...NO_RECEIVE }));
    this.transmit = Array.from({ length: TRANSMIT_ROWS }, () => ({ ...NO_TRANSMIT }));
    this.messages = Array.from({ length: TRANSMIT_ROWS }, () => ({ ...NO_MESSAGE }));
  }

  /** As new, for another process. */
  clear(number: number): void {
    this.number = number;
    this.bytes.fill(0);
    this.states.fill(0);
    for (const note of this.notes) Object.assign(note, NO_NOTE);
    this.datagrams.fill(null);
    for (const entry of this.receive) Object.assign(entry, NO_RECEIVE);
    for (const entry of this.transmit) Object.assign(entry, NO_TRANSMIT);
    for (const message of this.messages) Object.assign(message, NO_MESSAGE);
    this.heartbeat = 0;
    this.cursor = 0;
    this.isDying = false;
  }

  state(slot: number): number {
    return stateOf(this.states[slot]);
  }

  swap(slot: number, expected: number, desired: number): boolean {
    if (this.states[slot] !== expected) return false;
    this.states[slot] = desired;
    return true;
  }

  /** Slots that somebody is owed an answer for. */
  owed(): number[] {
    const slots: number[] = [];
    for (let slot = 0; slot < this.slotCount; slot++) {
      const state = this.state(slot);
      if (state === STATE.work || state === STATE.send) slots.push(slot);
    }
    for (const { slot, length } of this.receive) {
      if (slot !== UNSET && this.state(slot) === STATE.armed && length !== UNSET) slots.push(slot);
    }
    return slots;
  }

  /** Writes a slot's metadata from what was received into it. */
  describe(slot: number, length: number, listener: number, nowMs: number): void {
    const { words } = this;
    const word = slotWord(this, slot);
    const { flow } = this.datagrams[slot]!;
    words.fill(0, word, word + PAYLOAD_OFFSET / 4);
    words[word + SLOT.length] = length;
    words[word + SLOT.listener] = listener;
    words[word + SLOT.clientFamily] = 4;
    words.set(flow.address, word + SLOT.clientAddress);
    words[word + SLOT.clientPort] = flow.port;
    words.set(SERVER_WORDS, word + SLOT.serverAddress);
    words[word + SLOT.serverPort] = SERVER_PORT;
    setReceivedAtMs(this, slot, nowMs);
  }

  /** The kernel's copy into an armed slot. */
  fill(slot: number, datagram: Datagram): void {
    this.bytes.set(datagram.bytes, slotPayload(this, slot));
    this.datagrams[slot] = datagram;
  }
}

const SERVER_PORT = 53;
const SERVER_WORDS = new Uint32Array(new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 53]).buffer);
