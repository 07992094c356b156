import t from 'tap';
import { monoMs, parseAddress, type LearnedMapping } from '@tandem/core';
import { nameFromString } from '@tandem/dns';
import { MAPPING_JOURNAL_BYTES, MappingJournalReader, MappingJournalWriter } from './mapping-journal.js';
import { createMappingRing, MappingRingReader, MappingRingWriter } from './mapping-ring.js';

function learned(i: number): LearnedMapping {
  const wire = nameFromString(`n${i}.example.`)!;
  const address = parseAddress('192.0.2.7')!.slice();
  return {
    slot: 0, answer: 0, endpointId: 1, bytes: wire, nameOffset: 0, nameLength: wire.length,
    address: new Uint32Array(address.buffer), ttlSeconds: 30, lookupMs: monoMs(i), isRenewal: false,
  };
}

/** As a peer gets them: through its own ring. */
function passedOn(memory: ArrayBuffer): string[] {
  const ring = createMappingRing();
  const writer = new MappingRingWriter(ring);
  for (const record of new MappingJournalReader(memory, 0).records()) if (!writer.copy(record)) throw new Error('no room');
  return new MappingRingReader(ring).read(100_000).map(({ name }) => name);
}

t.test('what was appended is read back, oldest first', (t) => {
  const memory = new ArrayBuffer(MAPPING_JOURNAL_BYTES);
  t.strictSame(passedOn(memory), []);
  const writer = new MappingJournalWriter(memory, 0);
  for (let i = 0; i < 3; i++) writer.append(learned(i));
  t.strictSame(passedOn(memory), ['n0.example.', 'n1.example.', 'n2.example.']);
  t.end();
});

t.test('the last mappings are always there, whatever came before', (t) => {
  const memory = new ArrayBuffer(MAPPING_JOURNAL_BYTES);
  const writer = new MappingJournalWriter(memory, 0);
  const least = 3_000;
  for (let i = 0; i < 40_000; i++) {
    writer.append(learned(i));
    if (i < least || i % 997 !== 0) continue;
    const names = passedOn(memory);
    const expected = Array.from({ length: names.length }, (_, k) => `n${i - names.length + 1 + k}.example.`);
    if (names.length < least || names.join() !== expected.join()) t.fail(`after ${i}: ${names.length} names from ${String(names[0])} to ${String(names.at(-1))}`);
  }
  t.end();
});

t.test('memory that makes no sense is read up to where it does', (t) => {
  const memory = new ArrayBuffer(MAPPING_JOURNAL_BYTES);
  const writer = new MappingJournalWriter(memory, 0);
  for (let i = 0; i < 3; i++) writer.append(learned(i));
  const words = new Uint32Array(memory);
  const first = words.indexOf(56);
  const second = first + 56 / 4;
  for (const length of [0, 7, 0xffff_ffff, 57]) {
    words[second] = length;
    t.strictSame(passedOn(memory), ['n0.example.'], `length ${length}`);
  }
  words[second] = 56;
  words[second + 3] = 10_000;
  t.strictSame(passedOn(memory), ['n0.example.'], 'a name longer than its record');
  new Int32Array(memory)[1] = 0x7fff_ffff;
  t.ok(passedOn(memory).length <= 1, 'an end beyond the memory');
  t.end();
});
