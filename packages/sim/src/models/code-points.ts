/**
 * Named places in a turn at which a process can be killed or stopped: those of node-reuseport, and some between them.
 * Nothing happens at one unless a fault is armed for it.
 */

export const POINTS = [
  'before-receive', 'after-receive', 'mid-batch', 'after-take', 'reading', 'before-send', 'in-send', 'after-send', 'steal-before-swap',
  'steal-after-swap', 'steal-after-poison',
] as const;
export type Point = (typeof POINTS)[number];

/** The kernel's calls have no point at which a kill could fall; preemption can. */
export const PAUSE_ONLY: readonly Point[] = ['in-send'];

export class CodePoints {
  private point: Point | null = null;
  private countdown = 0;
  private action: (() => void) | null = null;

  /** The `countdown`th pass of the point does `action`, once. */
  arm(point: Point, countdown: number, action: () => void): void {
    this.point = point;
    this.countdown = countdown;
    this.action = action;
  }

  disarm(): void {
    this.point = null;
  }

  get isArmed(): boolean {
    return this.point !== null;
  }

  /** The next pass of the point does what is armed. */
  isDue(point: Point): boolean {
    return this.point === point && this.countdown <= 1;
  }

  hit(point: Point): void {
    if (this.point !== point || --this.countdown > 0) return;
    this.point = null;
    this.action!();
  }
}
