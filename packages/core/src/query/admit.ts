/**
 * Step 1 of a query: is it a question at all, and is there room for it?
 *
 * Room is limited twice: by slots, of which a share stays free for refusals, and by `--dnsproxy-concurrency-limit`.
 * When slots are short, the client that holds most of them pays first.
 */
import { OPCODE, type QueryView, RCODE, SCAN, scanQuery, TYPE } from '@tandem/dns';
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

/** Counts queries under way per client address (hashed: colliding clients share their fate). */
export class ClientShares {
  private readonly counts = new Int32Array(BUCKETS);
  private readonly bucketOf: Uint16Array;
  private heaviest = 0;

  constructor(slotCount: number) {
    this.bucketOf = new Uint16Array(slotCount);
  }

  enter(memory: SlotMemory, slot: number): void {
    const at = slotWord(memory, slot) + SLOT.clientAddress;
    const { words } = memory;
    const mixed = Math.imul(words[at] ^ words[at + 1] ^ Math.imul(words[at + 2], 31) ^ words[at + 3], 0x9e3779b1);
    const bucket = mixed >>> 20;
    this.bucketOf[slot] = bucket;
    const count = ++this.counts[bucket];
    if (count > this.counts[this.heaviest]) this.heaviest = bucket;
  }

  leave(slot: number): void {
    this.counts[this.bucketOf[slot]]--;
  }

  /** True when no other client is known to hold more slots than the client of `slot`. */
  isHeaviest(slot: number): boolean {
    return this.counts[this.bucketOf[slot]] >= this.counts[this.heaviest];
  }

  /** True when `slot` belongs to the client that holds most. */
  ofHeaviest(slot: number): boolean {
    return this.bucketOf[slot] === this.heaviest;
  }
}
