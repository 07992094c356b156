import fc from 'fast-check';
import t from 'tap';
import { ALLOW_NO_POLICY, OUTCOME, setReceivedAtMs, SLOT, type SlotMemory, slotWord } from '@tandem/core';
import { FlowRecord, MESSAGE_AT, MESSAGE_BYTES_MAX } from './flow-record.js';
import { type CellNumber, FlowRingReader, initRing, NO_RECORD, OVERWRITTEN, RING, RING_CELLS_MIN, ringBytes, ringCells } from './flow-ring.js';
import { FlowWriter } from './flow-writer.js';

const CELLS = RING_CELLS_MIN;
const SETTINGS = { upstreams: [], policyPort: 53, bootedAtMs: () => 0, isStolen: () => false };

function memoryOf(): SlotMemory {
  const bytes = new Uint8Array(80_000);
  return { bytes, words: new Uint32Array(bytes.buffer), slotCount: 4, firstSlotOffset: 0, slotStride: 1024, payloadOffset: 320 };
}

/** A ring, a writer of messages of given lengths, each filled with the low byte of its number. */
class Stage {
  readonly words = new Uint32Array(ringBytes(CELLS) / 4);
  readonly memory = memoryOf();
  readonly reader: FlowRingReader;
  written = 0;
  private readonly writer: FlowWriter;

  constructor() {
    initRing(this.words, CELLS, [7, 0xabc]);
    this.writer = new FlowWriter(this.words, this.memory, SETTINGS);
    this.reader = new FlowRingReader(this.words, ringCells(this.words));
  }

  write(length: number, isAligned = true): void {
    const at = 8192 + (isAligned ? 0 : 1);
    this.memory.bytes.fill(this.written & 0xff, at, at + length);
    this.memory.words[slotWord(this.memory, 1) + SLOT.told] = 0;
    setReceivedAtMs(this.memory, 1, this.written);
    this.writer.startBatch(this.written + 0.5);
    this.writer.decided(1, 7, ALLOW_NO_POLICY);
    this.writer.answer(1, this.memory.bytes, at, length);
    this.written++;
  }

  /** What the record that was read last says it is; throws where its parts are of different records. */
  number(): number {
    const record = new FlowRecord(this.reader.record);
    const number = record.receivedAtMs;
    const message = record.bytes.subarray(MESSAGE_AT, MESSAGE_AT + record.keptBytes);
    if (record.endedAtMs !== number + 0.5 || message.some((byte) => byte !== (number & 0xff))) throw new Error(`record ${number} is torn`);
    if (record.firstFlow !== 2 * number) throw new Error(`record ${number} says that ${record.firstFlow} flows were before it`);
    return number;
  }

  forward(from: CellNumber): number[] {
    const numbers: number[] = [];
    for (let at = from, next = this.reader.readAt(at); next !== NO_RECORD; at = next, next = this.reader.readAt(at)) {
      if (next === OVERWRITTEN) throw new Error('nothing writes meanwhile');
      if (!this.reader.isPad) numbers.push(this.number());
    }
    return numbers;
  }

  backward(): number[] {
    const numbers: number[] = [];
    for (let at = this.reader.readBefore(this.reader.end()); at !== NO_RECORD; at = this.reader.readBefore(at)) {
      if (!this.reader.isPad) numbers.unshift(this.number());
    }
    return numbers;
  }
}

const lengths = fc.array(fc.tuple(fc.integer({ min: 0, max: 6000 }), fc.boolean()), { minLength: 1, maxLength: 300 });

t.test('a ring holds its newest records whole, read forward and back alike', (t) => {
  fc.assert(fc.property(lengths, (all) => {
    const stage = new Stage();
    for (const [length, isAligned] of all) stage.write(length, isAligned);
    const back = stage.backward();
    const forward = stage.forward(stage.reader.oldest());
    t.same(forward, back);
    t.same(back, Array.from({ length: back.length }, (_, i) => stage.written - back.length + i), 'no gap, up to the newest');
    // What does not fit any more is at most what a record, a pad and the reserve take.
    const kept = all.slice(-back.length - 1).reduce((sum, [length]) => sum + Math.ceil((88 + Math.min(length, MESSAGE_BYTES_MAX)) / 64), 0);
    t.ok(back.length === all.length || kept > CELLS - 300, 'as much as fits');
    t.equal(stage.reader.flows(), 2 * stage.written);
    const stored = stage.reader.stored();
    t.ok(back.length === all.length ? stored === 2 * all.length || stage.reader.end() >= CELLS : Math.abs(stored - 2 * back.length) < 300, `${stored} of ${2 * back.length} flows`);
  }), { numRuns: 100 });
  t.end();
});

t.test('a reader that is overtaken is told, and goes on with a whole record', (t) => {
  fc.assert(fc.property(lengths, lengths, (before, after) => {
    const stage = new Stage();
    for (const [length] of before) stage.write(length);
    let at = stage.reader.oldest();
    for (const [length] of after) stage.write(length);
    let next = stage.reader.readAt(at);
    if (next === OVERWRITTEN) {
      at = stage.reader.resume();
      next = stage.reader.readAt(at);
      t.not(next, OVERWRITTEN);
    }
    const numbers = stage.forward(at);
    t.equal(numbers.at(-1), stage.written - 1);
    t.same(numbers, Array.from({ length: numbers.length }, (_, i) => numbers[0] + i));
  }), { numRuns: 100 });
  t.end();
});

t.test('numbers that run over 2^32 do no harm', (t) => {
  const stage = new Stage();
  for (let i = 0; i < 5; i++) stage.write(100);
  // As after 2^32 cells: all of the writer's and the ring's numbers are moved alike.
  const writer = (stage as unknown as { readonly writer: { at: number; reserved: number } }).writer;
  const shift = 0x1_0000_0000 - CELLS;
  writer.at += shift;
  writer.reserved += shift;
  stage.words[RING.published] += shift;
  stage.words[RING.reserved] += shift;
  for (let i = 0; i < 2000; i++) stage.write(i % 500);
  t.ok(stage.words[RING.published] < 20 * CELLS, 'the numbers have run over');
  const back = stage.backward();
  t.equal(back.at(-1), stage.written - 1);
  t.same(stage.forward(stage.reader.oldest()), back);
  t.end();
});

t.test('memory of strangers ends a walk and nothing else', (t) => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 4096, maxLength: 4096 }), fc.integer({ min: 0, max: 1000 }), (noise, at) => {
    const stage = new Stage();
    for (let i = 0; i < 200; i++) stage.write(i);
    new Uint8Array(stage.words.buffer).set(noise, 64 + at * 60);
    let steps = 0;
    for (let place = stage.reader.readBefore(stage.reader.end()); place !== NO_RECORD && steps <= CELLS; place = stage.reader.readBefore(place)) steps++;
    for (let place = stage.reader.oldest(), next = stage.reader.readAt(place); next >= 0 && steps <= 2 * CELLS; next = stage.reader.readAt(place)) {
      place = next;
      steps++;
      t.ok(new FlowRecord(stage.reader.record).keptBytes <= MESSAGE_BYTES_MAX);
    }
    t.ok(steps <= 2 * CELLS, 'every step goes on');
  }), { numRuns: 100 });
  t.equal(ringCells(new Uint32Array(16)), 0);
  const odd = new Uint32Array(ringBytes(CELLS) / 4);
  for (const cells of [0, 1, 1023, 1025, 2048, 2 ** 31]) {
    initRing(odd, cells, [0, 0]);
    t.equal(ringCells(odd), 0, `${cells} cells`);
  }
  t.end();
});

t.test('a record says who asked whom, by which transport, and how it ended', (t) => {
  const { words, memory } = new Stage();
  initRing(words.fill(0), CELLS, [0, 0]);
  const writer = new FlowWriter(words, memory, { ...SETTINGS, upstreams: [{ address: Uint8Array.from({ length: 16 }, (_, i) => i), port: 5353 }] });
  const word = slotWord(memory, 2);
  memory.words[word + SLOT.flags] = 2;
  memory.words[word + SLOT.clientPort] = 65_535;
  memory.words.fill(0xffff_ffff, word + SLOT.upstreamAddress, word + SLOT.upstreamAddress + 4);
  writer.setRevision(2 ** 32 + 9);
  writer.decided(2, 65_535, -2);
  writer.answer(2, memory.bytes, 0, 12);
  memory.words[word + SLOT.told] = 0;
  writer.decided(2, 8, -3);
  writer.end(2, OUTCOME.refused);
  writer.answer(2, memory.bytes, 0, 65_535);
  const reader = new FlowRingReader(words, CELLS);
  const second = reader.readAt(0);
  const asked = new FlowRecord(reader.record);
  t.match(asked, { outcome: OUTCOME.answered, isTcp: true, endpointId: 65_535, rule: -2, isAudited: true, revision: 9, clientPort: 65_535, serverPort: 53, keptBytes: 12, isCut: false, flows: 2 });
  t.same([...asked.bytes.subarray(asked.serverAddressAt, asked.serverAddressAt + 16)], new Array(16).fill(255), 'the upstream that was asked');
  reader.readAt(second);
  t.match(asked, { outcome: OUTCOME.refused, endpointId: 8, rule: -3, isAudited: false, keptBytes: MESSAGE_BYTES_MAX, isCut: true, flows: 1, firstFlow: 2 });
  t.same([...asked.bytes.subarray(asked.serverAddressAt, asked.serverAddressAt + 16)], Array.from({ length: 16 }, (_, i) => i), 'the first upstream');
  t.end();
});

t.test('a query whose flow its former owner has written is not told again', (t) => {
  const { words, memory } = new Stage();
  initRing(words.fill(0), CELLS, [0, 0]);
  const writer = new FlowWriter(words, memory, SETTINGS);
  const told = slotWord(memory, 1) + SLOT.told;
  writer.decided(1, 1, ALLOW_NO_POLICY);
  writer.answer(1, memory.bytes, 0, 12);
  t.equal(memory.words[told], 1, 'the slot says so, and who takes the query over has its copy');
  writer.answer(1, memory.bytes, 0, 12);
  t.equal(new FlowRingReader(words, CELLS).flows(), 2);
  memory.words[told] = 0;
  writer.answer(1, memory.bytes, 0, 12);
  t.equal(new FlowRingReader(words, CELLS).flows(), 4, 'another query in the same slot');
  t.end();
});

t.test('of a query that a peer has taken over nothing is told', (t) => {
  const { words, memory } = new Stage();
  initRing(words.fill(0), CELLS, [0, 0]);
  const writer = new FlowWriter(words, memory, { ...SETTINGS, isStolen: (slot) => slot === 2 });
  for (const slot of [1, 2, 3]) {
    writer.decided(slot, slot, ALLOW_NO_POLICY);
    writer.answer(slot, memory.bytes, 0, 12);
  }
  const reader = new FlowRingReader(words, CELLS);
  const told = [];
  for (let at = reader.readAt(0); at !== NO_RECORD; at = reader.readAt(at)) told.push(new FlowRecord(reader.record).endpointId);
  t.same(told, [1, 3]);
  t.equal(reader.flows(), 4);
  t.end();
});
