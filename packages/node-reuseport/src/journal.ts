/**
 * The journal: shared memory in which one member receives and from which it answers, so that a peer that maps it can
 * finish what is owed. Invariant: unmapped by `release()` alone, never by the garbage collector.
 * Knows nothing of sockets.
 */
import { binding, type Handle, type RawFailure, type RawJournal } from './binding.js';
import { check, checkFd, checkInteger, systemError } from './errors.js';

/** Limits of `Journal.create`: the batch is what one system call takes, the others keep offsets in 32 bits. */
export const slotsMax = 1 << 20;
export const batchMax = 1024;
export const transmitMax = 8192;

/** State of a slot: the low three bits of its state word; the rest is the generation. */
export const SlotState = { FREE: 0, ARMED: 1, WORK: 2, SEND: 3, STOLEN: 4 } as const;

/** Index of each u32 word of a slot's metadata. Addresses: 16 bytes in network order, IPv4 as IPv4-mapped. Ports: host order. */
export const Meta = {
  LENGTH: 0,
  /** Bit 0: the datagram was longer than the slot. Bits 1 to 31: the caller's. */
  FLAGS: 1,
  LISTENER: 2,
  CLIENT_FAMILY: 3,
  CLIENT_ADDRESS: 4,
  CLIENT_PORT: 8,
  SERVER_ADDRESS: 9,
  SERVER_PORT: 13,
  INTERFACE: 14,
  MARK: 15,
  UPSTREAM_ADDRESS: 16,
  UPSTREAM_PORT: 20,
  /** How often the query has changed hands. */
  STEALS: 21,
  /** A float64, CLOCK_BOOTTIME in ms; 8-byte aligned. */
  RECEIVED_AT_MS: 22,
  /** Eight words for the caller, zeroed on receive, copied on take. */
  USER: 24,
} as const;

export const slotFlagTruncated = 1;

export interface JournalLayout {
  readonly version: number;
  readonly slots: number;
  /** Entries of the receive batch, and answer buffers filled by one step. */
  readonly batch: number;
  /** Rows of the transmit list. */
  readonly transmitCapacity: number;
  readonly totalBytes: number;
  /** u32 per slot: (generation << 3) | state. */
  readonly stateOffset: number;
  readonly slotOffset: number;
  readonly slotStride: number;
  readonly metadataBytes: number;
  /** From the slot's start. */
  readonly payloadOffset: number;
  readonly payloadCapacity: number;
  /** `answerCount` buffers which steps fill, then `heldAnswerCount` for the caller. */
  readonly answerOffset: number;
  readonly answerStride: number;
  readonly answerCapacity: number;
  readonly answerCount: number;
  readonly heldAnswerOffset: number;
  readonly heldAnswerCount: number;
  /** `transmitCapacity` pieces for small answers made by the caller. */
  readonly scratchOffset: number;
  readonly scratchStride: number;
  readonly scratchCount: number;
  /** The caller's, zero at first, a multiple of 4096 from the start; a peer that maps the journal has it, too. */
  readonly extraOffset: number;
  readonly extraBytes: number;
  /** u64, CLOCK_BOOTTIME in ns, written by each step. */
  readonly heartbeatOffset: number;
  /** u32, the caller's: slot + 1 that is being parsed, 0 none. */
  readonly cursorOffset: number;
  /** u32: 1 once the owner is about to die of a fault, see `sayWhenDying`. */
  readonly dyingOffset: number;
  /** u32, the caller's. */
  readonly epochOffset: number;
  /** u32, process id of the creator (in its own PID namespace). */
  readonly ownerPidOffset: number;
  /** u64, random, names this journal. */
  readonly idOffset: number;
  /** Four u64: datagrams received, answers sent, slots lost to a peer, slots taken from a peer. */
  readonly countersOffset: number;
  /** Room in the header page that the addon never touches. */
  readonly applicationOffset: number;
  readonly applicationBytes: number;
  /** Parts of the protocol between owner and thief; for tests and diagnosis. */
  readonly receiveIndexOffset: number;
  readonly receiveHeaderOffset: number;
  readonly transmitHeaderOffset: number;
  readonly transmitRecordOffset: number;
}

/** The newest version of the layout that this build writes and reads, and the oldest; version 1 has no extra region, and before 3 no two replies share a message. */
export const layoutVersion = 3;
export const oldestLayoutVersion = 1;
export const extraBytesMax = 64 * 1024 * 1024;

const slotStride = 2112;
const payloadOffset = 320;
const answerStride = 66112;
const heldAnswerCount = 16;

function layoutOf(raw: RawJournal): JournalLayout {
  return {
    version: raw.version,
    slots: raw.slots,
    batch: raw.batch,
    transmitCapacity: raw.transmit,
    totalBytes: raw.totalBytes,
    stateOffset: raw.stateOffset,
    slotOffset: raw.slotOffset,
    slotStride,
    metadataBytes: 128,
    payloadOffset,
    payloadCapacity: slotStride - payloadOffset,
    answerOffset: raw.answerOffset,
    answerStride,
    answerCapacity: 65535,
    answerCount: raw.batch,
    heldAnswerOffset: raw.answerOffset + raw.batch * answerStride,
    heldAnswerCount,
    scratchOffset: raw.scratchOffset,
    scratchStride: 512,
    scratchCount: raw.transmit,
    extraOffset: raw.extraOffset,
    extraBytes: raw.extraBytes,
    heartbeatOffset: raw.heartbeatOffset,
    cursorOffset: raw.cursorOffset,
    dyingOffset: raw.stopOffset,
    epochOffset: raw.epochOffset,
    ownerPidOffset: raw.ownerPidOffset,
    idOffset: raw.idOffset,
    countersOffset: raw.countersOffset,
    applicationOffset: 1024,
    applicationBytes: 3072,
    receiveIndexOffset: raw.receiveIndexOffset,
    receiveHeaderOffset: raw.receiveHeaderOffset,
    transmitHeaderOffset: raw.transmitHeaderOffset,
    transmitRecordOffset: raw.transmitRecordOffset,
  };
}

function rawOr(result: RawJournal | RawFailure, syscall: string): RawJournal {
  if ('problem' in result) throw systemError(result.errno, syscall, result.problem);
  return result;
}

export interface JournalOptions {
  /** Queries that may be under way at once, 1 to 2^20. Each takes 2112 bytes. */
  readonly slots: number;
  /** Datagrams per receive call, 1 to 1024. Each takes an answer buffer of 66,112 bytes, too. */
  readonly batch: number;
  /** Rows per transmit list, 1 to 8192. Default 4 × batch, capped. */
  readonly transmitCapacity?: number;
  /** Bytes of the caller's own in the same shared memory, 0 to 64 MiB. Default 0. */
  readonly extraBytes?: number;
  /** `oldestLayoutVersion` to `layoutVersion`, the default: for a peer that knows no newer one. */
  readonly version?: number;
}

const handles = new WeakMap<Journal, Handle>();

/** The native object of a journal; throws when it has been released. For the reactor only. */
export function journalHandle(journal: Journal): Handle {
  const handle = handles.get(journal);
  if (handle === undefined) throw systemError(9, 'journal', 'the journal has been released');
  return handle;
}

export class Journal {
  readonly fd: number;
  /** The whole mapping. Never transfer it to another thread; `release()` detaches it. */
  readonly buffer: ArrayBuffer;
  readonly layout: JournalLayout;
  /** The pages cannot be swapped out (RLIMIT_MEMLOCK allowed it). */
  readonly locked: boolean;

  private constructor(raw: RawJournal) {
    this.fd = raw.fd;
    this.buffer = raw.buffer;
    this.layout = layoutOf(raw);
    this.locked = raw.locked;
    handles.set(this, raw.handle);
  }

  /** A new journal in sealed anonymous memory. Throws ENOMEM when the memory is not to be had. */
  static create(o: JournalOptions): Journal {
    checkInteger('slots', o.slots, 1, slotsMax);
    checkInteger('batch', o.batch, 1, batchMax);
    const transmit = o.transmitCapacity ?? Math.min(4 * o.batch, transmitMax);
    checkInteger('transmitCapacity', transmit, 1, transmitMax);
    const version = o.version ?? layoutVersion;
    checkInteger('version', version, oldestLayoutVersion, layoutVersion);
    const extraBytes = o.extraBytes ?? 0;
    checkInteger('extraBytes', extraBytes, 0, version === 1 ? 0 : extraBytesMax);
    return new Journal(rawOr(binding.journalCreate(version, o.slots, o.batch, transmit, extraBytes), 'memfd_create'));
  }

  /**
   * Maps a journal of somebody else's (or one's own again). The descriptor is duplicated; the caller's stays open.
   * Throws before mapping: EPERM not sealed, EINVAL no journal or a damaged one, EPROTONOSUPPORT another layout version.
   */
  static open(fd: number): Journal {
    checkFd('fd', fd);
    return new Journal(rawOr(binding.journalOpen(fd), 'mmap'));
  }

  /**
   * From now on a fatal signal to this process says so at `dyingOffset` before it does what it did: a process that dumps core
   * looks for seconds like one that hangs. One journal per thread, called from the thread that works on it: a fault of this thread is said in this
   * journal alone, one of a thread without a journal in all.
   */
  sayWhenDying(): void {
    check(binding.sayWhenDying(journalHandle(this)), 'sigaction', 'the journal has been released, or too many threads have one');
  }

  get released(): boolean {
    return !handles.has(this);
  }

  /** Detaches `buffer` and unmaps. Throws EBUSY while a reactor works on it. A second call does nothing. */
  release(): void {
    const handle = handles.get(this);
    if (handle === undefined) return;
    check(binding.journalRelease(handle, this.buffer), 'munmap', 'a reactor works on this journal');
    handles.delete(this);
  }
}
