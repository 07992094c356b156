/** What one record costs the query path: `npm run bench:micro -- --only flow-writer`. */
import { SLOT, type SlotMemory, slotWord } from '@tandem/core';
import { initRing, ringBytes } from './flow-ring.js';
import { FlowWriter } from './flow-writer.js';

const CELLS = 32_768;
const SLOTS = 4096;
const STRIDE = 2112;
const ANSWERS_AT = SLOTS * STRIDE;
const ANSWER_STRIDE = 66_112;
const BATCH = 64;

const bytes = new Uint8Array(ANSWERS_AT + BATCH * ANSWER_STRIDE);
const memory: SlotMemory = { bytes, words: new Uint32Array(bytes.buffer), slotCount: SLOTS, firstSlotOffset: 0, slotStride: STRIDE, payloadOffset: 320 };
const ring = new Uint32Array(ringBytes(CELLS) / 4);
initRing(ring, CELLS, [0, 1]);
const writer = new FlowWriter(ring, memory, { upstreams: [{ address: new Uint8Array(16), port: 53 }], policyPort: 53, bootedAtMs: () => 0, isStolen: () => false });
for (let slot = 0; slot < SLOTS; slot++) memory.words[slotWord(memory, slot) + SLOT.clientPort] = slot;

let written = 0;

function write(length: number): (count: number) => void {
  return (count) => {
    for (let n = 0; n < count; n++, written++) {
      if (written % BATCH === 0) writer.startBatch(written);
      const slot = written % SLOTS;
      memory.words[slotWord(memory, slot) + SLOT.told] = 0;
      writer.decided(slot, 7, 0);
      writer.answer(slot, bytes, ANSWERS_AT + (written % BATCH) * ANSWER_STRIDE, length);
    }
  };
}

export const subjects: Readonly<Record<string, (count: number) => void>> = Object.fromEntries([40, 80, 300, 1200].map((length) => [`answer of ${String(length)} bytes`, write(length)]));
