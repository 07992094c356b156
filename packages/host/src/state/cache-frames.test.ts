import t from 'tap';
import { monoMs, type Clean, type Mapping } from '@tandem/core';
import { FrameWriter, readFrames } from './cache-frames.js';
import { mappingAt, NOW } from './testing/cache-rig.js';

const START = 7;
const CLEAN: Clean = { matchPattern: '*.example.', endpointUid: null, atMs: monoMs(5) };

/** Copies: a frame's bytes are the writer's. */
function frames(...contents: readonly (readonly (Mapping | Clean)[])[]): Buffer[] {
  const writer = new FrameWriter();
  return contents.map((items, number) => {
    for (const item of items) {
      if ('name' in item) writer.mapping(item);
      else writer.clean(item);
    }
    return Buffer.from(writer.take(number, { wallMs: NOW.wallMs + number, monoMs: NOW.monoMs + number }));
  });
}

function file(...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.alloc(START, '#'), ...parts]);
}

const three = frames([mappingAt(1000, 1), CLEAN], [mappingAt(2000, 2), mappingAt(2000, 4)], [mappingAt(3000, 3)]);

t.test('what is written is read, in that order, with the clocks of the last frame', (t) => {
  const odd = { ...mappingAt(1, 1), name: '\\195\\169t\\233.example.', endpointUid: 'uid-ä', address: '2001:db8::1', lookupMs: monoMs(0.25) };
  const cleans: Clean[] = [{ matchPattern: null, endpointUid: 'uid-1', atMs: monoMs(1.5) }, { matchPattern: null, endpointUid: null, atMs: monoMs(2) }];
  const read = readFrames(file(...frames([odd, CLEAN], [...cleans, mappingAt(2, 2)])), START);
  t.strictSame(read.items, [{ mapping: odd }, { clean: CLEAN }, { clean: cleans[0] }, { clean: cleans[1] }, { mapping: mappingAt(2, 2) }]);
  t.strictSame(read.clock, { wallMs: NOW.wallMs + 1, monoMs: NOW.monoMs + 1 });
  t.match(read, { damage: null, isCorrupt: false, isComplete: false });
  t.end();
});

t.test('a writer that was emptied starts anew, however large its last frame was', (t) => {
  const writer = new FrameWriter();
  for (let i = 0; i < 40_000; i++) writer.mapping(mappingAt(1, i));
  const large = Buffer.from(writer.take(0, NOW));
  t.ok(large.length > 2_000_000);
  t.equal(writer.count, 0);
  writer.mapping(mappingAt(1, 7));
  writer.clear();
  writer.mapping(mappingAt(1, 8));
  const read = readFrames(file(large, writer.take(1, NOW)), START);
  t.equal(read.items.length, 40_001);
  t.equal(read.items.at(-1)?.mapping?.name, 'n8.example.');
  t.end();
});

t.test('cut at any byte, the whole frames before the cut are read, and it is no corruption', (t) => {
  const whole = file(...three);
  const ends = [START, START + three[0].length, START + three[0].length + three[1].length, whole.length];
  const itemsBefore = [0, 2, 4, 5];
  const wrong: number[] = [];
  for (let cut = START; cut <= whole.length; cut++) {
    const frame = ends.findLastIndex((end) => end <= cut);
    const read = readFrames(whole.subarray(0, cut), START);
    const isTorn = cut !== ends[frame];
    if (read.items.length !== itemsBefore[frame] || read.wholeBytes !== ends[frame] || (read.damage !== null) !== isTorn || read.isCorrupt) wrong.push(cut);
  }
  t.strictSame(wrong, []);
  t.end();
});

t.test('with any one bit flipped, the frames before are read and nothing else; before the last frame it is a corruption', (t) => {
  const wrong: string[] = [];
  const lastAt = START + three[0].length + three[1].length;
  for (let at = START; at < lastAt + three[2].length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const bytes = file(...three);
      bytes[at] ^= 1 << bit;
      const read = readFrames(bytes, START);
      const expected = at < START + three[0].length ? 0 : at < lastAt ? 2 : 4;
      if (read.items.length !== expected || read.damage === null || read.isCorrupt !== (at < lastAt)) wrong.push(`${at}.${bit}`);
    }
  }
  t.strictSame(wrong, []);
  t.end();
});

t.test('a frame that is missing, twice there or out of turn is a corruption', (t) => {
  const [a, b, c] = three;
  for (const parts of [[a, c], [b, c], [a, a, b], [a, c, b]]) {
    const read = readFrames(file(...parts), START);
    t.equal(read.isCorrupt, true);
    t.equal(read.items.length, parts[0] === a ? 2 : 0);
  }
  t.end();
});

t.test('zeros behind the last frame, as a file system leaves them, are a torn end', (t) => {
  const read = readFrames(file(...three, Buffer.alloc(5000)), START);
  t.match(read, { isCorrupt: false, wholeBytes: file(...three).length });
  t.equal(read.items.length, 5);
  t.end();
});

t.test('a frame with a right checksum that makes no sense is a corruption', (t) => {
  const nonsense: readonly Mapping[] = [
    { ...mappingAt(1, 1), name: 'no-dot' }, { ...mappingAt(1, 1), expiryMs: monoMs(0) }, { ...mappingAt(1, 1), lookupMs: monoMs(NaN) },
    { ...mappingAt(1, 1), name: `${'x'.repeat(4000)}.` }, { ...mappingAt(1, 1), ttlSeconds: 0x8000_0000 }, { ...mappingAt(1, 1), address: '' }, { ...mappingAt(1, 1), address: '192.0.2' },
  ];
  for (const mapping of nonsense) {
    const [good, bad] = frames([mappingAt(1, 2)], [mapping]);
    const read = readFrames(file(good, bad), START);
    t.match(read, { isCorrupt: true, damage: /^a frame makes no sense: / });
    t.equal(read.items.length, 1);
  }
  t.end();
});

t.test('the end of a checkpoint counts what stands before it, and nothing comes behind', (t) => {
  const end = (mappings: number, cleans: number): Buffer => {
    const writer = new FrameWriter();
    writer.mapping(mappingAt(1, 1));
    writer.clean(CLEAN);
    writer.end(mappings, cleans);
    return Buffer.from(writer.take(0, NOW));
  };
  t.equal(readFrames(file(end(1, 1)), START).isComplete, true);
  for (const [mappings, cleans] of [[0, 1], [1, 0], [2, 1]]) t.equal(readFrames(file(end(mappings, cleans)), START).isComplete, false);
  const more = readFrames(file(end(1, 1), three[1]), START);
  t.match(more, { isComplete: false, isCorrupt: true });
  t.end();
});
