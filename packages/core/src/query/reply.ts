/**
 * Step 6: answers the client: with the upstream's bytes, or with a small answer of our own.
 *
 * Invariant: the upstream's bytes go out unchanged but for the message ID, unless they are larger than the client
 * takes; then they are compressed, and if that does not help, cut with TC set (RFC 2181 §9).
 */
import { buildReply, buildTruncated, FLAG, HEADER_BYTES, recompress, scanAnswer, scanQuery, SCAN, AnswerView, QueryView } from '@tandem/dns';
import { assert } from '../base/assert.js';
import type { BatchClock } from './batch-clock.js';
import { COUNTER, type Counters, LATENCY, wholeUs } from './counters.js';
import type { FlowSink } from './flow-sink.js';
import { receivedAtMs, SCRATCH_BYTES, SLOT, SLOT_FLAG, slotPayload, slotWord, type SlotMemory, type Wire } from './slots.js';

/** What every client takes by UDP (RFC 1035 §2.3.4), and any by TCP. */
const UDP_BYTES = 512;
const TCP_BYTES = 65_535;

/** Offset of QDCOUNT; the other counts follow (RFC 1035 §4.1.1). */
const QUESTION_COUNT_AT = 4;

/** No Extended DNS Error. */
export const NO_EDE = -1;

export interface ReplySeams {
  readonly memory: SlotMemory;
  readonly wire: Wire;
  readonly counters: Counters;
  readonly flows: FlowSink;
  readonly clock: BatchClock;
}

export class Replier {
  private readonly memory: SlotMemory;
  private readonly wire: Wire;
  private readonly counters: Counters;
  private readonly flows: FlowSink;
  private readonly clock: BatchClock;
  private readonly compression: boolean;
  private readonly query = new QueryView();
  private readonly answer = new AnswerView();

  constructor({ memory, wire, counters, flows, clock }: ReplySeams, compression: boolean) {
    this.clock = clock;
    this.memory = memory;
    this.wire = wire;
    this.counters = counters;
    this.flows = flows;
    this.compression = compression;
  }

  /** A small answer to a query that lies unchanged in its slot and was scanned into `view`. `edeText`: short, ASCII. */
  small(slot: number, view: QueryView, rcode: number, ede: number, edeText: Uint8Array | null = null): void {
    const { bytes } = this.memory;
    const offset = this.wire.scratch();
    const length = buildReply(bytes, slotPayload(this.memory, slot), view, rcode, ede, bytes, offset, SCRATCH_BYTES, edeText);
    assert(length > 0, 'a small answer fits its buffer');
    this.send(slot, bytes, offset, length);
  }

  /** A small answer to a query that may have been forwarded: puts its own ID back first. */
  failure(slot: number, rcode: number, ede: number, edeText: Uint8Array | null = null): void {
    const payload = slotPayload(this.memory, slot);
    this.restoreId(slot, this.memory.bytes, payload);
    scanQuery(this.memory.bytes, payload, this.memory.words[slotWord(this.memory, slot) + SLOT.length], this.query);
    this.counters.dns.failure(this.query.type, rcode);
    this.small(slot, this.query, rcode, ede, edeText);
  }

  /** An error without a look at the query: its header, the ID that the client sent, no question. */
  unparsed(slot: number, rcode: number): void {
    const { bytes } = this.memory;
    const payload = slotPayload(this.memory, slot);
    const offset = this.wire.scratch();
    bytes.fill(0, offset, offset + HEADER_BYTES);
    bytes[offset] = bytes[payload];
    bytes[offset + 1] = bytes[payload + 1];
    this.restoreId(slot, bytes, offset);
    bytes[offset + 2] = FLAG.response >>> 8;
    bytes[offset + 3] = rcode;
    this.send(slot, bytes, offset, HEADER_BYTES);
  }

  /** The upstream's answer at `offset` of `bytes` (for UDP the slot memory). `clientBytes` is what the client takes. */
  upstream(slot: number, bytes: Uint8Array, offset: number, length: number, clientBytes: number): void {
    this.restoreId(slot, bytes, offset);
    this.counters.add(COUNTER.answered);
    this.counters.latency(LATENCY.answered, wholeUs(this.clock.nowMs - receivedAtMs(this.memory, slot)));
    if (length <= clientBytes) this.send(slot, bytes, offset, length);
    else this.fit(slot, bytes, offset, length, clientBytes);
  }

  /** How many bytes the client of this query takes. */
  clientBytes(slot: number, view: QueryView): number {
    const flags = this.memory.words[slotWord(this.memory, slot) + SLOT.flags];
    if ((flags & SLOT_FLAG.tcp) !== 0) return TCP_BYTES;
    return view.hasEdns ? view.ednsUdpSize : UDP_BYTES;
  }

  private fit(slot: number, bytes: Uint8Array, offset: number, length: number, clientBytes: number): void {
    const { memory, wire } = this;
    if (this.compression) {
      const large = wire.largeScratch();
      const shorter = large < 0 ? 0 : recompress(bytes, offset, length, memory.bytes, large, clientBytes);
      if (shorter > 0) {
        this.counters.add(COUNTER.recompressed);
        this.send(slot, memory.bytes, large, shorter);
        return;
      }
    }
    const scratch = wire.scratch();
    const readable = scanAnswer(bytes, offset, length, this.answer);
    const isReadable = readable === SCAN.ok || readable === SCAN.trailingBytes;
    const cut = isReadable
      ? buildTruncated(bytes, offset, length, this.answer, memory.bytes, scratch, SCRATCH_BYTES)
      : 0;
    if (cut === 0) {
      this.cut(slot, bytes, offset, 0);
      return;
    }
    this.counters.add(COUNTER.truncated);
    this.send(slot, memory.bytes, scratch, cut);
  }

  /** Header and question of an answer that is cut somewhere, with TC set: the client comes back by TCP. */
  cut(slot: number, bytes: Uint8Array, offset: number, questionBytes: number): void {
    this.counters.add(COUNTER.truncated);
    const at = this.wire.scratch();
    const own = this.memory.bytes;
    const length = HEADER_BYTES + Math.min(questionBytes, SCRATCH_BYTES - HEADER_BYTES);
    own.set(bytes.subarray(offset, offset + length), at);
    this.restoreId(slot, own, at);
    own[at + 2] |= FLAG.truncated >>> 8;
    own[at + QUESTION_COUNT_AT] = 0;
    own[at + QUESTION_COUNT_AT + 1] = questionBytes > 0 ? 1 : 0;
    own.fill(0, at + QUESTION_COUNT_AT + 2, at + HEADER_BYTES);
    this.send(slot, own, at, length);
  }

  private send(slot: number, bytes: Uint8Array, offset: number, length: number): void {
    // Before it is listed: whoever sends what a dead owner had ready writes nothing about it.
    this.flows.answer(slot, bytes, offset, length);
    this.wire.reply(slot, bytes, offset, length);
  }

  /** Puts the client's message ID into the packet at `offset`, if the slot's own was overwritten. */
  restoreId(slot: number, bytes: Uint8Array, offset: number): void {
    const kept = this.memory.words[slotWord(this.memory, slot) + SLOT.clientId];
    if (kept === 0) return;
    bytes[offset] = (kept >>> 8) & 0xff;
    bytes[offset + 1] = kept & 0xff;
  }
}
