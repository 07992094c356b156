/** The bound that a node's memory is planned with. What it measures is a size, not a time, so it may fail a build. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { measure, SHAPES } from './testing/memory.js';

const BYTES_PER_MAPPING = 200;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function bytesUsed(): number {
  for (let i = 0; i < 3; i++) collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

for (const shape of SHAPES) {
  t.test(`a mapping with its change costs no more than ${BYTES_PER_MAPPING} bytes, a zombie no more either: ${shape.what}`, (t) => {
    const { learnedBytes, zombieBytes } = measure(shape, bytesUsed);
    // Less would mean that something was not measured: its times, numbers and place in the log alone take half of that.
    t.ok(learnedBytes > BYTES_PER_MAPPING / 4 && learnedBytes <= BYTES_PER_MAPPING, `${learnedBytes.toFixed(0)} bytes`);
    t.ok(zombieBytes > BYTES_PER_MAPPING / 4 && zombieBytes <= BYTES_PER_MAPPING, `${zombieBytes.toFixed(0)} bytes as zombies`);
    t.end();
  });
}
