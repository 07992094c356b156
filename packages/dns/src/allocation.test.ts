/** What runs once per packet leaves nothing on the heap. */
import process from 'node:process';
import t from 'tap';
import { AnswerView, sameQuestion, scanAnswer } from './answer-view.js';
import { buildReply, buildTruncated } from './build.js';
import { HEADER_BYTES } from './constants.js';
import { QueryView, scanQuery } from './query-view.js';
import { recompress } from './recompress.js';
import { ServiceBindingHints, scanServiceBinding } from './service-binding.js';
import { MessageWriter, hex, labelsOf } from './testing/message-writer.js';
import { nameEquals } from './wire-name.js';

/** Enough for the optimiser to have settled. */
const WARM_UP = 100_000;
/** Few enough that no collection falls in between, so that growth cannot hide. */
const CALLS = 20_000;
const ROUNDS = 10;
/** Less than a byte a call: the smallest object has 12. */
const LIMIT_BYTES = CALLS / 2;

const name = labelsOf('h1000.Bench.test');
// The highest hash bits are set for some suffix, the TTL's, too: numbers above 2^31 are where a heap would come in.
const query = new MessageWriter().question(name).opt().finish();
const answer = new MessageWriter({ flags: 0x8180 })
  .question(name, 65)
  .record('answer', name, { type: 5, ttlSeconds: 0xffff_fff0 }, (w) => w.name(labelsOf('x.test')))
  .record('answer', labelsOf('x.test'), { type: 65 }, (w) => w.u16(1).raw(hex('00 0004 0004 c0000201')))
  .opt()
  .finish();

const queryView = new QueryView();
const answerView = new AnswerView();
const hints = new ServiceBindingHints();
const out = new Uint8Array(1024);
scanQuery(query, 0, query.length, queryView);
scanAnswer(answer, 0, answer.length, answerView);

const rows: [string, () => number | boolean][] = [
  ['scanQuery', () => scanQuery(query, 0, query.length, queryView)],
  ['scanAnswer', () => scanAnswer(answer, 0, answer.length, answerView)],
  ['sameQuestion', () => sameQuestion(query, HEADER_BYTES, answer, HEADER_BYTES, queryView.questionEnd - HEADER_BYTES)],
  ['nameEquals', () => nameEquals(answer, 0, answerView.dataOffset[0], answer, 0, answerView.owner[1])],
  ['scanServiceBinding', () => scanServiceBinding(answer, 0, answerView.dataOffset[1], answerView.dataLength[1], hints)],
  ['buildReply', () => buildReply(query, 0, queryView, 5, 15, out, 0, 512)],
  ['buildTruncated', () => buildTruncated(answer, 0, answer.length, answerView, out, 0, 512)],
  ['recompress', () => recompress(answer, 0, answer.length, out, 0, out.length)],
];

for (const [what, call] of rows) {
  t.test(`${what} allocates nothing`, (t) => {
    let sink = 0;
    for (let i = 0; i < WARM_UP; i += 1) sink += Number(call());
    let least = Infinity;
    for (let round = 0; round < ROUNDS; round += 1) {
      const before = process.memoryUsage().heapUsed;
      for (let i = 0; i < CALLS; i += 1) sink += Number(call());
      const grown = process.memoryUsage().heapUsed - before;
      if (grown >= 0) least = Math.min(least, grown);
    }
    t.ok(least < LIMIT_BYTES, `${String(least)} bytes in ${String(CALLS)} calls (${String(sink % 7)})`);
    t.end();
  });
}
