/**
 * A query's record in the flow ring: who asked whom, what was decided and why, and the answer that left, as bytes. It says what
 * the data plane knew at that moment; names of pods and policies are looked up by whoever reads it.
 *
 * One record per query, written when it is over: so a query that a dead member left behind is in the ring of the one that answered
 * it, once, with the time at which it came.
 */
import { DENY, LAST_ASKED, OUTCOME, type Outcome } from '@tandem/core';
import { CELL_BYTES, RECORD, RECORD_CELLS_MAX, RECORD_KIND } from './flow-ring.js';

/** Beyond a record's common words (RECORD). */
export const FLOW = {
  /** Outcome in the second byte, FLOW_FLAG in the third, in the fourth the outcome that audit let pass. */
  kind: RECORD.kind,
  /** Endpoint ID (0: none) in the low half, bytes of the message that follow in the high one. */
  endpoint: 3,
  /** Two float64, milliseconds of CLOCK_BOOTTIME. */
  endedAtMs: 4,
  receivedAtMs: 6,
  /** As `PolicyIndex.decide` says it, an int32. */
  rule: 8,
  /** Of the policy that decided, modulo 2^32. */
  revision: 9,
  /** Client's port in the low half, server's in the high one. */
  ports: 10,
  /** Four words each, network byte order in memory; IPv4 is IPv4-mapped. */
  clientAddress: 11,
  serverAddress: 15,
  /** Bytes of the whole message, of which no more than MESSAGE_BYTES_MAX are kept. */
  messageBytes: 19,
  /** A float64: time of day at boot, as the writer saw it, so that all readers show the same times. */
  bootedAtMs: 20,
  message: 22,
} as const;

export const FLOW_FLAG = { tcp: 1 } as const;
/** No record is of a later time (280 years after boot, or 1970): what is, is no time, and nothing that is reckoned from it may run over. */
const TIME_MAX_MS = 2 ** 43;
const OUTCOME_SHIFT = 8;
const FLAGS_SHIFT = 16;
const AUDITED_SHIFT = 24;

export const MESSAGE_AT = FLOW.message * 4;
export const MESSAGE_BYTES_MAX = RECORD_CELLS_MAX * CELL_BYTES - MESSAGE_AT;

export function kindWord(outcome: Outcome, flags: number, audited: Outcome): number {
  return RECORD_KIND.query | (outcome << OUTCOME_SHIFT) | (flags << FLAGS_SHIFT) | (audited << AUDITED_SHIFT);
}

/** A request, and its answer unless the request itself was turned away. */
export function flowsOf(outcome: number): 1 | 2 {
  return outcome <= OUTCOME.privateAddress ? 2 : 1;
}

/** One record, read: numbers and bytes. Valid until the next is read into the same memory. */
export class FlowRecord {
  private readonly words: Uint32Array;
  private readonly signed: Int32Array;
  private readonly times: Float64Array;
  /** The whole record. */
  readonly bytes: Uint8Array;

  constructor(record: Uint32Array) {
    this.words = record;
    this.signed = new Int32Array(record.buffer, record.byteOffset, record.length);
    this.times = new Float64Array(record.buffer, record.byteOffset, record.length / 2);
    this.bytes = new Uint8Array(record.buffer, record.byteOffset, record.byteLength);
  }

  get firstFlow(): number {
    return this.words[RECORD.firstFlow];
  }

  get flows(): 1 | 2 {
    return flowsOf(this.outcome);
  }

  get outcome(): Outcome {
    return ((this.words[FLOW.kind] >>> OUTCOME_SHIFT) & 0xff) as Outcome;
  }

  get isTcp(): boolean {
    return ((this.words[FLOW.kind] >>> FLAGS_SHIFT) & FLOW_FLAG.tcp) !== 0;
  }

  get endpointId(): number {
    return this.words[FLOW.endpoint] & 0xffff;
  }

  get endedAtMs(): number {
    return this.time(FLOW.endedAtMs);
  }

  get receivedAtMs(): number {
    return this.time(FLOW.receivedAtMs);
  }

  /** Time of day at boot, milliseconds since 1970. */
  get bootedAtMs(): number {
    return this.time(FLOW.bootedAtMs);
  }

  get rule(): number {
    return this.signed[FLOW.rule];
  }

  /** What it would have been refused for by a limit, but was only counted; `answered`: nothing. */
  get audited(): Outcome {
    return (this.words[FLOW.kind] >>> AUDITED_SHIFT) as Outcome;
  }

  /** Policy refused it, and audit mode let it pass. */
  get isAudited(): boolean {
    return this.rule <= DENY && this.outcome <= LAST_ASKED;
  }

  get revision(): number {
    return this.words[FLOW.revision];
  }

  get clientPort(): number {
    return this.words[FLOW.ports] & 0xffff;
  }

  get serverPort(): number {
    return this.words[FLOW.ports] >>> 16;
  }

  /** Byte offset of 16 address bytes in `bytes`. */
  get clientAddressAt(): number {
    return FLOW.clientAddress * 4;
  }

  get serverAddressAt(): number {
    return FLOW.serverAddress * 4;
  }

  /** Of the message in `bytes`, from MESSAGE_AT on; never more than there is room for. */
  get keptBytes(): number {
    return Math.min(this.words[FLOW.endpoint] >>> 16, MESSAGE_BYTES_MAX);
  }

  /** The message was longer than what is kept. */
  get isCut(): boolean {
    return this.words[FLOW.messageBytes] > this.keptBytes;
  }

  private time(word: number): number {
    return recordTime(this.times, word);
  }
}

/** Of the float64 at a word of a record; 0 for what is no time: a peer's memory may hold anything. */
export function recordTime(times: Float64Array, word: number): number {
  const ms = times[word / 2];
  return ms >= 0 && ms <= TIME_MAX_MS ? ms : 0;
}
