/**
 * Which messages of changes have come and which are applied, so that what is acknowledged is a run without gaps.
 *
 * Invariant: at most `MESSAGES_UNACKED_MAX` messages are open; a peer that sends more does not keep to the rules.
 * It does not know what the messages hold, nor what makes them applied.
 */
import { AppError } from '../base/app-error.js';
import { assert } from '../base/assert.js';
import { MESSAGES_UNACKED_MAX } from './exchange-messages.js';

interface Open {
  readonly revision: number;
  isApplied: boolean;
}

export class Arrivals {
  private readonly open = new Map<number, Open>();
  private applied = 0;
  private atRevision = 0;

  /** Every message up to this sequence is applied. */
  get sequence(): number {
    return this.applied;
  }

  /** Of the sender, as these messages said it; 0 while they said nothing. */
  get revision(): number {
    return this.atRevision;
  }

  /** @throws AppError LINK for a message that its sender had to hold back. */
  arrive(sequence: number, revision: number): void {
    if (sequence > this.applied + MESSAGES_UNACKED_MAX) {
      const allowed = this.applied + MESSAGES_UNACKED_MAX;
      throw new AppError('LINK', `the peer's sequence is ${sequence}, allowed is at most ${allowed}: more is not acknowledged yet`, { details: { field: 'sequence' } });
    }
    if (sequence > this.applied && !this.open.has(sequence)) this.open.set(sequence, { revision, isApplied: false });
  }

  /** True when there is more to acknowledge. */
  done(sequence: number): boolean {
    const former = this.applied;
    const message = this.open.get(sequence);
    assert(message !== undefined || sequence <= former, 'a message is applied after it came');
    if (message !== undefined) message.isApplied = true;
    for (let next = this.open.get(this.applied + 1); next?.isApplied === true; next = this.open.get(this.applied + 1)) {
      this.open.delete(++this.applied);
      this.atRevision = Math.max(this.atRevision, next.revision);
    }
    return this.applied > former;
  }
}
