import fc from 'fast-check';
import t from 'tap';
import { LineReader, ListReader, OBJECT_BYTES_MAX } from './list-reader.js';

function readList(bytes: Buffer, cuts: readonly number[]): { items: unknown[]; metadata: unknown } {
  const items: unknown[] = [];
  const reader = new ListReader((item) => items.push(item));
  for (const part of parts(bytes, cuts)) reader.push(part);
  return { items, metadata: reader.end() };
}

function parts(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return at.slice(1).map((end, i) => bytes.subarray(at[i], end));
}

t.test('a list is read the same, however it is cut and wherever its metadata stand', (t) => {
  const item = fc.oneof({ weight: 9, arbitrary: fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()) }, { weight: 1, arbitrary: fc.jsonValue() });
  fc.assert(fc.property(fc.array(item, { maxLength: 6 }), fc.array(fc.nat(), { maxLength: 8 }), fc.boolean(), fc.boolean(), (items, cuts, isFirst, isPretty) => {
    const metadata = { resourceVersion: '7', continue: 'items":[', labels: { items: ['x', '}'] } };
    const list = isFirst ? { kind: 'items', metadata, items } : { apiVersion: 'v1', items, kind: 'List', metadata };
    const text = Buffer.from(JSON.stringify(list, null, isPretty ? 2 : 0));
    t.strictSame(readList(text, cuts), { items: JSON.parse(JSON.stringify(items)) as unknown, metadata: { resourceVersion: '7', next: 'items":[' } });
  }), { numRuns: 500 });
  t.end();
});

t.test('a list without items, and one whose items are null, are empty', (t) => {
  for (const items of ['', ',"items":null', ',"items":[]']) {
    t.strictSame(readList(Buffer.from(`{"metadata":{"resourceVersion":"9"}${items}}`), []), { items: [], metadata: { resourceVersion: '9', next: null } });
  }
  t.end();
});

t.test('what is no list is refused', (t) => {
  const table: readonly [string, string][] = [
    ['', 'malformed'], ['null', 'malformed'], ['[]', 'malformed'], ['{"items":[{}]}', 'malformed'], ['{"metadata":{"resourceVersion":7}}', 'malformed'],
    ['{"metadata":{"resourceVersion":"7"},"items":[{"a":1}', 'malformed'], ['{"metadata":{"resourceVersion":"7"},"items":[{"a":}]}', 'malformed'],
    ['<html>', 'malformed'], [`{"metadata":{"resourceVersion":"${'7'.repeat(100_000)}"}}`, 'too-large'],
  ];
  for (const [text, code] of table) t.throws(() => readList(Buffer.from(text), []), { code }, text.slice(0, 40));
  const reader = new ListReader(() => undefined);
  reader.push(Buffer.from('{"items":[{"a":"'));
  t.throws(() => { for (let i = 0; i <= OBJECT_BYTES_MAX; i += 65_536) reader.push(Buffer.alloc(65_536, 0x61)); }, { code: 'too-large' });
  t.end();
});

t.test('lines are read the same, however they are cut', (t) => {
  fc.assert(fc.property(fc.array(fc.jsonValue(), { maxLength: 6 }), fc.array(fc.nat(), { maxLength: 8 }), (values, cuts) => {
    const found: unknown[] = [];
    const reader = new LineReader((value) => found.push(value));
    for (const part of parts(Buffer.from(values.map((value) => `${JSON.stringify(value)}\n`).join('\n')), cuts)) reader.push(part);
    t.strictSame(found, JSON.parse(JSON.stringify(values)));
  }), { numRuns: 300 });
  t.end();
});

t.test('a line that is no JSON, or beyond the bound, is refused', (t) => {
  t.throws(() => { new LineReader(() => undefined).push(Buffer.from('{"type":\n')); }, { code: 'malformed' });
  const reader = new LineReader(() => undefined);
  t.throws(() => { for (let i = 0; i <= OBJECT_BYTES_MAX; i += 65_536) reader.push(Buffer.alloc(65_536, 0x61)); }, { code: 'too-large' });
  t.end();
});
