/**
 * What a mapping costs in memory, with all that the control thread keeps of it: V8's heap and the buffers beside it, after garbage is
 * collected. `node --expose-gc packages/core/dist/fqdn/cache-memory.bench.js`: 100,000 mappings of 500 endpoints, once of names that pods
 * have in common, once each of a name of its own.
 */
import { measure, SHAPES } from './testing/memory.js';

const ROUNDS = 3;

function bytesUsed(): number {
  if (globalThis.gc === undefined) throw new Error('run it with node --expose-gc');
  for (let i = 0; i < ROUNDS; i++) globalThis.gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

for (const shape of SHAPES) {
  const { what, learnedBytes, zombieBytes } = measure(shape, bytesUsed);
  process.stdout.write(`${what}: ${learnedBytes.toFixed(0)} bytes a mapping; ${zombieBytes.toFixed(0)} once all have expired\n`);
}
