import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { canonicalJson, type Log } from '@tandem/core';
import { StateFile } from './state-file.js';

const BYTES_MAX = 4096;

interface Content {
  readonly text: string;
}

function contentOf(value: unknown): Content {
  if (typeof (value as Content | null)?.text !== 'string') throw new Error('text is not a string');
  return { text: (value as Content).text };
}

function setUp(t: Test, path = 'state/file.json'): { file: StateFile<Content>; dir: string; path: string; errors: string[] } {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-state-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const errors: string[] = [];
  const ignore = (): void => undefined;
  const log: Log = { debug: ignore, info: ignore, warn: ignore, error: (message, fields) => errors.push(`${message}: ${String(fields?.error)}`) };
  const full = join(dir, path);
  return { file: new StateFile(full, { bytesMax: BYTES_MAX, parse: contentOf, log }), dir, path: full, errors };
}

function contentHash(content: unknown): string {
  return createHash('sha256').update(canonicalJson(content)).digest('hex');
}

function envelope(content: unknown, changes: Readonly<Record<string, unknown>> = {}): string {
  return canonicalJson({ format: 1, checksum: contentHash(content), content, ...changes });
}

t.test('what was written is read back, and nobody else may read it', (t) => {
  const { file, path, errors } = setUp(t);
  t.equal(file.read(), null, 'nothing yet');
  t.equal(file.write({ text: 'zwölf' }), true, 'the folder is made');
  t.strictSame(file.read(), { text: 'zwölf' });
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.equal(statSync(join(path, '..')).mode & 0o777, 0o700);
  t.strictSame(errors, []);
  t.end();
});

t.test('the content before is kept, and read when the last one is unusable', (t) => {
  const { file, path, errors } = setUp(t);
  for (const text of ['one', 'two', 'three']) file.write({ text });
  t.strictSame(readdirSync(join(path, '..')).sort(), ['file.json', 'file.json.previous']);
  writeFileSync(path, 'garbage');
  t.strictSame(file.read(), { text: 'two' });
  t.equal(readFileSync(`${path}.corrupt`, 'utf8'), 'garbage', 'set aside for whoever wants to know');
  t.equal(errors.length, 1);
  t.strictSame(file.read(), { text: 'two' });
  t.equal(errors.length, 1, 'said once');
  t.ok(file.write({ text: 'four' }));
  t.strictSame(file.read(), { text: 'four' });
  t.end();
});

t.test('a crash between any two steps of a write leaves the old content or the new', (t) => {
  const { file, path } = setUp(t);
  file.write({ text: 'one' });
  writeFileSync(`${path}.new`, envelope({ text: 'two' }).slice(0, 20));
  t.strictSame(file.read(), { text: 'one' }, 'half written aside');
  rmSync(`${path}.new`);
  writeFileSync(`${path}.previous`, readFileSync(path));
  rmSync(path);
  t.strictSame(file.read(), { text: 'one' }, 'between the two renames');
  t.ok(file.write({ text: 'two' }), 'what lies aside is no hindrance');
  t.strictSame(file.read(), { text: 'two' });
  t.end();
});

const good = envelope({ text: 'good' });
const UNUSABLE: readonly [string, string | Uint8Array, RegExp][] = [
  ['empty', '', /JSON/],
  ['cut', good.slice(0, -1), /JSON/],
  ['zeros, as a file system leaves them after a power cut', new Uint8Array(good.length), /JSON/],
  ['not UTF-8', Uint8Array.of(0xff, 0xfe, 0x7b), /JSON/],
  ['another JSON document', '[1, 2]', /format undefined/],
  ['null', 'null', /null/],
  ['of a later format', envelope({ text: 'x' }, { format: 2 }), /format 2 is not 1/],
  ['without checksum', canonicalJson({ format: 1, content: { text: 'x' } }), /checksum/],
  ['without content', canonicalJson({ format: 1, checksum: contentHash({ text: 'x' }) }), /./],
  ['of a wrong checksum', envelope({ text: 'x' }, { checksum: contentHash({ text: 'y' }) }), /checksum/],
  ['flipped by a bit', good.replace('good', 'goof'), /checksum/],
  ['of another shape', envelope({ text: 1 }), /text is not a string/],
  ['too large', envelope({ text: 'x'.repeat(BYTES_MAX) }), /larger than 4096 bytes/],
];

for (const [what, bytes, why] of UNUSABLE) {
  t.test(`a file that is ${what} is set aside with a message`, (t) => {
    const { file, path, errors } = setUp(t, 'file.json');
    writeFileSync(path, bytes);
    t.equal(file.read(), null);
    t.equal(errors.length, 1);
    t.match(errors[0], /^state cannot be used and was set aside: /);
    t.match(errors[0], why);
    t.strictSame(readdirSync(join(path, '..')), ['file.json.corrupt']);
    t.ok(file.write({ text: 'new' }));
    t.strictSame(file.read(), { text: 'new' });
    t.end();
  });
}

t.test('something that is no file is no state', (t) => {
  const { file, path, errors } = setUp(t, 'file.json');
  mkdirSync(path);
  t.equal(file.read(), null);
  symlinkSync('/nowhere/at-all', path);
  t.equal(file.read(), null);
  t.equal(errors.length, 1, 'a link to nothing is as good as nothing');
  t.end();
});

t.test('content that is too large is not written, and the former one stays', (t) => {
  const { file, errors } = setUp(t);
  file.write({ text: 'small' });
  t.equal(file.write({ text: 'x'.repeat(BYTES_MAX) }), false);
  t.match(errors, [/^state could not be written; the former one stays: .*larger than 4096 bytes/]);
  t.strictSame(file.read(), { text: 'small' });
  t.end();
});

t.test('a folder that cannot be made is told to the log, not thrown', (t) => {
  const { file, dir, errors } = setUp(t);
  writeFileSync(join(dir, 'state'), 'a file where the folder should be');
  t.equal(file.write({ text: 'x' }), false);
  t.equal(file.read(), null);
  t.equal(errors.length, 1);
  t.end();
});

t.test('a file that cannot be written or set aside is told to the log, not thrown', (t) => {
  // The kernel's own folder takes no files from anyone, root included.
  const { errors } = setUp(t);
  const log: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: (message) => errors.push(message) };
  const file = new StateFile('/proc/self/comm', { bytesMax: BYTES_MAX, parse: contentOf, log });
  t.equal(file.read(), null);
  t.equal(file.write({ text: 'x' }), false);
  t.strictSame(errors, ['state cannot be used and was set aside', 'state could not be set aside', 'state could not be written; the former one stays']);
  t.end();
});
