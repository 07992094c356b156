import { noConnections } from '../collection.js';
import type { Enforcement } from '../enforcement.js';

/** A kernel that takes as long as the test wants. */
export class SlowKernel implements Enforcement {
  readonly connections = noConnections;
  /** None: nobody learns here. */
  readonly opener = null as unknown as string;
  readonly problems = [];
  readonly counts = { isLeader: true, changes: 0, failures: 0, repairs: 0, open: 0, cut: 0, redirects: 0 };
  readonly written: (() => void)[] = [];

  enforce(): Promise<void> {
    return new Promise((resolve) => this.written.push(resolve));
  }

  attach(): void {
    // It has nothing to tell.
  }

  isOwn(): boolean {
    return false;
  }

  learned(): void {
    // It opens nothing.
  }

  taught(): void {
    // It opens nothing.
  }

  shrunk(): void {
    // It closes nothing.
  }

  leave(): Promise<void> {
    // It writes when the test wants.
    return Promise.resolve();
  }
}
