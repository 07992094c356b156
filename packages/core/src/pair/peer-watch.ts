/**
 * Is the peer's data plane alive? Judged by its heartbeat word, which the thread that answers queries writes on every
 * turn, against our own ticks.
 *
 * Invariant: a false alarm is harmless (both then read the same sockets, and a slot has one owner), a missed one is
 * not; so silence is counted in our own ticks: a member that is itself starved blames nobody.
 */

/** Both members turn at least this often. */
export const PEER_TICK_MS = 10;
/** Ticks without a beat after which the peer is stale. */
const STALE_TICKS = 3;

export class PeerWatch {
  private lastBeat: number | null = null;
  private beatAt = 0;
  private silentTicks = 0;
  private nextTickMs = 0;

  /** True when it is time to look at the heartbeat. */
  isDue(nowMs: number): boolean {
    return nowMs >= this.nextTickMs;
  }

  nextDeadlineMs(): number {
    return this.nextTickMs;
  }

  /** When a beat was seen last; 0 before the first. */
  get beatAtMs(): number {
    return this.beatAt;
  }

  /** As the last tick found it. */
  get isStale(): boolean {
    return this.silentTicks >= STALE_TICKS;
  }

  /** One tick with the heartbeat word as it stands; true while the peer is stale. */
  tick(nowMs: number, beat: number): boolean {
    this.nextTickMs = nowMs + PEER_TICK_MS;
    if (beat !== this.lastBeat) {
      this.lastBeat = beat;
      this.beatAt = nowMs;
      this.silentTicks = 0;
    } else {
      this.silentTicks++;
    }
    return this.isStale;
  }
}
