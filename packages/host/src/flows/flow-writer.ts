/**
 * Writes the member's flow ring. Called on the query path: it allocates nothing, waits for nobody and cannot fail.
 *
 * Invariant: exactly one record per answer that leaves; `decided` was called for its slot before. A query that a peer has taken over
 * while this member hung is the peer's to tell.
 */
import { type FlowSink, LAST_ASKED, OUTCOME, type Outcome, type PathSettings, SLOT, SLOT_FLAG, type SlotMemory, slotWord } from '@tandem/core';
import { FLOW, FLOW_FLAG, flowsOf, kindWord, MESSAGE_AT, MESSAGE_BYTES_MAX } from './flow-record.js';
import { CELL_BYTES, RECORD } from './flow-ring.js';
import { RingAppender } from './ring-appender.js';

const ADDRESS_WORDS = 4;
const LOOK_AT_CLOCK_EVERY_MS = 1000;

export interface FlowWriterSettings extends Pick<PathSettings, 'upstreams' | 'policyPort'> {
  /** Time of day at boot, milliseconds since 1970; asked about once a second. */
  readonly bootedAtMs: () => number;
  /** The slot's query was taken over by a peer: no answer leaves here. */
  readonly isStolen: (slot: number) => boolean;
}

export class FlowWriter implements FlowSink {
  private readonly appender: RingAppender;
  private readonly words: Uint32Array;
  private readonly bytes: Uint8Array;
  private readonly times: Float64Array;
  private readonly memory: SlotMemory;
  /** The first upstream, as policy sees it; null in transparent mode, where the client chooses. */
  private readonly upstream: Uint32Array | null;
  private readonly policyPort: number;
  private readonly bootedAt: () => number;
  private readonly isStolen: (slot: number) => boolean;
  private readonly endpointOfSlot: Uint16Array;
  private readonly ruleOfSlot: Int32Array;
  private readonly revisionOfSlot: Uint32Array;
  private readonly outcomeOfSlot: Uint8Array;
  private readonly auditedOfSlot: Uint8Array;
  private revision = 0;
  private nowMs = 0;
  private bootedAtMs = 0;
  private lookAtMs = -Infinity;

  /** `ring`: a ring that `initRing` made, at an offset that is a multiple of 8. */
  constructor(ring: Uint32Array, memory: SlotMemory, settings: FlowWriterSettings) {
    this.appender = new RingAppender(ring);
    this.words = ring;
    this.bytes = new Uint8Array(ring.buffer, ring.byteOffset, ring.byteLength);
    this.times = new Float64Array(ring.buffer, ring.byteOffset, ring.length / 2);
    this.memory = memory;
    const [first] = settings.upstreams;
    this.upstream = first === undefined ? null : new Uint32Array(first.address.slice().buffer);
    this.policyPort = settings.policyPort;
    this.bootedAt = settings.bootedAtMs;
    this.isStolen = settings.isStolen;
    this.endpointOfSlot = new Uint16Array(memory.slotCount);
    this.ruleOfSlot = new Int32Array(memory.slotCount);
    this.revisionOfSlot = new Uint32Array(memory.slotCount);
    this.outcomeOfSlot = new Uint8Array(memory.slotCount);
    this.auditedOfSlot = new Uint8Array(memory.slotCount);
  }

  startBatch(nowMs: number): void {
    this.nowMs = nowMs;
    if (nowMs < this.lookAtMs) return;
    this.lookAtMs = nowMs + LOOK_AT_CLOCK_EVERY_MS;
    this.bootedAtMs = this.bootedAt();
  }

  setRevision(revision: number): void {
    this.revision = revision >>> 0;
  }

  decided(slot: number, endpointId: number, rule: number): void {
    this.endpointOfSlot[slot] = endpointId;
    this.ruleOfSlot[slot] = rule;
    this.revisionOfSlot[slot] = this.revision;
    this.outcomeOfSlot[slot] = OUTCOME.answered;
    this.auditedOfSlot[slot] = OUTCOME.answered;
  }

  audited(slot: number, outcome: Outcome): void {
    this.auditedOfSlot[slot] = outcome;
  }

  end(slot: number, outcome: Outcome): void {
    this.outcomeOfSlot[slot] = outcome;
  }

  answer(slot: number, bytes: Uint8Array, offset: number, length: number): void {
    const { words, memory } = this;
    const from = slotWord(memory, slot);
    if (memory.words[from + SLOT.told] !== 0) return;
    const kept = length < MESSAGE_BYTES_MAX ? length : MESSAGE_BYTES_MAX;
    const cells = (MESSAGE_AT + kept + CELL_BYTES - 1) >>> 6;
    const word = this.appender.begin(cells);
    const outcome = this.outcomeOfSlot[slot] as Outcome;
    const isTcp = (memory.words[from + SLOT.flags] & SLOT_FLAG.tcp) !== 0;
    words[word + RECORD.kind] = kindWord(outcome, isTcp ? FLOW_FLAG.tcp : 0, this.auditedOfSlot[slot] as Outcome);
    words[word + FLOW.endpoint] = this.endpointOfSlot[slot] | (kept << 16);
    this.times[(word + FLOW.endedAtMs) >>> 1] = this.nowMs;
    words[word + FLOW.receivedAtMs] = memory.words[from + SLOT.receivedAtMs];
    words[word + FLOW.receivedAtMs + 1] = memory.words[from + SLOT.receivedAtMs + 1];
    this.times[(word + FLOW.bootedAtMs) >>> 1] = this.bootedAtMs;
    words[word + FLOW.rule] = this.ruleOfSlot[slot];
    words[word + FLOW.revision] = this.revisionOfSlot[slot];
    words[word + FLOW.messageBytes] = length;
    for (let i = 0; i < ADDRESS_WORDS; i++) words[word + FLOW.clientAddress + i] = memory.words[from + SLOT.clientAddress + i];
    this.writeServer(word, from, outcome);
    this.copyMessage((word + FLOW.message) * 4, bytes, offset, kept);
    // Taken while this was written, as from a thread that was not run for a while: what was begun counts for nothing.
    if (this.isStolen(slot)) return;
    // Who takes the query from here on, as its answer has not left, takes this along.
    memory.words[from + SLOT.told] = 1;
    this.appender.end(flowsOf(outcome));
  }

  /** Whom policy was asked about: the upstream under the policy port, or, in transparent mode, the client's own choice. */
  private writeServer(word: number, from: number, outcome: Outcome): void {
    const { words, memory, upstream } = this;
    const isOwnChoice = upstream === null;
    const port = isOwnChoice ? memory.words[from + SLOT.serverPort] : this.policyPort;
    words[word + FLOW.ports] = memory.words[from + SLOT.clientPort] | (port << 16);
    const isFirst = !isOwnChoice && outcome > LAST_ASKED;
    const source = isFirst ? upstream : memory.words;
    const at = isFirst ? 0 : from + (isOwnChoice ? SLOT.serverAddress : SLOT.upstreamAddress);
    for (let i = 0; i < ADDRESS_WORDS; i++) words[word + FLOW.serverAddress + i] = source[at + i];
  }

  private copyMessage(target: number, bytes: Uint8Array, offset: number, length: number): void {
    if (bytes === this.memory.bytes && (offset & 3) === 0) {
      const { words } = this;
      const source = this.memory.words;
      const first = target >>> 2;
      const from = offset >>> 2;
      const count = (length + 3) >>> 2;
      for (let i = 0; i < count; i++) words[first + i] = source[from + i];
    } else {
      for (let i = 0; i < length; i++) this.bytes[target + i] = bytes[offset + i];
    }
  }
}
