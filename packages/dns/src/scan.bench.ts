/** What a scan, and what is made of it, costs: `npm run bench:micro -- --only scan`. */
import { AnswerView, sameQuestion, scanAnswer } from './answer-view.js';
import { buildReply } from './build.js';
import { HEADER_BYTES } from './constants.js';
import { QueryView, scanQuery } from './query-view.js';
import { recompress } from './recompress.js';
import { SCAN } from './scan-code.js';
import { MessageWriter, labelsOf } from './testing/message-writer.js';

/** Packets lie in slots, as in the journal, so that no two scans read the same cache line. */
const SLOTS = 64;
const SLOT_BYTES = 2048;

const queryView = new QueryView();
const answerView = new AnswerView();
const out = new Uint8Array(4096);

/** `once` gets the bytes of a slot and says whether all went well. */
function overSlots(packet: (slot: number) => Uint8Array, once: (bytes: Uint8Array, start: number, length: number) => boolean): (count: number) => void {
  const slots = new Uint8Array(SLOTS * SLOT_BYTES);
  let length = 0;
  for (let slot = 0; slot < SLOTS; slot += 1) {
    const bytes = packet(slot);
    slots.set(bytes, slot * SLOT_BYTES);
    length = bytes.length;
  }
  return (count) => {
    for (let i = 0; i < count; i += 1) if (!once(slots, (i % SLOTS) * SLOT_BYTES, length)) throw new Error('it went wrong');
  };
}

/** 20 bytes on the wire, length bytes and root included. */
const benchName = (slot: number): string => `h${String(1000 + slot)}.bench0.tests`;
const longName = (slot: number): string => `a${String(10 + slot)}.very.long.service.name.in.some.namespace.svc.cluster.local`;
const plain = (slot: number): Uint8Array => new MessageWriter().question(labelsOf(benchName(slot))).finish();
const withEdns = (slot: number): Uint8Array => new MessageWriter().question(labelsOf(benchName(slot))).opt().finish();
const long = (slot: number): Uint8Array => new MessageWriter().question(labelsOf(longName(slot))).opt().finish();
const answer = (records: number) => (slot: number): Uint8Array => {
  const owner = labelsOf(benchName(slot));
  const writer = new MessageWriter({ flags: 0x8180 }).question(owner);
  for (let i = 0; i < records; i += 1) writer.record('answer', owner, { type: 1 }, (w) => w.u32(i));
  return writer.opt().finish();
};

const readQuery = (bytes: Uint8Array, start: number, length: number): boolean => scanQuery(bytes, start, length, queryView) === SCAN.ok;
const readAnswer = (bytes: Uint8Array, start: number, length: number): boolean => scanAnswer(bytes, start, length, answerView) === SCAN.ok;
const asked = plain(0);
const told = answer(1)(0);

export const subjects: Readonly<Record<string, (count: number) => void>> = {
  'scanQuery, 20-byte name, 3 labels': overSlots(plain, readQuery),
  'scanQuery and buildReply, refused': overSlots(plain, (bytes, start, length) => readQuery(bytes, start, length) && buildReply(bytes, start, queryView, 5, 15, out, 0, 512) > 0),
  'scanQuery, 20-byte name, EDNS': overSlots(withEdns, readQuery),
  'scanQuery, 65-byte name, 11 labels, EDNS': overSlots(long, readQuery),
  'scanAnswer, 1 A, EDNS': overSlots(answer(1), readAnswer),
  'scanAnswer, 4 A, EDNS': overSlots(answer(4), readAnswer),
  'scanAnswer, 20 A, EDNS': overSlots(answer(20), readAnswer),
  'sameQuestion, 20-byte name': overSlots(plain, () => sameQuestion(asked, HEADER_BYTES, told, HEADER_BYTES, asked.length - HEADER_BYTES)),
  'recompress, 20 A': overSlots(answer(20), (bytes, start, length) => recompress(bytes, start, length, out, 0, out.length) > 0),
};
