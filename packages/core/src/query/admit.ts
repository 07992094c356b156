/**
 * Step 1 of a query: is it a question at all, and is there room for it?
 *
 * Room is limited twice: by slots, of which a share stays free for refusals, and by `--dnsproxy-concurrency-limit`.
 * When slots are short, the client that holds most of them pays first.
 */
import { OPCODE, type QueryView, RCODE, SCAN, scanQuery, TYPE } from '@tandem/dns';
import type { MonoMs, Random } from '../base/seams.js';
import { SLOT, SLOT_FLAG, slotPayload, slotWord, type SlotMemory } from './slots.js';

/** What `admit` says besides an RCODE to answer with. */
export const ADMITTED = -1;
export const NOT_A_QUERY = -2;

const HEADER_BYTES = 12;
const RESPONSE_FLAG = 0x80;
const BADVERS = 16;

/** Reads the slot's packet into `view`; ADMITTED, NOT_A_QUERY (no answer is due), or the RCODE to answer with. */
export function admit(memory: SlotMemory, slot: number, view: QueryView): number {
  const word = slotWord(memory, slot);
  const payload = slotPayload(memory, slot);
  const length = memory.words[word + SLOT.length];
  // An answer to an answer would let two proxies play ping-pong.
  if (length < HEADER_BYTES || (memory.bytes[payload + 2] & RESPONSE_FLAG) !== 0) return NOT_A_QUERY;
  const result = scanQuery(memory.bytes, payload, length, view);
  if ((memory.words[word + SLOT.flags] & SLOT_FLAG.truncated) !== 0) return RCODE.formErr;
  if (view.opcode !== OPCODE.query) return RCODE.notImp;
  if (result !== SCAN.ok) return RCODE.formErr;
  // Zone transfers answer with a stream of messages; a pod has no business with them.
  if (view.type === TYPE.AXFR || view.type === TYPE.IXFR) return RCODE.notImp;
  if (view.hasEdns && view.ednsVersion !== 0) return BADVERS;
  return ADMITTED;
}

const BUCKETS = 4096;
const BUCKET_SHIFT = 20;
const ADDRESS_WORDS = 4;

/** Counts queries under way per client address (hashed, with a seed: colliding clients share their fate, nobody can aim). */
export class ClientShares {
  private readonly counts = new Int32Array(BUCKETS);
  private readonly bucketOf: Uint16Array;
  private readonly seed: number;
  private heaviest = 0;
  private lookedAtMs = -1;

  constructor(slotCount: number, random: Random) {
    this.bucketOf = new Uint16Array(slotCount);
    this.seed = random.int(0x1_0000_0000);
  }

  enter(memory: SlotMemory, slot: number): void {
    const at = slotWord(memory, slot) + SLOT.clientAddress;
    const { words } = memory;
    let mixed = this.seed;
    for (let i = 0; i < ADDRESS_WORDS; i++) {
      mixed = Math.imul(mixed ^ words[at + i], 0x9e3779b1);
      mixed ^= mixed >>> 15;
    }
    const bucket = mixed >>> BUCKET_SHIFT;
    this.bucketOf[slot] = bucket;
    this.counts[bucket]++;
  }

  leave(slot: number): void {
    this.counts[this.bucketOf[slot]]--;
  }

  /** Looks up who holds most, for when slots are short: once a batch, as the look costs more than a query. */
  findHeaviest(nowMs: MonoMs): void {
    if (nowMs === this.lookedAtMs) return;
    this.lookedAtMs = nowMs;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      if (this.counts[bucket] > this.counts[this.heaviest]) this.heaviest = bucket;
    }
  }

  /** True when the client of `slot` holds as many slots as any, by the last `findHeaviest`. */
  isHeaviest(slot: number): boolean {
    return this.counts[this.bucketOf[slot]] >= this.counts[this.heaviest];
  }

  /** True when `slot` belongs to the client that holds most. */
  ofHeaviest(slot: number): boolean {
    return this.bucketOf[slot] === this.heaviest;
  }
}
