/** Nanoseconds per scan: `node packages/dns/dist/scan.bench.js`. */
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { AnswerView, sameQuestion, scanAnswer } from './answer-view.js';
import { buildReply } from './build.js';
import { QueryView, scanQuery } from './query-view.js';
import { recompress } from './recompress.js';
import { MessageWriter, labelsOf } from './testing/message-writer.js';

const ROUNDS = 5;
const SCANS = 2_000_000;
/** Packets lie in slots, as in the journal, so that no two scans read the same cache line. */
const SLOTS = 64;
const SLOT_BYTES = 2048;

const slots = new Uint8Array(SLOTS * SLOT_BYTES);
const queryView = new QueryView();
const answerView = new AnswerView();
const out = new Uint8Array(4096);

function fillSlots(packet: (slot: number) => Uint8Array): number {
  let length = 0;
  for (let slot = 0; slot < SLOTS; slot += 1) {
    const bytes = packet(slot);
    slots.set(bytes, slot * SLOT_BYTES);
    length = bytes.length;
  }
  return length;
}

/** Prints the best of some rounds: the machine's other work only ever adds. */
function measure(what: string, count: number, once: (start: number) => number): void {
  let best = Infinity;
  let sink = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const startMs = performance.now();
    for (let i = 0; i < count; i += 1) sink += once((i % SLOTS) * SLOT_BYTES);
    best = Math.min(best, ((performance.now() - startMs) * 1e6) / count);
  }
  process.stdout.write(`${what.padEnd(56)} ${best.toFixed(1).padStart(8)} ns  (${String(sink % 10)})\n`);
}

/** 20 bytes on the wire, length bytes and root included. */
const benchName = (slot: number): string => `h${String(1000 + slot)}.bench0.tests`;

let length = fillSlots((slot) => new MessageWriter().question(labelsOf(benchName(slot))).finish());
measure('scanQuery, 20-byte name, 3 labels', SCANS, (start) => scanQuery(slots, start, length, queryView));
measure('scanQuery + buildReply (refused)', SCANS, (start) => {
  scanQuery(slots, start, length, queryView);
  return buildReply(slots, start, queryView, 5, 15, out, 0, 512);
});
length = fillSlots((slot) => new MessageWriter().question(labelsOf(benchName(slot))).opt().finish());
measure('scanQuery, the same with EDNS', SCANS, (start) => scanQuery(slots, start, length, queryView));
length = fillSlots((slot) => new MessageWriter().question(labelsOf(`a${String(10 + slot)}.very.long.service.name.in.some.namespace.svc.cluster.local`)).opt().finish());
measure('scanQuery, 65-byte name, 11 labels, EDNS', SCANS, (start) => scanQuery(slots, start, length, queryView));

const answer = (records: number) => (slot: number): Uint8Array => {
  const owner = labelsOf(benchName(slot));
  const writer = new MessageWriter({ flags: 0x8180 }).question(owner);
  for (let i = 0; i < records; i += 1) writer.record('answer', owner, { type: 1 }, (w) => w.u32(i));
  return writer.opt().finish();
};
for (const records of [1, 4, 20]) {
  length = fillSlots(answer(records));
  measure(`scanAnswer, ${String(records)} A, EDNS`, SCANS, (start) => scanAnswer(slots, start, length, answerView));
}
length = fillSlots(answer(1));
const query = new MessageWriter().question(labelsOf(benchName(0))).finish();
scanQuery(query, 0, query.length, queryView);
scanAnswer(slots, 0, length, answerView);
measure('sameQuestion, 20-byte name', SCANS, () => (sameQuestion(query, queryView, slots, answerView) ? 1 : 0));
length = fillSlots(answer(20));
measure('recompress, 20 A', SCANS / 20, (start) => recompress(slots, start, length, out, 0, out.length));
