/** What one record costs the query path: `node packages/host/dist/flows/flow-writer.bench.js`. Best of REPEATS, interleaved. */
import process from 'node:process';
import { SLOT, type SlotMemory, slotWord } from '@tandem/core';
import { initRing, ringBytes } from './flow-ring.js';
import { FlowWriter } from './flow-writer.js';

const CELLS = 32_768;
const SLOTS = 4096;
const STRIDE = 2112;
const RECORDS = 400_000;
const REPEATS = 15;
const ANSWERS_AT = SLOTS * STRIDE;
const ANSWER_STRIDE = 66_112;
const BATCH = 64;

const bytes = new Uint8Array(ANSWERS_AT + BATCH * ANSWER_STRIDE);
const memory: SlotMemory = { bytes, words: new Uint32Array(bytes.buffer), slotCount: SLOTS, firstSlotOffset: 0, slotStride: STRIDE, payloadOffset: 320 };
const ring = new Uint32Array(ringBytes(CELLS) / 4);
initRing(ring, CELLS, [0, 1]);
const writer = new FlowWriter(ring, memory, { upstreams: [{ address: new Uint8Array(16), port: 53 }], policyPort: 53, bootedAtMs: () => 0, isStolen: () => false });
for (let slot = 0; slot < SLOTS; slot++) memory.words[slotWord(memory, slot) + SLOT.clientPort] = slot;

function run(length: number): number {
  const start = process.hrtime.bigint();
  for (let i = 0; i < RECORDS; i++) {
    if (i % BATCH === 0) writer.startBatch(i);
    const slot = i % SLOTS;
    memory.words[slotWord(memory, slot) + SLOT.told] = 0;
    writer.decided(slot, 7, 0);
    writer.answer(slot, bytes, ANSWERS_AT + (i % BATCH) * ANSWER_STRIDE, length);
  }
  return Number(process.hrtime.bigint() - start) / RECORDS;
}

const lengths = [40, 80, 300, 1200];
const best = lengths.map(() => Infinity);
for (let repeat = 0; repeat < REPEATS; repeat++) lengths.forEach((length, i) => { best[i] = Math.min(best[i], run(length)); });
lengths.forEach((length, i) => process.stdout.write(`answer of ${String(length).padStart(4)} bytes ${best[i].toFixed(0).padStart(5)} ns\n`));
