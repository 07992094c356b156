/**
 * What this member holds of another: its journal and its sockets, watched while it lives, read and answered for when it
 * does not.
 *
 * Invariant: a slot has one owner at any time (the addon's compare-and-swap), so adopting a member that lives after all
 * is harmless. Does not know how it came to hold them: see handover.ts.
 */
import { COUNTER, type Counters, type MonoMs, PeerWatch, SLOT, SLOT_FLAG, type SlotMemory, slotWord } from '@tandem/core';
import { closeFd, type Journal, type Reactor, scan, scanStride, scanWords, Take } from 'node-reuseport';
import { isWildcard, type Listener, NUMBERS_PER_MEMBER } from './listeners.js';
import { slotMemory } from './slot-memory.js';
import type { TcpClients } from './tcp-clients.js';
import type { ReactorWire } from './wire.js';

/** Answers to what was adopted may still leave through the sockets for this long after they were given back. */
const RETIRE_MS = 3000;

export interface HeldSeams {
  readonly reactor: Reactor;
  readonly memory: SlotMemory;
  readonly wire: ReactorWire;
  readonly clients: TcpClients;
  readonly counters: Counters;
  /** A query that was another's; `wasReading`: its owner died while it read this one. */
  readonly onTaken: (slot: number, owner: { readonly isGone: boolean; readonly wasReading: boolean }) => void;
}

export class HeldMember {
  readonly listeners: readonly Listener[];
  private readonly seams: HeldSeams;
  private readonly base: number;
  private readonly watch = new PeerWatch();
  private readonly heartbeat: Int32Array;
  private readonly cursor: Int32Array;
  private readonly memory: SlotMemory;
  private readonly rows: Uint32Array<ArrayBuffer>;
  private journal: Journal | null;
  private isReading = false;
  private isGone = false;
  private isDraining = false;
  private retireAtMs = Infinity;

  /** `base`: the first of the reactor's listener numbers that are this member's. Takes the descriptors over. */
  constructor(seams: HeldSeams, journal: Journal, listeners: readonly Listener[], base: number) {
    this.seams = seams;
    this.journal = journal;
    this.listeners = listeners;
    this.base = base;
    this.heartbeat = new Int32Array(journal.buffer, journal.layout.heartbeatOffset, 1);
    this.memory = slotMemory(journal);
    this.rows = new Uint32Array(scanWords(journal));
    this.cursor = new Int32Array(journal.buffer, journal.layout.cursorOffset, 1);
    listeners.forEach(({ udp, address }, i) => {
      seams.reactor.addListener(udp, base + i, { replyFromServerAddress: isWildcard(address) });
      seams.reactor.pauseListener(base + i);
    });
  }

  /** True while the member is being answered for. */
  get isAdopted(): boolean {
    return this.isReading;
  }

  get isAlive(): boolean {
    return !this.isGone;
  }

  /** True when nothing is left to do: drop it. */
  get isDone(): boolean {
    return this.retireAtMs === -Infinity;
  }

  nextDeadlineMs(): number {
    if (this.retireAtMs !== Infinity) return this.retireAtMs;
    return this.journal === null ? Infinity : this.watch.nextDeadlineMs();
  }

  tick(nowMs: MonoMs): void {
    if (nowMs >= this.retireAtMs) {
      this.close();
      return;
    }
    if (this.journal === null || this.retireAtMs !== Infinity || !this.watch.isDue(nowMs)) return;
    const isStale = this.watch.tick(nowMs, Atomics.load(this.heartbeat, 0));
    if (this.isGone) {
      this.finishGone();
    } else if (isStale) {
      this.startReading();
      this.take();
    } else if (this.isReading && !this.isDraining) {
      this.stopReading();
    }
  }

  /** The member wants to leave: its sockets are read here from now on. */
  drain(): void {
    this.isDraining = true;
    this.startReading();
  }

  /** The member is dead: what it owed is owed here. */
  end(): void {
    if (this.isGone) return;
    this.isGone = true;
    this.startReading();
    this.finishGone();
  }

  /** A successor reads the sockets. */
  giveBack(nowMs: MonoMs): void {
    this.stopReading();
    this.retireAtMs = nowMs + RETIRE_MS;
  }

  private finishGone(): void {
    if (this.journal === null || !this.take()) return;
    this.journal.release();
    this.journal = null;
  }

  private startReading(): void {
    if (this.isReading) return;
    this.isReading = true;
    this.seams.counters.add(COUNTER.takeovers);
    this.listeners.forEach(({ tcp }, i) => {
      this.seams.reactor.resumeListener(this.base + i);
      this.seams.clients.addListener(tcp, this.base + i);
    });
  }

  private stopReading(): void {
    if (!this.isReading) return;
    this.isReading = false;
    this.listeners.forEach(({ tcp }, i) => {
      this.seams.reactor.pauseListener(this.base + i);
      this.seams.clients.removeListener(tcp);
    });
  }

  /** Takes every slot that is owed; false when some must wait for the next tick. */
  private take(): boolean {
    const { journal } = this;
    if (journal === null) return true;
    const poisonous = this.isGone ? Atomics.load(this.cursor, 0) - 1 : -1;
    const rows = scan(journal, this.rows);
    let complete = true;
    for (let row = 0; row < rows.length; row += scanStride) {
      if (!this.takeOne(journal, rows[row], poisonous)) complete = false;
    }
    return complete;
  }

  private takeOne(journal: Journal, slot: number, poisonous: number): boolean {
    const { reactor, wire, onTaken } = this.seams;
    // A hung owner still has the connection that a TCP query came by, and nobody else does.
    if (!this.isGone && this.isTcp(slot)) return true;
    const code = reactor.take(journal, slot, this.base, this.isGone);
    switch (code) {
      case Take.QUERY:
        this.nameListener(reactor.taken[0]);
        onTaken(reactor.taken[0], { isGone: this.isGone, wasReading: slot === poisonous });
        return true;
      case Take.ANSWER:
        this.nameListener(reactor.taken[0]);
        wire.replyTaken(reactor.taken[0], reactor.taken[1], reactor.taken[2]);
        return true;
      case Take.FLUSH_FIRST:
        wire.flush();
        return false;
      case Take.NO_SLOT:
      case Take.NOT_YET:
      case Take.RACE:
        return false;
      default:
        return true;
    }
  }

  private isTcp(slot: number): boolean {
    return (this.memory.words[slotWord(this.memory, slot) + SLOT.flags] & SLOT_FLAG.tcp) !== 0;
  }

  /** A query that the member itself had taken from us came in by our own socket, under the member's number for it. */
  private nameListener(slot: number): void {
    const { memory } = this.seams;
    const at = slotWord(memory, slot) + SLOT.listener;
    const theirs = memory.words[at] - this.base;
    if (theirs >= NUMBERS_PER_MEMBER) memory.words[at] = theirs % NUMBERS_PER_MEMBER;
  }

  private close(): void {
    this.retireAtMs = -Infinity;
    this.journal?.release();
    this.journal = null;
    this.listeners.forEach(({ udp, tcp }, i) => {
      this.seams.reactor.removeListener(this.base + i);
      closeFd(udp);
      closeFd(tcp);
    });
  }
}
