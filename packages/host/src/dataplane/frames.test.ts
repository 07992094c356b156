import t from 'tap';
import { FrameReader } from './frames.js';

const CAPACITY = 16;

/** Every frame that is whole after the pieces came, as text, `+` for a cut one. */
function frames(reader: FrameReader, ...pieces: readonly Uint8Array[]): string[] {
  const found: string[] = [];
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      const offset = reader.writeOffset();
      const part = piece.subarray(at, at + reader.bytes.length - offset);
      reader.bytes.set(part, offset);
      reader.wrote(part.length);
      at += part.length;
      for (let frame = reader.peek(); frame !== null; frame = reader.peek()) {
        const text = Buffer.from(reader.bytes.subarray(frame.offset, frame.offset + frame.length)).toString('latin1');
        found.push(frame.truncated ? `${text}+` : text);
        reader.consume(frame);
      }
    }
  }
  return found;
}

function framed(text: string): Buffer {
  return Buffer.from([text.length >> 8, text.length & 0xff, ...Buffer.from(text, 'latin1')]);
}

t.test('a frame is given when its last byte is there, and not before', (t) => {
  const reader = new FrameReader(CAPACITY);
  const bytes = framed('hello');
  for (const byte of bytes.subarray(0, -1)) t.strictSame(frames(reader, Buffer.from([byte])), []);
  t.equal(reader.isEmpty, false);
  t.strictSame(frames(reader, bytes.subarray(-1)), ['hello']);
  t.equal(reader.isEmpty, true);
  t.end();
});

t.test('frames of every length about the capacity are given, longer ones cut', (t) => {
  for (let length = 0; length <= CAPACITY + 3; length++) {
    const text = 'x'.repeat(length);
    const expected = length <= CAPACITY ? text : `${'x'.repeat(CAPACITY)}+`;
    t.strictSame(frames(new FrameReader(CAPACITY), framed(text), framed('next')), [expected, 'next'], `${length} bytes`);
  }
  t.end();
});

t.test('a frame without content is a frame', (t) => {
  t.strictSame(frames(new FrameReader(CAPACITY), Buffer.concat([framed(''), framed(''), framed('a')])), ['', '', 'a']);
  t.end();
});

t.test('the rest of a frame that was cut is skipped however it comes, and is not taken for a length', (t) => {
  const long = framed('0123456789abcdef' + '\x00\x02no'.repeat(20));
  const reader = new FrameReader(CAPACITY);
  t.strictSame(frames(reader, long.subarray(0, 30)), ['0123456789abcdef+']);
  t.equal(reader.isEmpty, false, 'more of it is to come');
  t.strictSame(frames(reader, ...Array.from(long.subarray(30), (byte) => Buffer.from([byte])), framed('next')), ['next']);
  t.end();
});

t.test('the longest frame that the two bytes can say is skipped to its end', (t) => {
  t.strictSame(frames(new FrameReader(CAPACITY), framed('y'.repeat(0xffff)), framed('next')), [`${'y'.repeat(CAPACITY)}+`, 'next']);
  t.end();
});

t.test('the buffer never grows', (t) => {
  const reader = new FrameReader(CAPACITY);
  for (let i = 0; i < 1000; i++) frames(reader, framed('z'.repeat(i % 40)));
  t.equal(reader.bytes.length, 2 + CAPACITY);
  t.end();
});
