/**
 * What this member holds of another, its journal and its sockets: watched while it lives, read and answered for when it
 * does not.
 *
 * Invariant: a slot has one owner at any time (the journal's compare-and-swap), so adopting a member that lives after all
 * is harmless. Does not know how it came to hold them, nor what a descriptor is: host does.
 */
import { COUNTER, type Counters } from '../query/counters.js';
import type { MonoMs } from '../base/seams.js';
import { PeerWatch } from './peer-watch.js';

/** Answers to what was adopted may still leave through the sockets for this long after they were given back. */
export const RETIRE_MS = 3000;
/**
 * A member that hung and beats again is looked through for so long. It may have stopped in the midst of taking what was ours, go on with that, and
 * find only when it writes that the connection is here again.
 */
export const STRANDED_MS = 1000;

/** What taking a slot came to. */
export const TAKEN = {
  /** Nothing is owed: free, taken already, or answered. */
  nothing: 0,
  /** `HeldJournal.taken[0]` is the slot here, with the query. */
  query: 1,
  /** `HeldJournal.taken` is the slot here, and offset and length of the answer that its owner had ready. */
  answer: 2,
  /** Not now: try again with the next tick. */
  later: 3,
  /** What was taken before must leave first. */
  flushFirst: 4,
} as const;
export type Taken = (typeof TAKEN)[keyof typeof TAKEN];

/** Another member's journal. */
export interface HeldJournal {
  readonly taken: ArrayLike<number>;
  /** Changes with every turn of its owner's data plane. */
  heartbeat(): number;
  /** The slot that its owner is reading, -1 for none. */
  reading(): number;
  /** Its owner has met a fault that it will not survive. */
  isDying(): boolean;
  /** Slots that somebody is owed an answer for. The list is used again by the next call. */
  owed(): ArrayLike<number>;
  /** False: nobody but the owner can answer this query. */
  mayTake(slot: number): boolean;
  /** True: nobody but we can answer this query, its connection was taken here. */
  mustTake(slot: number): boolean;
  take(slot: number, isGone: boolean): Taken;
  /** Its owner is dead: passes on what it learned last, which it may have told nobody. */
  learnLast(): void;
  release(): void;
}

/** Another member's shared sockets, and what clients have open with it. */
export interface HeldSockets {
  read(): void;
  pause(): void;
  /** Takes the client connections that can be taken now; false when some must wait. `isDead`: the member writes to none of them any more. */
  takeConnections(isDead: boolean, nowMs: MonoMs): boolean;
  /** The member beats again: how long it hangs is counted anew the next time. */
  awake(): void;
  close(): void;
}

export interface HeldSeams {
  readonly counters: Counters;
  /** Sends what is listed. */
  flush(): void;
  /** An answer that the owner of a slot taken over had ready. */
  replyTaken(slot: number, offset: number, length: number): void;
  /** A query that was another's; `wasReading`: its owner met its fault while it read this one. */
  onTaken(slot: number, owner: { readonly isGone: boolean; readonly wasReading: boolean }): void;
}

export class HeldMember {
  private readonly seams: HeldSeams;
  private readonly sockets: HeldSockets;
  private readonly watch = new PeerWatch();
  private journal: HeldJournal | null;
  private isReading = false;
  private isGone = false;
  /** It was stale, and not all that it owed could be taken. */
  private isOwing = false;
  /** Until then it may come to owe what nobody but we can answer. */
  private strandedUntilMs = -Infinity;
  private isDraining = false;
  private retireAtMs = Infinity;

  constructor(seams: HeldSeams, journal: HeldJournal, sockets: HeldSockets) {
    this.seams = seams;
    this.journal = journal;
    this.sockets = sockets;
  }

  /** True while the member is being answered for. */
  get isAdopted(): boolean {
    return this.isReading;
  }

  /** It has asked to be answered for because it is about to end, or it has ended and no successor reads its sockets yet. */
  get isLeaving(): boolean {
    return this.retireAtMs === Infinity && (this.isDraining || this.isGone);
  }

  get isAlive(): boolean {
    return !this.isGone;
  }

  /** When its data plane was seen to turn last; 0 before the first time. */
  get beatAtMs(): number {
    return this.watch.beatAtMs;
  }

  /** True when nothing is left to do: drop it. */
  get isDone(): boolean {
    return this.retireAtMs === -Infinity;
  }

  nextDeadlineMs(): number {
    return Math.min(this.retireAtMs, this.journal === null ? Infinity : this.watch.nextDeadlineMs());
  }

  tick(nowMs: MonoMs): void {
    if (this.isDone) return;
    if (nowMs >= this.retireAtMs) {
      // Answers that are listed by now, as those to queries that became overdue while this member stood still, leave by these sockets.
      this.seams.flush();
      this.close();
      return;
    }
    const { journal } = this;
    if (journal === null || !this.watch.isDue(nowMs)) return;
    const wasStale = this.watch.isStale;
    const isStale = this.watch.tick(nowMs, journal.heartbeat());
    if (this.isGone) {
      this.finishGone(nowMs);
    } else if (this.retireAtMs !== Infinity) {
      // Its successor reads the sockets; its end is still to come.
    } else if (isStale) {
      this.startReading();
      this.isOwing = !this.take(journal, nowMs);
    } else {
      if (wasStale) this.wake(nowMs);
      if (this.isReading && !this.isDraining) this.stopReading();
      if (this.isOwing || nowMs < this.strandedUntilMs) this.isOwing = !this.takeStranded(journal);
    }
  }

  /** The member wants to leave: its sockets are read here from now on. */
  drain(): void {
    this.isDraining = true;
    this.startReading();
  }

  /** The member is dead: what it owed is owed here. */
  end(nowMs: MonoMs): void {
    if (this.isGone) return;
    this.isGone = true;
    this.journal?.learnLast();
    if (this.retireAtMs === Infinity) this.startReading();
    this.finishGone(nowMs);
  }

  /** A successor reads the sockets. What the member itself still owed is taken as before. */
  giveBack(nowMs: MonoMs): void {
    this.stopReading();
    this.retireAtMs = nowMs + RETIRE_MS;
  }

  /** Lets go of everything, whatever is still owed. */
  release(): void {
    if (this.isDone) return;
    this.stopReading();
    this.close();
  }

  private finishGone(nowMs: MonoMs): void {
    if (this.journal === null || !this.take(this.journal, nowMs)) return;
    this.journal.release();
    this.journal = null;
  }

  private wake(nowMs: MonoMs): void {
    this.sockets.awake();
    this.strandedUntilMs = nowMs + STRANDED_MS;
  }

  private startReading(): void {
    if (this.isReading) return;
    this.isReading = true;
    this.seams.counters.add(COUNTER.takeovers);
    this.sockets.read();
  }

  private stopReading(): void {
    if (!this.isReading) return;
    this.isReading = false;
    this.sockets.pause();
  }

  /** Takes every connection and slot that is owed; false when some must wait for the next tick. */
  private take(journal: HeldJournal, nowMs: MonoMs): boolean {
    // A query that came by TCP needs its connection. Without a link a member is surely dead only when it does not beat, either.
    let complete = this.sockets.takeConnections(this.isGone && this.watch.isStale, nowMs);
    const owed = journal.owed();
    for (let i = 0; i < owed.length; i++) {
      if (!this.takeOne(journal, owed[i])) complete = false;
    }
    return complete;
  }

  /** A member that hung is awake before all was taken: queries whose connections are here already are not its own any more. */
  private takeStranded(journal: HeldJournal): boolean {
    let complete = true;
    const owed = journal.owed();
    for (let i = 0; i < owed.length; i++) {
      if (journal.mustTake(owed[i]) && !this.takeOne(journal, owed[i])) complete = false;
    }
    return complete;
  }

  private takeOne(journal: HeldJournal, slot: number): boolean {
    if (!journal.mayTake(slot)) return true;
    const { taken } = journal;
    switch (journal.take(slot, this.isGone)) {
      case TAKEN.query: {
        // A member that was killed from outside did not die of what it was reading.
        const isDying = journal.isDying();
        this.seams.onTaken(taken[0], { isGone: this.isGone || isDying, wasReading: isDying && slot === journal.reading() });
        return true;
      }
      case TAKEN.answer:
        this.seams.replyTaken(taken[0], taken[1], taken[2]);
        return true;
      case TAKEN.flushFirst:
        this.seams.flush();
        return false;
      case TAKEN.later:
        return false;
      default:
        return true;
    }
  }

  private close(): void {
    this.retireAtMs = -Infinity;
    this.journal?.release();
    this.journal = null;
    this.sockets.close();
  }
}
