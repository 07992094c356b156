/** How long to wait before the next try: twice as long each time, up to a bound, with chance in it so that nodes do not try together. */
export class Backoff {
  private readonly firstMs: number;
  private readonly maxMs: number;
  private readonly random: () => number;
  private nextMs: number;

  /** `random`: uniform in [0, 1). */
  constructor({ firstMs, maxMs, random }: { readonly firstMs: number; readonly maxMs: number; readonly random: () => number }) {
    this.firstMs = firstMs;
    this.maxMs = maxMs;
    this.random = random;
    this.nextMs = firstMs;
  }

  /** `atLeastMs`: of faults that do not pass by themselves; of servers that ask for patience. Half of the wait is chance. */
  next(atLeastMs = 0): number {
    const ms = this.nextMs;
    this.nextMs = Math.min(ms * 2, this.maxMs);
    return Math.round(atLeastMs + ms * (0.5 + this.random() / 2));
  }

  reset(): void {
    this.nextMs = this.firstMs;
  }
}
