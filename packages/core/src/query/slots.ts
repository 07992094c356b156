/**
 * The memory of the queries under way, as the query path sees it: one slot per query, metadata words in front of the
 * packet. `host` lays it over the journal, `sim` over plain memory; both use the layout below.
 *
 * Invariant: between `QueryPath.onQuery(slot)` and `Wire.reply(slot)` or `Wire.drop(slot)`, the slot belongs to the
 * path. It does not know what a socket is.
 */

/** Metadata of a slot: indices of 32-bit words from the slot's first word. */
export const SLOT = {
  /** Bytes of the packet. */
  length: 0,
  /** SLOT_FLAG bits. */
  flags: 1,
  /** Which listener received it. */
  listener: 2,
  /** 4 or 6. */
  clientFamily: 3,
  /** Four words, network byte order in memory; IPv4 is IPv4-mapped. */
  clientAddress: 4,
  clientPort: 8,
  /** Where the client sent it: four words, then the port. */
  serverAddress: 9,
  serverPort: 13,
  /** Interface index that it came in by. */
  interface: 14,
  mark: 15,
  /** Whom the query path asks: four words, then the port. */
  upstreamAddress: 16,
  upstreamPort: 20,
  /** How often a peer took the query over. */
  steals: 21,
  /** Two words: a float64, milliseconds of CLOCK_BOOTTIME. */
  receivedAtMs: 22,
  /** The client's message ID with bit 16 set, once the packet's own was overwritten; 0 before. */
  clientId: 24,
  /** By TCP: record number + 1 and generation of the client's connection, and where in its stream the query ends (modulo 2^32). */
  connection: 25,
  connectionGeneration: 26,
  streamEnd: 27,
  /** Owners that died while they had the query. */
  deaths: 28,
  /** Its flow was written, by this member or by the one that it was taken from; 0 when it comes. */
  told: 29,
  /** By TCP: its answer is in what is written, and this says where that starts in the stream, made odd; 0: in nothing. */
  answerStart: 30,
} as const;

export const SLOT_FLAG = { truncated: 1, tcp: 2 } as const;

export const CLIENT_ID_KEPT = 0x10000;

export interface SlotMemory {
  /** All slots, and the answer and scratch buffers. */
  readonly bytes: Uint8Array;
  /** The same memory as 32-bit words. */
  readonly words: Uint32Array;
  readonly slotCount: number;
  /** Byte offset of slot 0; a multiple of 4. */
  readonly firstSlotOffset: number;
  /** Bytes from a slot to the next; a multiple of 4. */
  readonly slotStride: number;
  /** Byte offset of the packet within its slot. */
  readonly payloadOffset: number;
}

/** Word index of a slot's metadata. */
export function slotWord(memory: SlotMemory, slot: number): number {
  return (memory.firstSlotOffset + slot * memory.slotStride) >>> 2;
}

/** Byte offset of a slot's packet. */
export function slotPayload(memory: SlotMemory, slot: number): number {
  return memory.firstSlotOffset + slot * memory.slotStride + memory.payloadOffset;
}

const floatBuffer = new ArrayBuffer(8);
const floatWords = new Uint32Array(floatBuffer);
const floatValue = new Float64Array(floatBuffer);

/** When the slot's query arrived, milliseconds of CLOCK_BOOTTIME. */
export function receivedAtMs(memory: SlotMemory, slot: number): number {
  const at = slotWord(memory, slot) + SLOT.receivedAtMs;
  floatWords[0] = memory.words[at];
  floatWords[1] = memory.words[at + 1];
  return floatValue[0];
}

export function setReceivedAtMs(memory: SlotMemory, slot: number, ms: number): void {
  const at = slotWord(memory, slot) + SLOT.receivedAtMs;
  floatValue[0] = ms;
  memory.words[at] = floatWords[0];
  memory.words[at + 1] = floatWords[1];
}

/** What the query path asks of the world. Nothing here calls back. */
export interface Wire {
  /** Sends the slot's packet to its upstream from source port number `port` of the pool (by TCP when the query came so). */
  ask(slot: number, port: number): void;
  /**
   * Where questions leave with their clients' addresses: the number of a socket of the slot's client towards the slot's upstream,
   * another than `except` where it was tried before; negative: none is to be had now.
   */
  clientPort(slot: number, except: number): number;
  /** Answers the slot's client and gives the slot back. For UDP `bytes` is the slot memory, for TCP any buffer. */
  reply(slot: number, bytes: Uint8Array, offset: number, length: number): void;
  /** Gives the slot back without an answer. */
  drop(slot: number): void;
  /** Byte offset in the slot memory of a buffer for one small answer; valid until the next batch. */
  scratch(): number;
  /** Byte offset in the slot memory of a 65,535-byte buffer, valid until the next batch; -1 when all are in use. */
  largeScratch(): number;
}

/** Bytes that `Wire.scratch` offers. */
export const SCRATCH_BYTES = 512;
