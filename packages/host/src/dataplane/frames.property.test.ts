import fc from 'fast-check';
import t from 'tap';
import { FrameReader } from './frames.js';

const CAPACITY = 32;

interface Seen {
  readonly bytes: readonly number[];
  readonly truncated: boolean;
}

/** Gives the stream to a reader in pieces of these lengths, over and over, as far as its buffer has room. */
function read(stream: Uint8Array, pieceLengths: readonly number[]): Seen[] {
  const reader = new FrameReader(CAPACITY);
  const seen: Seen[] = [];
  for (let at = 0, turn = 0; at < stream.length; turn++) {
    const offset = reader.writeOffset();
    const length = Math.min(pieceLengths[turn % pieceLengths.length], reader.bytes.length - offset, stream.length - at);
    reader.bytes.set(stream.subarray(at, at + length), offset);
    reader.wrote(length);
    at += length;
    for (let frame = reader.peek(); frame !== null; frame = reader.peek()) {
      seen.push({ bytes: [...reader.bytes.subarray(frame.offset, frame.offset + frame.length)], truncated: frame.truncated });
      reader.consume(frame);
    }
  }
  return seen;
}

const message = fc.oneof(
  { weight: 6, arbitrary: fc.uint8Array({ maxLength: CAPACITY }) },
  { weight: 2, arbitrary: fc.uint8Array({ minLength: CAPACITY - 1, maxLength: CAPACITY + 2 }) },
  { weight: 2, arbitrary: fc.uint8Array({ minLength: CAPACITY + 1, maxLength: 8 * CAPACITY }) },
);

t.test('any split of a stream gives the same frames, whole ones whole and long ones cut', (t) => {
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 2 * CAPACITY }), { minLength: 1, maxLength: 8 }),
      (messages, pieceLengths) => {
        const stream = Buffer.concat(messages.flatMap((one) => [Uint8Array.of(one.length >> 8, one.length & 0xff), one]));
        const expected = messages.map((one): Seen => ({ bytes: [...one.subarray(0, CAPACITY)], truncated: one.length > CAPACITY }));
        return JSON.stringify(read(stream, pieceLengths)) === JSON.stringify(expected);
      },
    ),
    { numRuns: 500, verbose: 1 },
  );
  t.end();
});

t.test('any bytes at all are frames or the start of one, and never more than there were', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.integer({ min: 1, max: 40 }), (stream, pieceLength) => {
      const total = read(stream, [pieceLength]).reduce((sum, { bytes }) => sum + 2 + bytes.length, 0);
      return total <= stream.length;
    }),
    { numRuns: 500 },
  );
  t.end();
});
