/** Core's Random over the kernel's generator: a pool is filled at once, a draw costs an array read. */
import { randomFillSync } from 'node:crypto';
import type { Random } from '@tandem/core';

const POOL_WORDS = 4096;
const RANGE = 0x1_0000_0000;

export class SecureRandom implements Random {
  private readonly pool = new Uint32Array(POOL_WORDS);
  private next = POOL_WORDS;

  int(below: number): number {
    // Draws past the last whole multiple of `below` would favour small values.
    const limit = RANGE - (RANGE % below);
    for (;;) {
      const value = this.draw();
      if (value < limit) return value % below;
    }
  }

  private draw(): number {
    if (this.next === POOL_WORDS) {
      randomFillSync(this.pool);
      this.next = 0;
    }
    return this.pool[this.next++];
  }
}
