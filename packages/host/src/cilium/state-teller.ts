/**
 * Tells one DNS proxy what policy is, as full states.
 *
 * Invariant: it is sent the newest snapshot, at most once in STATE_EVERY_MS, and not before it has answered the one before; a state that it
 * does not answer in time ends it. One that it refuses is told again after a pause, or the next one in its place. It does not know streams.
 */
import { status } from '@grpc/grpc-js';
import type { Snapshot } from '@tandem/core';
import { fqdnPb } from '@tandem/proto';
import type { SpacedLog } from '../pair/spaced-log.js';
import { type ServedState, STATE_BYTES_MAX } from './served-state.js';

export interface TellerTimes {
  readonly stateEveryMs: number;
  readonly answerWithinMs: number;
  readonly refusedAgainMs: number;
}

const TIMES: TellerTimes = {
  /** As Cilium's own agent. */
  stateEveryMs: 1000,
  /** A proxy that says nothing for longer is gone or hangs, and may dial again. */
  answerWithinMs: 30_000,
  refusedAgainMs: 5000,
};

export interface TellerOptions {
  readonly snapshot: () => Snapshot | null;
  readonly served: ServedState;
  readonly spaced: SpacedLog;
  readonly write: (bytes: Buffer) => void;
  /** It has kept to no answer; nothing is written any more. */
  readonly onFail: (code: status, details: string) => void;
  readonly times?: TellerTimes;
}

export class StateTeller {
  private readonly options: TellerOptions;
  private readonly times: TellerTimes;
  private paceTimer: NodeJS.Timeout | null = null;
  private answerTimer: NodeJS.Timeout | null = null;
  private isOver = false;
  private sentHash = '';
  private sentAtMs = -Infinity;
  private refusedHash = '';
  private refusedAtMs = -Infinity;
  private requests = 0;
  /** Of the state that it has not answered; null: it has answered all. */
  private outstanding: string | null = null;

  constructor(options: TellerOptions) {
    this.options = options;
    this.times = options.times ?? TIMES;
  }

  /** Sends what it has not been sent, when it is time. */
  pump(): void {
    const { served, spaced, write } = this.options;
    const snapshot = this.options.snapshot();
    if (this.isOver || this.outstanding !== null || snapshot === null || snapshot.hash === this.sentHash) return;
    if (this.paceTimer !== null) clearTimeout(this.paceTimer);
    const { stateEveryMs, refusedAgainMs, answerWithinMs } = this.times;
    const dueMs = snapshot.hash === this.refusedHash ? this.refusedAtMs + refusedAgainMs : this.sentAtMs + stateEveryMs;
    const inMs = dueMs - performance.now();
    if (inMs > 0) {
      this.paceTimer = setTimeout(() => this.pump(), inMs);
      return;
    }
    const requestId = `${snapshot.revision}-${++this.requests}`;
    this.sentHash = snapshot.hash;
    const bytes = served.bytesOf(snapshot, requestId);
    this.sentAtMs = performance.now();
    if (bytes === null) {
      spaced.say('error', 'the policy is too large for a DNS proxy; what it was told before stays', `more than ${STATE_BYTES_MAX} bytes`);
      return;
    }
    this.outstanding = requestId;
    write(bytes);
    this.answerTimer = setTimeout(() => this.fail(status.DEADLINE_EXCEEDED, `no answer to a policy state within ${answerWithinMs} ms`), answerWithinMs);
  }

  /** Cilium's own proxy does not say which state it means: it has one at a time. null: bytes that are no answer. */
  answered(answer: fqdnPb.PolicyStateResponse | null): void {
    if (this.isOver) return;
    if (answer === null) {
      this.fail(status.INVALID_ARGUMENT, 'an answer that cannot be read');
      return;
    }
    const { requestId, response } = answer;
    if (this.outstanding === null || (requestId !== '' && requestId !== this.outstanding)) return;
    this.outstanding = null;
    if (this.answerTimer !== null) clearTimeout(this.answerTimer);
    if (response === fqdnPb.ResponseCode.NO_ERROR) this.refusedHash = '';
    else {
      this.refusedHash = this.sentHash;
      this.refusedAtMs = performance.now();
      this.sentHash = '';
      this.options.spaced.say('warn', 'a DNS proxy has refused a policy state', `it answers with the code ${response}`);
    }
    this.pump();
  }

  end(): void {
    this.isOver = true;
    for (const timer of [this.paceTimer, this.answerTimer]) if (timer !== null) clearTimeout(timer);
  }

  private fail(code: status, details: string): void {
    this.end();
    this.options.onFail(code, details);
  }
}
