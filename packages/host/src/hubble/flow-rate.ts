/** Flows per second over about the last minute, from counts that are looked at now and then: no flow is gone through for it. */
import type { MemberFlows } from '../flows/flow-log.js';

export const SAMPLE_EVERY_MS = 5_000;
const SAMPLES_MAX = 12;
const MS_PER_SECOND = 1_000;

interface Sample {
  readonly atMs: number;
  readonly seen: number;
}

export class FlowRate {
  private readonly samples: Sample[] = [];
  private readonly lastSeen = new Map<string, number>();
  private total = 0;

  /** A member that was started again counts from 0. */
  sample(members: readonly MemberFlows[], nowMs: number): void {
    this.count(members);
    this.samples.push({ atMs: nowMs, seen: this.total });
    if (this.samples.length > SAMPLES_MAX) this.samples.shift();
  }

  perSecond(members: readonly MemberFlows[], nowMs: number): number {
    this.count(members);
    const [oldest] = this.samples;
    return oldest === undefined || nowMs <= oldest.atMs ? 0 : ((this.total - oldest.seen) * MS_PER_SECOND) / (nowMs - oldest.atMs);
  }

  private count(members: readonly MemberFlows[]): void {
    for (const { role, seen } of members) {
      const before = this.lastSeen.get(role) ?? seen;
      this.total += seen >= before ? seen - before : seen;
      this.lastSeen.set(role, seen);
    }
  }
}
