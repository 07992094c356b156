/**
 * Chance under a seed: sfc32. Each part of the simulation draws from a stream of its own, forked by name, so that one
 * draw more in one place does not reshuffle the others.
 */
import type { Random } from '@tandem/core';

const WARM_UP = 12;
const TWO_32 = 0x1_0000_0000;

export class RandomStream implements Random {
  private readonly key: number;
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  constructor(seed: number) {
    this.key = seed >>> 0;
    this.a = mix(this.key ^ 0x9e3779b9);
    this.b = mix(this.a ^ 0x85ebca6b);
    this.c = mix(this.b ^ Math.floor(seed / TWO_32));
    for (let i = 0; i < WARM_UP; i++) this.next();
  }

  /** A stream that depends on this one's seed and the name alone, not on what was drawn. */
  fork(name: string): RandomStream {
    let hash = mix(this.key ^ 0x27d4eb2f);
    for (let i = 0; i < name.length; i++) hash = mix(hash ^ name.charCodeAt(i));
    return new RandomStream(hash);
  }

  int(below: number): number {
    return Math.floor((this.next() / TWO_32) * below);
  }

  chance(probability: number): boolean {
    return this.next() < probability * TWO_32;
  }

  /** Uniform, with a resolution of 1/1024. */
  between(min: number, max: number): number {
    return min + Math.floor((max - min) * 1024 * (this.next() / TWO_32)) / 1024;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(items.length)];
  }

  private next(): number {
    const sum = (this.a + this.b + this.counter++) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }
}

function mix(value: number): number {
  let hash = Math.imul(value ^ (value >>> 16), 0x7feb352d);
  hash = Math.imul(hash ^ (hash >>> 15), 0x846ca68b);
  return (hash ^ (hash >>> 16)) >>> 0;
}
