/**
 * The kernel's sets of open addresses: shared by both members, outlives both.
 *
 * Opening takes time, may be refused, and is confirmed later. Closing at expiry is the kernel's and not modelled: an
 * address that was opened once stays open, so a checker that looks at it is blind for expiry.
 */
import type { EventQueue } from '../base/event-queue.js';
import type { RandomStream } from '../base/random-stream.js';

export type DatapathMode = 'none' | 'fast' | 'slow' | 'refuses';

export class Datapath {
  mode: DatapathMode = 'none';
  private readonly open = new Set<string>();
  private readonly queue: EventQueue;
  private readonly random: RandomStream;

  constructor(queue: EventQueue, random: RandomStream) {
    this.queue = queue;
    this.random = random;
  }

  isOpen(endpointId: number, address: string): boolean {
    return this.open.has(`${endpointId} ${address}`);
  }

  /** Opens the address for the endpoint; `done` follows, unless the kernel refuses. */
  allow(endpointId: number, address: string, done: () => void): void {
    if (this.mode === 'refuses') return;
    const delayMs = this.mode === 'slow' ? this.random.between(20, 250) : this.random.between(0.1, 0.5);
    this.queue.after(delayMs, () => {
      this.open.add(`${endpointId} ${address}`);
      done();
    });
  }
}
