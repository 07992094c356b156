/**
 * Step 4: asks the upstream, matches its answer, tries again, gives up.
 *
 * An answer belongs to a question only if server address, server port, our source port, message ID and question all
 * agree (RFC 5452 §9.1). IDs and source ports are random; the packet keeps the client's letter case.
 */
import { sameQuestion } from '@tandem/dns';
import { assert } from '../base/assert.js';
import type { Random } from '../base/seams.js';
import type { BatchClock } from './batch-clock.js';
import { CLIENT_ID_KEPT, SLOT, SLOT_FLAG, slotPayload, slotWord, type SlotMemory, type Wire } from './slots.js';
import { NO_SLOT, SlotList } from './slot-list.js';
import { ASKS_PER_PORT, TRY_TIMEOUT_MS } from './settings.js';

const IDS = 65536;
const HEADER_BYTES = 12;
const NO_ID = -1;
/** Address and port as they stand in a slot. */
const UPSTREAM_WORDS = SLOT.upstreamPort - SLOT.upstreamAddress + 1;

/** Stands for the source port of every question that goes by TCP. */
export const STREAM_PORT = 0xffff;

/** There is no way to the upstream now: the question waits out its time like an unanswered one. */
const NO_PORT = 0xfffe;

/** Whom an answer came from, and to which of our ports. */
export interface AnswerSource {
  /** Words of `memory.words`-like storage: four address words. */
  readonly words: Uint32Array;
  addressAt: number;
  fromPort: number;
  /** Source port number of the pool that it came in by. */
  port: number;
}

export interface ForwardSeams {
  readonly memory: SlotMemory;
  readonly wire: Wire;
  readonly random: Random;
  readonly clock: BatchClock;
}

export class Forwarder {
  private readonly memory: SlotMemory;
  private readonly wire: Wire;
  private readonly random: Random;
  private readonly clientPorts: boolean;
  private readonly clock: BatchClock;
  private readonly slotOfId = new Int32Array(IDS).fill(NO_SLOT);
  private readonly idOfSlot: Uint16Array;
  private readonly portOfSlot: Uint16Array;
  private readonly triesOfSlot: Uint8Array;
  private readonly askedAtOfSlot: Float64Array;
  /** The try before the present one; its answer counts as well. ID -1: there is none. */
  private readonly earlierId: Int32Array;
  private readonly earlierPort: Uint16Array;
  /** Five words per slot: upstream address and port. */
  private readonly earlierUpstream: Uint32Array;
  private readonly questionBytesOfSlot: Uint16Array;
  private readonly waiting: SlotList;
  /** Per upstream: the source port numbers that reach it. */
  private ports: readonly (readonly number[])[] = [[0]];
  private upstream = 0;
  private port = 0;
  private asksOnPort = ASKS_PER_PORT;

  /** `clientPorts`: questions leave with their clients' addresses, by sockets that the wire has for each. */
  constructor({ memory, wire, random, clock }: ForwardSeams, clientPorts = false) {
    this.clock = clock;
    this.clientPorts = clientPorts;
    this.memory = memory;
    this.wire = wire;
    this.random = random;
    this.idOfSlot = new Uint16Array(memory.slotCount);
    this.portOfSlot = new Uint16Array(memory.slotCount);
    this.triesOfSlot = new Uint8Array(memory.slotCount);
    this.askedAtOfSlot = new Float64Array(memory.slotCount);
    this.earlierId = new Int32Array(memory.slotCount).fill(NO_ID);
    this.earlierPort = new Uint16Array(memory.slotCount);
    this.earlierUpstream = new Uint32Array(memory.slotCount * UPSTREAM_WORDS);
    this.questionBytesOfSlot = new Uint16Array(memory.slotCount);
    this.waiting = new SlotList(memory.slotCount);
    assert(memory.slotCount < IDS / 2, 'too many slots for 16-bit message IDs');
  }

  /** The pool's source port numbers that new questions may use, per upstream; none where it cannot be reached now. */
  setPorts(ports: readonly (readonly number[])[]): void {
    this.ports = ports;
    this.asksOnPort = ASKS_PER_PORT;
  }

  /** A new batch of packets starts: a new source port, too. */
  startBatch(): void {
    this.asksOnPort = ASKS_PER_PORT;
  }

  get underWay(): number {
    return this.waiting.size;
  }

  firstDeadlineMs(): number {
    return this.waiting.firstDeadlineMs();
  }

  /** The slot whose upstream has been silent the longest past its time, or NO_SLOT. */
  overdue(): number {
    return this.waiting.firstDeadlineMs() <= this.clock.nowMs ? this.waiting.first() : NO_SLOT;
  }

  /** The slot asked for the first time last of those that `choose` accepts; where all are at another try, one of these. NO_SLOT: none. */
  newest(choose: (slot: number) => boolean): number {
    const first = this.waiting.findLast((slot) => this.triesOfSlot[slot] === 1 && choose(slot));
    return first === NO_SLOT ? this.waiting.findLast(choose) : first;
  }

  tries(slot: number): number {
    return this.triesOfSlot[slot];
  }

  /** When the slot's question went out for the first time. */
  askedAtMs(slot: number): number {
    return this.askedAtOfSlot[slot];
  }

  /** First try. `questionBytes` is the length of the question section, `upstream` the index of whom the slot asks. */
  start(slot: number, upstream: number, questionBytes: number): void {
    const word = slotWord(this.memory, slot);
    const payload = slotPayload(this.memory, slot);
    const { bytes, words } = this.memory;
    if (words[word + SLOT.clientId] === 0) {
      words[word + SLOT.clientId] = CLIENT_ID_KEPT | (bytes[payload] << 8) | bytes[payload + 1];
    }
    this.triesOfSlot[slot] = 0;
    this.askedAtOfSlot[slot] = this.clock.nowMs;
    this.questionBytesOfSlot[slot] = questionBytes;
    this.ask(slot, upstream);
  }

  /** Before the slot's upstream changes for another try: the answer to the present one still counts. */
  keepTry(slot: number): void {
    this.forgetEarlier(slot);
    this.earlierId[slot] = this.idOfSlot[slot];
    this.earlierPort[slot] = this.portOfSlot[slot];
    const at = slotWord(this.memory, slot) + SLOT.upstreamAddress;
    for (let i = 0; i < UPSTREAM_WORDS; i++) {
      this.earlierUpstream[slot * UPSTREAM_WORDS + i] = this.memory.words[at + i];
    }
  }

  /** Another try, under a new ID and from another port; after `keepTry`. */
  again(slot: number, upstream: number): void {
    this.waiting.remove(slot);
    this.asksOnPort = ASKS_PER_PORT;
    this.ask(slot, upstream);
  }

  /** The question needs no answer any more. */
  finish(slot: number): void {
    assert(this.waiting.has(slot), 'slot is not under way');
    this.waiting.remove(slot);
    this.slotOfId[this.idOfSlot[slot]] = NO_SLOT;
    this.forgetEarlier(slot);
  }

  /** True while the slot's question is under way under this ID. */
  asksUnder(slot: number, id: number): boolean {
    return this.slotOfId[id] === slot && this.idOfSlot[slot] === id;
  }

  /** The slot that the answer at `offset` belongs to, or NO_SLOT. */
  match(bytes: Uint8Array, offset: number, length: number, source: AnswerSource): number {
    if (length < HEADER_BYTES || (bytes[offset + 2] & 0x80) === 0) return NO_SLOT;
    const id = (bytes[offset] << 8) | bytes[offset + 1];
    const slot = this.slotOfId[id];
    if (slot === NO_SLOT || !this.isFrom(slot, id, source)) return NO_SLOT;
    return this.repeatsQuestion(slot, bytes, offset, length) ? slot : NO_SLOT;
  }

  /** Is the source whom the slot asked under this ID, and did it answer to where that came from? */
  private isFrom(slot: number, id: number, source: AnswerSource): boolean {
    const isPresent = this.idOfSlot[slot] === id;
    if ((isPresent ? this.portOfSlot[slot] : this.earlierPort[slot]) !== source.port) return false;
    const words = isPresent ? this.memory.words : this.earlierUpstream;
    const at = isPresent ? slotWord(this.memory, slot) + SLOT.upstreamAddress : slot * UPSTREAM_WORDS;
    return (
      words[at] === source.words[source.addressAt] &&
      words[at + 1] === source.words[source.addressAt + 1] &&
      words[at + 2] === source.words[source.addressAt + 2] &&
      words[at + 3] === source.words[source.addressAt + 3] &&
      words[at + UPSTREAM_WORDS - 1] === source.fromPort
    );
  }

  private forgetEarlier(slot: number): void {
    const id = this.earlierId[slot];
    if (id === NO_ID) return;
    this.slotOfId[id] = NO_SLOT;
    this.earlierId[slot] = NO_ID;
  }

  private ask(slot: number, upstream: number): void {
    let id = this.random.int(IDS);
    while (this.slotOfId[id] !== NO_SLOT) id = this.random.int(IDS);
    this.slotOfId[id] = slot;
    this.idOfSlot[slot] = id;
    const tcp = (this.memory.words[slotWord(this.memory, slot) + SLOT.flags] & SLOT_FLAG.tcp) !== 0;
    this.portOfSlot[slot] = tcp ? STREAM_PORT : this.clientPorts ? this.clientPort(slot) : this.poolPort(slot, upstream);
    this.triesOfSlot[slot]++;
    const payload = slotPayload(this.memory, slot);
    this.memory.bytes[payload] = id >>> 8;
    this.memory.bytes[payload + 1] = id & 0xff;
    this.waiting.append(slot, this.clock.nowMs + TRY_TIMEOUT_MS);
    if (this.portOfSlot[slot] !== NO_PORT) this.wire.ask(slot, this.portOfSlot[slot]);
  }

  private clientPort(slot: number): number {
    const port = this.wire.clientPort(slot, this.earlierId[slot] === NO_ID ? -1 : this.earlierPort[slot]);
    return port < 0 ? NO_PORT : port;
  }

  private poolPort(slot: number, upstream: number): number {
    if (this.asksOnPort >= ASKS_PER_PORT || this.upstream !== upstream) {
      this.port = this.choosePort(this.ports[upstream], slot);
      this.upstream = upstream;
      this.asksOnPort = 0;
    }
    this.asksOnPort++;
    return this.port;
  }

  /** At random; for a second try not the port of the first. */
  private choosePort(ports: readonly number[], slot: number): number {
    if (ports.length === 0) return NO_PORT;
    let port = ports[this.random.int(ports.length)];
    while (ports.length > 1 && this.earlierId[slot] !== NO_ID && port === this.earlierPort[slot]) {
      port = ports[this.random.int(ports.length)];
    }
    return port;
  }

  /** The answer's question is the slot's; an error answer may leave its own out (RFC 1035 §4.1.1). */
  private repeatsQuestion(slot: number, bytes: Uint8Array, offset: number, length: number): boolean {
    const count = (bytes[offset + 4] << 8) | bytes[offset + 5];
    const rcode = bytes[offset + 3] & 0x0f;
    if (count === 0) return rcode !== 0 && length === HEADER_BYTES;
    const questionBytes = this.questionBytesOfSlot[slot];
    if (count !== 1 || length < HEADER_BYTES + questionBytes) return false;
    return sameQuestion(this.memory.bytes, slotPayload(this.memory, slot) + HEADER_BYTES, bytes, offset + HEADER_BYTES, questionBytes);
  }
}
