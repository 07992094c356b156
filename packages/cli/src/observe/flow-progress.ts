/**
 * How far a stream of flows has come, and the request that goes on from there at another server.
 *
 * Invariant: `fresh` gives no flow twice that it remembers. It remembers the last ones only: more than can have been seen in the time that a
 * resumption reaches back, unless they are more than the bound.
 */
import type { GetFlowsRequest, GetFlowsResponse } from '@tandem/proto';
import { msOf, timestampOf } from './flow-time.js';

/** Flows of both members come in the order of time but for what is on its way: so far back a resumption begins. */
const REACH_BACK_MS = 5_000;
/** Remembered flows; with more in the time of a resumption, some may come twice. */
const REMEMBERED_MAX = 100_000;

export class FlowProgress {
  private readonly original: GetFlowsRequest;
  private readonly remembers: boolean;
  private readonly startMs = Date.now();
  /** In the order in which they came. */
  private readonly seen = new Set<string>();
  private given = 0n;
  private firstMs: number | null = null;
  private lastMs: number | null = null;
  private wasAsked = false;

  constructor(request: GetFlowsRequest, remembers: boolean) {
    this.original = request;
    this.remembers = remembers;
  }

  /** The original at first, then what remains of it. */
  request(): GetFlowsRequest {
    if (!this.wasAsked) {
      this.wasAsked = true;
      return this.original;
    }
    const { follow, number, since } = this.original;
    if (this.firstMs === null || this.lastMs === null) {
      // Nothing came yet: the same again, but for what a mere follower missed meanwhile.
      return follow && number === 0n && since === undefined ? { ...this.original, since: timestampOf(this.startMs) } : this.original;
    }
    const fromMs = Math.max(since === undefined ? this.firstMs : msOf(since), this.lastMs - REACH_BACK_MS);
    const rest = number > this.given ? number - this.given : 1n;
    return { ...this.original, since: timestampOf(fromMs), ...(follow || number === 0n ? { number: 0n, first: false } : { number: rest, first: true }) };
  }

  /** What was not given yet; all that is no flow. */
  async *fresh(responses: AsyncIterable<GetFlowsResponse>): AsyncGenerator<GetFlowsResponse> {
    for await (const response of responses) if (this.isFresh(response)) yield response;
  }

  private isFresh({ responseTypes }: GetFlowsResponse): boolean {
    if (responseTypes?.$case !== 'flow' || !this.remembers) return true;
    const { uuid, time } = responseTypes.value;
    if (uuid !== '') {
      if (this.seen.has(uuid)) return false;
      this.seen.add(uuid);
      if (this.seen.size > REMEMBERED_MAX) this.seen.delete(this.seen.values().next().value!);
    }
    this.given++;
    if (time !== undefined) {
      this.firstMs ??= msOf(time);
      this.lastMs = Math.max(this.lastMs ?? 0, msOf(time));
    }
    return true;
  }
}
