/**
 * One thread's event loop over one journal: `step` sends what the caller has listed, waits, and receives a batch.
 * Views are filled in place; what they hold is valid until the next step.
 * Knows nothing of what the datagrams mean.
 */
import { binding, type Handle, type RawReactor } from './binding.js';
import { argumentError, check, checkFd, checkInteger, systemError } from './errors.js';
import { type Journal, journalHandle } from './journal.js';

/** Index into `Reactor.control`. The first eight are of the last step, the others are totals. */
export const Control = {
  /** CLOCK_BOOTTIME right after the wait, ms. */
  NOW_MS: 0,
  RECEIVED: 1,
  ANSWERS: 2,
  READY: 3,
  /** Number of wakes since the last step. */
  WOKEN: 4,
  FREE_SLOTS: 5,
  ARMED_ENTRIES: 6,
  /** 1 while listeners are left unread for want of slots. */
  PAUSED: 7,
  RECEIVED_TOTAL: 8,
  ANSWERS_TOTAL: 9,
  ASKS_SENT: 10,
  REPLIES_SENT: 11,
  ASK_ERRORS: 12,
  REPLY_ERRORS: 13,
  /** Given up because the send buffer stayed full. */
  ASKS_BLOCKED: 14,
  REPLIES_BLOCKED: 15,
  /** Slots that were found taken by a peer. */
  LOST_TO_PEER: 16,
  /** Sends that a thief's poison refused. */
  POISONED: 17,
  RECEIVE_ERRORS: 18,
  UPSTREAM_ERRORS: 19,
  LAST_ERRNO: 20,
  TAKEN_QUERIES: 21,
  /** Of these, received by the owner and not yet noticed. */
  TAKEN_ARMED: 22,
  TAKEN_ANSWERS: 23,
  /** Answers that the owner had sent after all. */
  TAKEN_SENT: 24,
  TAKE_RACES: 25,
  /** Transmit rows that made no sense, skipped. */
  INVALID_ROWS: 26,
  PAUSES: 27,
  TRUNCATED: 28,
  /** Questions not sent because a peer had taken the slot. */
  ASKS_DROPPED: 29,
  /** Answers that left here and were found taken, and answers taken from an owner that lives: one of these may leave twice. */
  CROSSED: 30,
} as const;

/** Row of `Reactor.transmit`: [kind, slot, byteOffset, length, upstreamIndex, 0, 0, 0]. */
export const transmitStride = 8;
export const TransmitKind = { ASK: 0, REPLY: 1 } as const;
/** Row of `Reactor.answers`: [byteOffset, length, upstreamIndex, fromPort, fromAddress × 4, flags (1 truncated), fromFamily, 0, 0]. */
export const answerRowStride = 12;
/** Row of `Reactor.ready`: [token, events]. */
export const readyStride = 2;
/** Row of `scan`: [slot, state, received (1 for ARMED)]. */
export const scanStride = 3;

export const ReadyEvent = { IN: 1, OUT: 2, ERROR: 4, HANG_UP: 8 } as const;

/** What `take` found. */
export const Take = {
  /** FREE, stolen already, or armed with nothing received. */
  NOTHING: 0,
  /** `taken[0]` is the own slot, in WORK, with the query. */
  QUERY: 1,
  /** `taken` is [own slot, byteOffset, length]: an answer to send with a REPLY row; the query is in the slot, too. */
  ANSWER: 2,
  /** The owner had sent its answer; nothing is owed. */
  SENT: 3,
  /** The slot changed under the thief; nothing was taken. */
  RACE: 4,
  /** No free slot here. */
  NO_SLOT: 5,
  /** A large answer taken before is not sent yet: flush, then try again. */
  FLUSH_FIRST: 6,
  /** The listener that received it has no index here. */
  UNKNOWN_LISTENER: 7,
  /** A copy of a query of our own whose theft never happened: ours counts. */
  MOOT: 8,
  /** Machines with weakly ordered stores, owner alive: ask again 1 ms later. */
  NOT_YET: 9,
} as const;

export const listenersMax = 256;
/** A member's own listeners have the indices below this; each further block of as many is of one member that it holds. */
export const listenersPerMember = 16;
export const upstreamsMax = 1024;
export const readyMax = 65536;

export interface ReactorOptions {
  /** Rows of `ready`, and events taken per step; what is over comes with the next step. Default 256. */
  readonly readyCapacity?: number;
}

export interface ListenerOptions {
  /** Answers carry the slot's SERVER_ADDRESS as their source address: wildcard and transparent binds. The port is always the socket's. */
  readonly replyFromServerAddress?: boolean;
}

export interface UpstreamOptions {
  /** The socket is connected: questions go to its remote address. */
  readonly connected?: boolean;
  /** Sends equally long questions to one server by UDP_SEGMENT, in an order of its own; falls back by itself where the route cannot. */
  readonly segment?: boolean;
}

export class Reactor {
  readonly journal: Journal;
  readonly control: Float64Array;
  /** Slots that are now in WORK; `control[RECEIVED]` of them. */
  readonly received: Uint32Array;
  readonly answers: Uint32Array;
  readonly ready: Int32Array;
  readonly transmit: Uint32Array;
  /** Result of the last `take`: [own slot, byteOffset, length, the peer slot's state]. */
  readonly taken: Uint32Array;
  /** For `wake` from another thread; not valid after `close()`. */
  readonly wakeFd: number;

  private readonly handle: Handle;
  private reserved = 0;

  /** Throws EBUSY when the journal object has a reactor already. Slots that are in WORK stay so, for whoever takes them. */
  constructor(journal: Journal, o: ReactorOptions = {}) {
    const readyCapacity = o.readyCapacity ?? 256;
    checkInteger('readyCapacity', readyCapacity, 1, readyMax);
    const raw: RawReactor | number = binding.reactorCreate(journalHandle(journal), readyCapacity);
    if (typeof raw === 'number') throw systemError(-raw, 'epoll_create', 'a reactor cannot be made');
    this.journal = journal;
    this.control = raw.control;
    this.received = raw.received;
    this.answers = raw.answers;
    this.ready = raw.ready;
    this.transmit = raw.transmit;
    this.taken = raw.taken;
    this.wakeFd = raw.wakeFd;
    this.handle = raw.handle;
  }

  /**
   * Receives the datagrams of a bound UDP socket into slots. `index` is what the slots' LISTENER says: for a takeover
   * two members use different ones, or `take` maps them.
   */
  addListener(fd: number, index: number, o: ListenerOptions = {}): void {
    checkFd('fd', fd);
    checkInteger('index', index, 0, listenersMax - 1);
    const result = binding.addListener(this.handle, fd, index, o.replyFromServerAddress ?? false);
    check(result, 'epoll_ctl', `listener ${String(index)}`);
  }

  /** Forgets a listener; call it before closing the descriptor. Answers of its slots cannot be sent any more. */
  removeListener(index: number): void {
    check(binding.removeListener(this.handle, index), 'epoll_ctl', `listener ${String(index)}`);
  }

  /** Stops reading; answers still go out. The socket's queue holds, or another holder of the socket reads it. */
  pauseListener(index: number): void {
    check(binding.setReceiving(this.handle, index, false), 'epoll_ctl', `listener ${String(index)}`);
  }

  resumeListener(index: number): void {
    check(binding.setReceiving(this.handle, index, true), 'epoll_ctl', `listener ${String(index)}`);
  }

  /** How long, in whole milliseconds, what was received last from the listener had waited in its socket; 0 where there was no more. */
  queuedMs(index: number): number {
    return check(binding.queuedMs(this.handle, index), 'ioctl', `listener ${String(index)}`);
  }

  /** Adds a UDP socket for questions; answers that arrive on it appear in `answers`. */
  addUpstream(fd: number, index: number, o: UpstreamOptions = {}): void {
    checkFd('fd', fd);
    checkInteger('index', index, 0, upstreamsMax - 1);
    const result = binding.addUpstream(this.handle, fd, index, o.connected ?? false, o.segment ?? false);
    check(result, 'epoll_ctl', `upstream ${String(index)}`);
  }

  /** Call it before closing the descriptor. */
  removeUpstream(index: number): void {
    check(binding.removeUpstream(this.handle, index), 'epoll_ctl', `upstream ${String(index)}`);
  }

  /** Reports readiness of any other descriptor in `ready`, level-triggered; `events` is a set of ReadyEvent IN and OUT. */
  watch(fd: number, token: number, events: number): void {
    this.watchFd(fd, token, events, false);
  }

  /** Changes token and events of a watched descriptor; 0 events leaves only errors and hang-ups. */
  rewatch(fd: number, token: number, events: number): void {
    this.watchFd(fd, token, events, true);
  }

  private watchFd(fd: number, token: number, events: number, known: boolean): void {
    checkFd('fd', fd);
    checkInteger('token', token, -0x80000000, 0x7fffffff);
    checkInteger('events', events, 0, 3);
    check(binding.watch(this.handle, fd, token, events, known), 'epoll_ctl', `descriptor ${String(fd)}`);
  }

  /** Call it before closing the descriptor: a duplicate elsewhere would keep the registration alive. */
  unwatch(fd: number): void {
    check(binding.unwatch(this.handle, fd), 'epoll_ctl', `descriptor ${String(fd)}`);
  }

  /**
   * 1. sends the first `transmitCount` rows of `transmit`: all replies, then all questions; 2. beats; 3. arms free
   * slots; 4. waits at most `timeoutMs` (−1: without end); 5. receives. Returns how much there is to do:
   * received + answers + ready (+ 1 when woken).
   *
   * After it every REPLY row's slot is free again, whether it was sent, refused by the kernel (REPLY_ERRORS), given up
   * because the send buffer stayed full through three waits of 1 ms (REPLIES_BLOCKED) or found taken (LOST_TO_PEER).
   * Rows that make no sense are skipped and counted (INVALID_ROWS). Throws ERANGE for a count beyond `transmit`.
   */
  step(transmitCount: number, timeoutMs: number): number {
    const result = binding.step(this.handle, transmitCount, timeoutMs);
    return result < 0 ? this.refused(result, 'step') : result;
  }

  /** Only the sending of `step`. */
  flush(transmitCount: number): void {
    const result = binding.flush(this.handle, transmitCount);
    if (result < 0) this.refused(result, 'flush');
  }

  private refused(result: number, what: string): never {
    throw systemError(-result, what, result === -16 ? 'the reactor is inside another call' : 'the reactor refused');
  }

  /**
   * A slot in WORK for a query that came another way; −1 when there is none. May use the reserve. Its metadata is zero,
   * but LISTENER, which is 0xffffffff: it has no client to send to.
   */
  allocateSlot(): number {
    const slot = binding.allocateSlot(this.handle);
    return slot < 0 ? -1 : slot;
  }

  /** Gives a slot in WORK back. Throws EINVAL for one that is not (given back already). */
  freeSlot(slot: number): void {
    const result = binding.freeSlot(this.handle, slot);
    if (result < 0) throw systemError(-result, 'freeSlot', `slot ${String(slot)} is not in WORK`);
  }

  /** Slots that datagrams leave alone: receiving stops arming when only so many are free. */
  get reserve(): number {
    return this.reserved;
  }

  set reserve(slots: number) {
    checkInteger('reserve', slots, 0, this.journal.layout.slots);
    check(binding.setReserve(this.handle, slots), 'reserve', String(slots));
    this.reserved = slots;
  }

  /**
   * Takes what a slot of a peer's journal owes into a slot here; see `Take` for what it returns and `taken` for where.
   * Safe whether the owner lives, hangs or is dead; say `ownerGone` only when it surely does not run any more.
   * The slot's LISTENER is made one of here: `listenerBase`, where the peer's block begins, is added to an index of the peer's own;
   * an index above `listenersPerMember` is of a socket that the peer held, and becomes the one of our own with the same place in
   * its block.
   */
  take(peer: Journal, slot: number, listenerBase = 0, ownerGone = false): number {
    if (peer === this.journal) throw argumentError('peer', 'the own journal', "another member's journal");
    const code = binding.take(this.handle, journalHandle(peer), slot, listenerBase, ownerGone);
    if (code < 0) throw systemError(-code, 'take', `slot ${String(slot)}`);
    return code;
  }

  /** Makes a running or the next `step` return. */
  wake(): void {
    wake(this.wakeFd);
  }

  /** Ends the loop; registered descriptors stay open. Throws EBUSY from inside a step. */
  close(): void {
    check(binding.reactorClose(this.handle), 'close', 'the reactor is inside a step');
  }
}

/** Words that `scan` may need for a journal. */
export function scanWords(peer: Journal): number {
  return (peer.layout.slots + peer.layout.batch) * scanStride;
}

/**
 * Rows of three, [slot, state, received], of every slot of the journal in WORK or SEND, or ARMED and received. `rows`, of
 * `scanWords` words, is filled again by whoever scans often.
 */
export function scan(peer: Journal, rows = new Uint32Array(scanWords(peer))): Uint32Array {
  const count = check(binding.scan(journalHandle(peer), rows), 'scan', 'the journal');
  return rows.subarray(0, count * scanStride);
}

/** Wakes the reactor whose `wakeFd` it is; from any thread or worker. */
export function wake(wakeFd: number): void {
  checkFd('wakeFd', wakeFd);
  check(binding.wake(wakeFd), 'write', 'wake');
}

/** CLOCK_BOOTTIME in ms, with a fraction: the same for every process on this kernel, goes on during suspend. */
export function bootTimeMs(): number {
  return binding.bootTimeMs();
}
