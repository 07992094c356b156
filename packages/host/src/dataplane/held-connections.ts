/**
 * Duplicates of the connections that clients have with another member. They are held, not touched, until that member dies or
 * hangs; then each is taken over by the rules of connection-records.ts, and its client notices nothing.
 *
 * Invariant: a connection is consumed from and written to by one process at a time. That of a member which hangs in the middle
 * of doing so is reset after RESET_AFTER_MS: what it wrote cannot be known before it is dead.
 */
import { COUNTER, type Counters, type MonoMs, SLOT, SLOT_FLAG, type SlotMemory, slotWord } from '@tandem/core';
import { closeFd, resetConnection, setReceiveLowWater, type TcpProgress, tcpProgress } from 'node-reuseport';
import type { ClientConnection, ConnectionStart } from './client-connection.js';
import { answerMark, CONNECTION, type ConnectionRecords, type FoundRecord, type OwnRecord } from './connection-records.js';
import type { TcpClients } from './tcp-clients.js';

const RESET_AFTER_MS = 1000;

export interface HeldConnectionsOptions {
  readonly clients: TcpClients;
  readonly counters: Counters;
  /** The first of the reactor's listener numbers that are the owner's. */
  readonly base: number;
}

interface Held {
  readonly record: OwnRecord;
  readonly fd: number;
  /** When its owner was first seen to hang while it was busy with it. */
  busySinceMs: number;
}

/** A connection that is ours now, and what decides which of its queries in the owner's slots are still to be answered. */
interface Taken {
  readonly generation: number;
  readonly connection: ClientConnection;
  /** Where the owner had stopped consuming: queries beyond are still in the socket. */
  readonly consumed: number;
  /** Whose answers are written or go on here: the slot, and what the slots of those written with it are marked by. */
  readonly begun: Begun;
}

export class HeldConnections {
  private readonly records: ConnectionRecords;
  private readonly options: HeldConnectionsOptions;
  /** By record number. */
  private readonly held = new Map<number, Held>();
  private readonly taken = new Map<number, Taken>();

  constructor(records: ConnectionRecords, options: HeldConnectionsOptions) {
    this.records = records;
    this.options = options;
  }

  /** Takes the descriptor over. */
  add(record: OwnRecord, fd: number): void {
    const former = this.held.get(record.index);
    if (former !== undefined) closeFd(former.fd);
    this.held.set(record.index, { record, fd, busySinceMs: Infinity });
  }

  /** Lets go of those that the owner has closed: our duplicate would keep them in the kernel. */
  sweep(): void {
    for (const [index, { record, fd }] of this.held) {
      if (this.records.state(record) !== CONNECTION.free) continue;
      this.held.delete(index);
      closeFd(fd);
    }
  }

  /** Takes what can be taken; false when some must wait. `isDead`: the owner writes nothing any more. */
  take(isDead: boolean, nowMs: MonoMs): boolean {
    for (const [index, held] of this.held) {
      const state = this.records.state(held.record);
      if (state === CONNECTION.busy && !isDead) {
        this.wait(index, held, nowMs);
        continue;
      }
      held.busySinceMs = Infinity;
      if ((state === CONNECTION.open || state === CONNECTION.busy) && !this.records.steal(held.record, state)) continue;
      this.held.delete(index);
      if (state === CONNECTION.open || state === CONNECTION.busy) this.takeOne(index, held, state === CONNECTION.busy);
      else closeFd(held.fd);
    }
    return this.held.size === 0;
  }

  /** The owner hung, and does not any more. */
  awake(): void {
    for (const held of this.held.values()) held.busySinceMs = Infinity;
  }

  /**
   * The connection of a query in a slot, the owner's or our copy of it; null where the query is not ours to answer. `ownersSlot`: the owner's. A
   * connection that the owner has taken back from us was ours when the owner lost this query's: only by way of us does it find the query.
   */
  connectionOf(memory: SlotMemory, slot: number, ownersSlot: number): ClientConnection | null {
    const { words } = memory;
    const word = slotWord(memory, slot);
    if ((words[word + SLOT.flags] & SLOT_FLAG.tcp) === 0) return null;
    const taken = this.taken.get(words[word + SLOT.connection] - 1);
    if (taken?.generation !== words[word + SLOT.connectionGeneration]) return null;
    const isConsumed = ((words[word + SLOT.streamEnd] - taken.consumed) | 0) <= 0;
    const { begun } = taken;
    const isAnswered = ownersSlot === begun.slot || (begun.mark !== 0 && words[word + SLOT.answerStart] === begun.mark);
    const { connection } = taken;
    return isConsumed && !isAnswered && (!connection.isGone || connection.isLost) ? connection : null;
  }

  close(): void {
    for (const { fd } of this.held.values()) closeFd(fd);
    this.held.clear();
    this.taken.clear();
  }

  private wait(index: number, held: Held, nowMs: MonoMs): void {
    if (held.busySinceMs === Infinity) held.busySinceMs = nowMs;
    if (nowMs - held.busySinceMs < RESET_AFTER_MS) return;
    if (!this.records.steal(held.record, CONNECTION.busy)) return;
    this.held.delete(index);
    this.reset(held.fd);
  }

  private reset(fd: number): void {
    this.options.counters.add(COUNTER.connections_reset);
    resetConnection(fd);
    closeFd(fd);
  }

  private takeOne(index: number, { record, fd }: Held, isBusy: boolean): void {
    let progress: TcpProgress;
    try {
      progress = tcpProgress(fd);
    } catch {
      closeFd(fd);
      return;
    }
    const found = this.records.find(record);
    const consumed = (progress.received - progress.unread) | 0;
    const written = (progress.bytesAcked + progress.unsent) | 0;
    const answer = isBusy ? answerOf(found, written) : NO_ANSWER;
    if (answer === null) {
      this.reset(fd);
      return;
    }
    const isSkipping = ((consumed - found.skipFrom) | 0) >= 0 && ((found.skipUntil - consumed) | 0) > 0;
    const start: ConnectionStart = { consumed, skip: isSkipping ? (found.skipUntil - consumed) | 0 : 0, written, rest: answer.rest };
    // Its owner may have waited for the rest of a message: shorter ones are to be heard of, too.
    setReceiveLowWater(fd, 1);
    const connection = this.options.clients.adopt(fd, this.options.base + found.listener, start);
    if (connection === null) return;
    this.options.counters.add(COUNTER.connections_taken);
    this.taken.set(index, { generation: record.generation, connection, consumed, begun: answer });
  }
}

interface Begun {
  readonly slot: number;
  readonly mark: number;
  readonly rest: Uint8Array | null;
}

const NO_ANSWER: Begun = { slot: -1, mark: 0, rest: null };

/** How far the owner's answer was when it died; null where it cannot be gone on with. */
function answerOf(found: FoundRecord, written: number): Begun | null {
  if (found.answerBytes === 0) return NO_ANSWER;
  const sent = (written - found.answerStart) | 0;
  const begun = { slot: found.answerSlot, mark: answerMark(found.answerStart) };
  if (sent >= found.answerBytes) return { ...begun, rest: null };
  // Copied: the owner's journal is let go of before the client has read it all.
  if (found.answer !== null && sent >= 0) return { ...begun, rest: found.answer.slice(sent) };
  // It is asked again, as if it had not been begun.
  return sent === 0 ? NO_ANSWER : null;
}
