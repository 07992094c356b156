/**
 * One link's exchange of mappings and cleans with the peer, both ways. Sends what the peer has not seen: changes by
 * revision where the log still has them, else what differs by digests; then each change. In bounded messages that are
 * acknowledged, no more than the peer keeps up with. A new link gets a new exchange; the replica stays.
 *
 * Invariant: while the link is up, everything in the cache is known to the peer, under way, in the log behind the reader,
 * gone from the cache, or part of the pass that is under way or owed.
 * It does not know how bytes travel, nor what time it is: it is given both. Nothing here waits for a peer.
 */
import { AppError } from '../base/app-error.js';
import { assert } from '../base/assert.js';
import type { MonoMs } from '../base/seams.js';
import { Arrivals } from './arrivals.js';
import { BUCKETS, BucketDigest, DIGEST_WORDS } from './bucket-digest.js';
import type { Batch, ChangeReader } from './change-reader.js';
import {
  ACK_WITHIN_MS, type BucketsMessage, type ChangesMessage, CLEANS_PER_MESSAGE, type DigestsMessage, type ExchangeMessage,
  MAPPINGS_PER_MESSAGE, MESSAGES_UNACKED_MAX,
} from './exchange-messages.js';
import { OutgoingPass } from './outgoing-pass.js';
import type { Replica } from './replica.js';

/** During a pass changes have so much of each message, so that neither holds up the other. */
const CHANGES_IN_PASS = MAPPINGS_PER_MESSAGE / 2;
/** A peer is told a revision without a change after so many that it need not be sent: it then stays within the log. */
const REVISIONS_UNTOLD_MAX = 4096;

/** What a peer's Hello says for the exchange. */
export interface ExchangePeer {
  readonly incarnation: string;
  /** Of this member's changes, as its revision vector has it; null: it has seen none. */
  readonly seen: number | null;
}

interface Unacked {
  readonly sequence: number;
  readonly sentMs: MonoMs;
  readonly count: number;
}

export class Exchange {
  private readonly replica: Replica;
  private readonly arrivals = new Arrivals();
  private readonly unacked: Unacked[] = [];
  private peer = '';
  private up = false;
  private reader: ChangeReader | null = null;
  private pass: OutgoingPass | null = null;
  private isPassOwed = false;
  private passes = 0;
  private askedMs: MonoMs | null = null;
  /** The peer's question that is being answered. */
  private question: { readonly message: DigestsMessage; readonly own: BucketDigest } | null = null;
  private sequence = 0;
  private told = 0;
  private isRevisionOwed = false;
  private isAckOwed = false;

  constructor(replica: Replica) {
    this.replica = replica;
  }

  /** The peer has said who it is. Once. */
  linkUp(peer: ExchangePeer): void {
    assert(!this.up && this.peer === '', 'an exchange has one link');
    this.up = true;
    this.peer = peer.incarnation;
    if (peer.seen !== null) this.reader = this.replica.log.reader(peer.seen, peer.incarnation);
    this.told = peer.seen ?? 0;
    this.isPassOwed = this.reader === null;
  }

  linkDown(): void {
    this.up = false;
    this.reader?.close();
    this.reader = null;
    this.pass = null;
    this.question = null;
    this.isPassOwed = false;
    this.unacked.length = 0;
    this.askedMs = null;
  }

  /** Mappings and cleans that the peer has not acknowledged, or may lack as long as its answer to the digests is not there. */
  get lag(): number {
    let lag = (this.reader?.pending ?? 0) + (this.pass?.left ?? 0) + (this.isPassOwed ? this.replica.cache.size : 0);
    for (const { count } of this.unacked) lag += count;
    return lag;
  }

  /** True while `work` has something to do. */
  get isBusy(): boolean {
    return this.pass?.isWorking === true || this.question?.own.isDone === false;
  }

  /** One bounded slice of digesting; then `next` may have something. */
  work(): void {
    if (this.pass?.isWorking === true) {
      this.pass.work();
      this.endPass();
    } else if (this.question?.own.isDone === false) this.question.own.step();
  }

  /** When the oldest message was sent that the peer has not answered; null while it owes nothing. */
  get unansweredSinceMs(): number | null {
    const oldest = this.unacked.length === 0 ? null : this.unacked[0].sentMs;
    if (oldest === null && this.askedMs === null) return null;
    return Math.min(oldest ?? Infinity, this.askedMs ?? Infinity);
  }

  /** When the peer will be late; null while it owes nothing. */
  get deadlineMs(): number | null {
    const sinceMs = this.unansweredSinceMs;
    return sinceMs === null ? null : sinceMs + ACK_WITHIN_MS;
  }

  /** Why the link is to be given up by now, or null. */
  lateness(nowMs: MonoMs): string | null {
    const deadlineMs = this.deadlineMs;
    if (deadlineMs === null || nowMs < deadlineMs) return null;
    const what = this.unacked.length > 0 ? `${this.unacked.length} messages of changes` : 'a question about differences';
    return `the peer left ${what} without an answer for ${ACK_WITHIN_MS} ms`;
  }

  /** The next message to send, or null while there is none or the peer is behind. */
  next(nowMs: MonoMs): ExchangeMessage | null {
    if (!this.up) return null;
    if (this.isAckOwed) {
      this.isAckOwed = false;
      return { kind: 'ack', sequence: this.arrivals.sequence };
    }
    return this.answer() ?? this.ask(nowMs) ?? this.changes(nowMs);
  }

  /**
   * Takes what the peer says. Changes are for the caller to apply to the replica, and then to report by `applied`.
   * @throws AppError LINK for what does not fit.
   */
  receive(message: ExchangeMessage): void {
    switch (message.kind) {
      case 'changes':
        this.arrivals.arrive(message.sequence, message.revision);
        break;
      case 'ack':
        this.acknowledged(message.sequence);
        break;
      case 'digests':
        this.asked(message);
        break;
      case 'buckets':
        this.answered(message);
        break;
    }
  }

  /** The changes of that message are in the replica, and as safe as an acknowledgement says. */
  applied(sequence: number): void {
    if (!this.up) return;
    const isMore = this.arrivals.done(sequence);
    // A repeat is acknowledged again: its sender does not know of the first time.
    this.isAckOwed ||= isMore || sequence <= this.arrivals.sequence;
    if (isMore && this.arrivals.revision > 0) this.replica.saw(this.peer, this.arrivals.revision);
  }

  private acknowledged(sequence: number): void {
    while (this.unacked.length > 0 && this.unacked[0].sequence <= sequence) this.unacked.shift();
  }

  private asked(message: DigestsMessage): void {
    if (message.words.length !== DIGEST_WORDS) throw unfit('digests', `${message.words.length} words`, `${DIGEST_WORDS}`);
    const { cache, incarnation } = this.replica;
    // A later question takes the place of one that is not answered yet.
    this.question = { message, own: new BucketDigest(cache, saltOf(this.peer, incarnation, message.pass)) };
  }

  private answered({ pass, buckets }: BucketsMessage): void {
    if (this.pass?.isAsking !== true || this.pass.number !== pass) {
      // The answer to an earlier question, or a repeat.
      if (pass >= 1 && pass <= this.passes) return;
      throw unfit('pass', String(pass), 'one that was asked');
    }
    const wrong = buckets.find((bucket) => bucket >= BUCKETS);
    if (wrong !== undefined) throw unfit('buckets', String(wrong), `0 to ${BUCKETS - 1}`);
    this.askedMs = null;
    this.pass.wanted(buckets);
    this.endPass();
  }

  private answer(): BucketsMessage | null {
    if (this.question?.own.isDone !== true) return null;
    const { message, own } = this.question;
    this.question = null;
    return { kind: 'buckets', pass: message.pass, buckets: own.differing(message.words) };
  }

  private ask(nowMs: MonoMs): DigestsMessage | null {
    if (this.reader?.isLost === true) {
      this.reader.close();
      this.reader = null;
      this.isPassOwed = true;
    }
    if (this.isPassOwed && this.pass === null) this.startPass();
    const question = this.pass?.question() ?? null;
    if (question !== null) this.askedMs = nowMs;
    return question;
  }

  private startPass(): void {
    const { incarnation, log } = this.replica;
    this.isPassOwed = false;
    this.reader?.close();
    this.reader = log.reader(log.revision, this.peer);
    this.pass = new OutgoingPass(this.replica, saltOf(incarnation, this.peer, ++this.passes), this.passes);
  }

  /** What was not sent of the pass is nothing: its revision may be told. */
  private endPass(): void {
    if (this.pass?.isDone !== true) return;
    this.pass = null;
    this.isRevisionOwed = !this.isPassOwed;
  }

  private changes(nowMs: MonoMs): ChangesMessage | null {
    if (this.unacked.length >= MESSAGES_UNACKED_MAX) return null;
    const batch = this.batch();
    const count = batch.mappings.length + batch.cleans.length;
    this.endPass();
    const revision = this.pass === null && this.reader !== null ? this.reader.position : 0;
    if (count === 0 && !(this.isRevisionOwed && revision > 0) && revision - this.told < REVISIONS_UNTOLD_MAX) return null;
    if (revision > 0) {
      this.told = revision;
      this.isRevisionOwed = false;
    }
    this.unacked.push({ sequence: ++this.sequence, sentMs: nowMs, count });
    return { kind: 'changes', sequence: this.sequence, revision, ...batch };
  }

  private batch(): Batch {
    const { reader, pass } = this;
    const isPassSending = pass?.isSending === true;
    const batch = reader?.take(isPassSending ? CHANGES_IN_PASS : MAPPINGS_PER_MESSAGE, CLEANS_PER_MESSAGE / 2) ?? { mappings: [], cleans: [] };
    if (!isPassSending) return batch;
    const more = pass.take(MAPPINGS_PER_MESSAGE - batch.mappings.length - batch.cleans.length, CLEANS_PER_MESSAGE / 2);
    return { mappings: [...batch.mappings, ...more.mappings], cleans: [...batch.cleans, ...more.cleans] };
  }
}

/** Both ends know it, and nobody else does before the link is up. */
function saltOf(asking: string, answering: string, pass: number): string {
  return `${asking} ${answering} ${pass}`;
}

function unfit(field: string, value: string, allowed: string): AppError {
  return new AppError('LINK', `the peer's ${field} is ${value}, allowed is ${allowed}`, { details: { field } });
}
