/** Scanner, names and recompression held to dns-packet, and where it is lossy (bytes outside ASCII) to the model itself. */
import dnsPacket from 'dns-packet';
import fc from 'fast-check';
import t from 'tap';
import { AnswerView, sameQuestion, scanAnswer } from './answer-view.js';
import { HEADER_BYTES, TYPE, typeName } from './constants.js';
import { ROOT_HASH, hashLabel } from './hash.js';
import { nameFromString, nameToString } from './name.js';
import { QueryView, scanName, scanQuery } from './query-view.js';
import { recompress } from './recompress.js';
import { SCAN } from './scan-code.js';
import { MessageWriter, hex, type Labels } from './testing/message-writer.js';
import { copyName, nameEquals, nameEqualsExact, skipName } from './wire-name.js';

const PREFIX_BYTES = 29;

const byteLabel = fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 1, maxLength: 63 });
/** Labels that dns-packet keeps apart and whole: visible ASCII without dot and backslash. */
const plainLabel = fc
  .array(fc.constantFrom(...'abcxyzABCXYZ0189-_*@ '.split('')), { minLength: 1, maxLength: 63 })
  .map((characters) => characters.map((character) => character.charCodeAt(0)));

function wireBytes(labels: Labels): number {
  return labels.reduce((sum, label) => sum + label.length + 1, 1);
}

function nameOf(label: fc.Arbitrary<number[]>, maxLabels: number): fc.Arbitrary<number[][]> {
  return fc.array(label, { maxLength: maxLabels, size: 'max' }).filter((labels) => wireBytes(labels) <= 255);
}

const anyName = fc.oneof(
  nameOf(byteLabel, 5),
  nameOf(plainLabel, 8),
  nameOf(fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 1, maxLength: 1 }), 127),
);
const plainName = nameOf(plainLabel, 6);

function toWire(labels: Labels): Uint8Array {
  return Uint8Array.from([...labels.flatMap((label) => [label.length, ...label]), 0]);
}

function lowerByte(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}

/** The text of a name, written without looking at how nameToString does it. */
function toText(labels: Labels): string {
  if (labels.length === 0) return '.';
  return labels
    .map((label) =>
      label
        .map(lowerByte)
        .map((byte) => {
          const character = String.fromCharCode(byte);
          if (/[.\\]/.test(character)) return `\\${character}`;
          return /^[!-~]$/.test(character) ? character : `\\${String(byte).padStart(3, '0')}`;
        })
        .join(''),
    )
    .map((label) => `${label}.`)
    .join('');
}

function packetText(labels: Labels): string {
  return labels.length === 0 ? '.' : labels.map((label) => String.fromCharCode(...label)).join('.');
}

function flipCase(labels: Labels, mask: number): number[][] {
  return labels.map((label, i) =>
    label.map((byte, j) => (((mask >>> ((i * 7 + j) % 31)) & 1) !== 0 && /[A-Za-z]/.test(String.fromCharCode(byte)) ? byte ^ 0x20 : byte)),
  );
}

t.test('a name of any bytes survives the way to text and back, in lower case', (t) => {
  fc.assert(
    fc.property(anyName, (labels) => {
      const wire = toWire(labels);
      const lower = toWire(labels.map((label) => label.map(lowerByte)));
      const text = nameToString(wire, 0, 0);
      t.equal(text, toText(labels));
      const back = nameFromString(text);
      if (back === null) throw new Error(`${text} is not read back`);
      if (Buffer.compare(back, lower) !== 0) throw new Error(`${text} is read back as something else`);
      const bare = text === '.' ? text : text.slice(0, -1);
      if (Buffer.compare(nameFromString(bare) ?? wire, lower) !== 0) throw new Error('the dot at the end matters');
    }),
    { numRuns: 2000 },
  );
  t.end();
});

t.test('text that nameFromString takes is what nameToString gives back', (t) => {
  const text = fc.string({ unit: fc.constantFrom(...'ab.\\01259 é*'.split('')), maxLength: 24 });
  fc.assert(
    fc.property(text, (given) => {
      const wire = nameFromString(given);
      if (wire === null) return;
      const once = nameToString(wire, 0, 0);
      const again = nameFromString(once);
      if (again === null || Buffer.compare(again, wire) !== 0) throw new Error(`${given} → ${once}`);
    }),
    { numRuns: 20_000 },
  );
  t.pass('20,000 texts');
  t.end();
});

t.test('hashes are equal exactly where names are, and each suffix has its own', (t) => {
  const view = new QueryView();
  const other = new QueryView();
  fc.assert(
    fc.property(anyName, fc.nat(), (labels, mask) => {
      const wire = toWire(labels);
      const flipped = toWire(flipCase(labels, mask));
      if (scanName(wire, 0, wire.length, view) !== SCAN.ok) throw new Error('refused');
      if (scanName(flipped, 0, flipped.length, other) !== SCAN.ok) throw new Error('refused');
      if (view.labelCount !== labels.length) throw new Error('label count');
      let hash: number = ROOT_HASH;
      for (let label = labels.length; label >= 0; label -= 1) {
        if (label < labels.length) hash = hashLabel(hash, wire, view.labelOffsets[label]);
        if (view.suffixHashes[label] !== hash || other.suffixHashes[label] !== hash) throw new Error('hash');
        if (view.labelOffsets[label] !== wireBytes(labels.slice(0, label)) - 1) throw new Error('offset');
      }
      if (!nameEquals(wire, 0, 0, flipped, 0, 0)) throw new Error('case matters');
      if (nameEqualsExact(wire, 0, 0, flipped, 0, 0) !== (Buffer.compare(wire, flipped) === 0)) throw new Error('exact');
    }),
    { numRuns: 2000 },
  );
  t.pass('2,000 names');
  t.end();
});

const anyQuery = fc.record({
  id: fc.nat(0xffff),
  flags: fc.constantFrom(0, 0x0100, 0x0130, 0x0110),
  name: plainName,
  type: fc.oneof(fc.constantFrom(...Object.values(TYPE)), fc.nat(0xffff)),
  edns: fc.option(
    fc.record({
      udpPayloadSize: fc.integer({ min: 1, max: 0xffff }),
      ednsVersion: fc.nat(255),
      dnssecOk: fc.boolean(),
      options: fc.array(fc.record({ code: fc.integer({ min: 20, max: 0xffff }), data: fc.uint8Array({ maxLength: 20 }) }), { maxLength: 4 }),
    }),
  ),
});

t.test('queries that dns-packet writes are seen as it meant them', (t) => {
  const view = new QueryView();
  fc.assert(
    fc.property(anyQuery, (query) => {
      const { edns } = query;
      const opt = edns === null ? [] : [
        {
          type: 'OPT',
          name: '.',
          udpPayloadSize: edns.udpPayloadSize,
          extendedRcode: 0,
          ednsVersion: edns.ednsVersion,
          flags: edns.dnssecOk ? 0x8000 : 0,
          options: edns.options.map(({ code, data }) => ({ code, data: Buffer.from(data) })),
        },
      ];
      const packet = dnsPacket.encode({
        type: 'query',
        id: query.id,
        flags: query.flags,
        questions: [{ name: packetText(query.name), type: `UNKNOWN_${String(query.type)}`, class: 'IN' }],
        additionals: opt,
      } as unknown as dnsPacket.Packet);
      const bytes = new Uint8Array(PREFIX_BYTES + packet.length).fill(0x3f);
      bytes.set(packet, PREFIX_BYTES);
      const code = scanQuery(bytes, PREFIX_BYTES, packet.length, view);
      const seen = {
        code,
        id: view.id,
        flags: view.flags,
        type: view.type,
        class: view.class,
        name: nameToString(bytes, PREFIX_BYTES, view.nameStart),
        nameBytes: view.nameEnd - view.nameStart,
        edns: view.hasEdns,
        udpSize: view.ednsUdpSize,
        version: view.ednsVersion,
        dnssecOk: view.ednsDnssecOk,
        ednsEnd: view.ednsEnd,
      };
      t.same(seen, {
        code: SCAN.ok,
        id: query.id,
        flags: query.flags,
        type: query.type,
        class: 1,
        name: toText(query.name),
        nameBytes: wireBytes(query.name),
        edns: edns !== null,
        udpSize: Math.max(512, edns?.udpPayloadSize ?? 0),
        version: edns?.ednsVersion ?? 0,
        dnssecOk: edns?.dnssecOk ?? false,
        ednsEnd: edns === null ? 0 : bytes.length,
      });
      for (let cut = 0; cut < packet.length; cut += 1) {
        if (scanQuery(bytes, PREFIX_BYTES, cut, view) === SCAN.ok) throw new Error(`ok although cut at ${String(cut)}`);
      }
    }),
    { numRuns: 500 },
  );
  t.end();
});

/** Data of a record, as a thing that can be written. */
interface Data {
  readonly type: number;
  readonly write: (writer: MessageWriter) => void;
}

function anyData(name: fc.Arbitrary<number[][]>): fc.Arbitrary<Data> {
  const text = fc.uint8Array({ minLength: 0, maxLength: 30 });
  const one = (types: number[], compress: boolean, prefixBytes: number): fc.Arbitrary<Data> =>
    fc.tuple(fc.constantFrom(...types), name).map(([type, target]) => ({
      type,
      write: (w) => w.raw(new Uint8Array(prefixBytes).fill(1)).name(target, compress ? undefined : false),
    }));
  return fc.oneof(
    fc.nat(0xffff_ffff).map((address) => ({ type: TYPE.A, write: (w: MessageWriter) => w.u32(address) })),
    fc.uint8Array({ minLength: 16, maxLength: 16 }).map((address) => ({ type: TYPE.AAAA, write: (w: MessageWriter) => w.raw(address) })),
    one([TYPE.CNAME, TYPE.NS, TYPE.PTR], true, 0),
    one([TYPE.DNAME], false, 0),
    one([TYPE.MX], true, 2),
    one([TYPE.SRV], false, 6),
    fc.tuple(name, name).map(([a, b]) => ({
      type: TYPE.SOA,
      write: (w: MessageWriter) => w.name(a).name(b).u32(1).u32(2).u32(3).u32(4).u32(5),
    })),
    fc.tuple(name, name).map(([a, b]) => ({ type: TYPE.RP, write: (w: MessageWriter) => w.name(a, false).name(b, false) })),
    name.map((a) => ({ type: TYPE.RRSIG, write: (w: MessageWriter) => w.raw(new Uint8Array(18).fill(1)).name(a, false).u32(7) })),
    name.map((a) => ({ type: TYPE.NSEC, write: (w: MessageWriter) => w.name(a, false).raw([0, 1, 64]) })),
    name.map((a) => ({ type: TYPE.NAPTR, write: (w: MessageWriter) => w.u32(1).raw([1, 115, 0, 2, 120, 121]).name(a, false) })),
    fc.array(text, { minLength: 1, maxLength: 4 }).map((texts) => ({
      type: TYPE.TXT,
      write: (w: MessageWriter) => texts.forEach((bytes) => w.u8(bytes.length).raw(bytes)),
    })),
    fc.tuple(fc.constantFrom(99, 65280, 65534), text).map(([type, bytes]) => ({ type, write: (w: MessageWriter) => w.raw(bytes) })),
    name.map((a) => ({
      type: TYPE.HTTPS,
      write: (w: MessageWriter) => w.u16(1).name(a, false).raw(hex('0004 0004 c0000201')),
    })),
  );
}

interface Model {
  readonly question: number[][];
  readonly records: readonly { owner: number[][]; ttlSeconds: number; data: Data; section: 'answer' | 'authority' | 'additional' }[];
  readonly edns: boolean;
}

const SECTIONS = ['answer', 'authority', 'additional'] as const;

function anyMessage(label: fc.Arbitrary<number[]>): fc.Arbitrary<Model> {
  // Few labels to choose from, so that names share suffixes and there is something to compress.
  return fc.uniqueArray(label, { minLength: 2, maxLength: 4 }).chain((pool) => {
    const name = fc.array(fc.constantFrom(...pool), { maxLength: 3 });
    return fc.record({
      question: name,
      records: fc
        .array(
          fc.record({
            owner: name,
            ttlSeconds: fc.nat(0xffff_ffff),
            data: anyData(name),
            section: fc.constantFrom(...SECTIONS),
          }),
          { maxLength: 12 },
        )
        .map((records) => [...records].sort((a, b) => SECTIONS.indexOf(a.section) - SECTIONS.indexOf(b.section))),
      edns: fc.boolean(),
    });
  });
}

function write(model: Model, compress: boolean): Uint8Array {
  const writer = new MessageWriter({ flags: 0x8180, compress }).question(model.question);
  for (const { section, owner, ttlSeconds, data } of model.records) {
    writer.record(section, owner, { type: data.type, ttlSeconds }, data.write);
  }
  return (model.edns ? writer.opt({ options: hex('000a 0002 abcd') }) : writer).finish();
}

t.test('answers, compressed or not, are seen as dns-packet sees them', (t) => {
  const view = new AnswerView();
  fc.assert(
    fc.property(anyMessage(plainLabel), fc.boolean(), (model, compress) => {
      const message = write(model, compress);
      const bytes = new Uint8Array(PREFIX_BYTES + message.length + 9).fill(0xc0);
      bytes.set(message, PREFIX_BYTES);
      const code = scanAnswer(bytes, PREFIX_BYTES, message.length, view);
      if (code !== SCAN.ok) throw new Error(`code ${String(code)}`);
      const packet = dnsPacket.decode(Buffer.from(message));
      const answers = packet.answers ?? [];
      t.equal(view.recordCount, answers.length);
      for (const [i, answer] of answers.entries()) {
        const expected = answer as { name: string; type: string; ttl?: number };
        const owner = PREFIX_BYTES + view.owner[i];
        const type = view.recordType[i];
        t.equal(nameToString(bytes, PREFIX_BYTES, owner), expected.name === '.' ? '.' : toText(expected.name.split('.').map((label) => [...Buffer.from(label)])));
        if (!expected.type.startsWith('UNKNOWN')) t.equal(typeName(type), expected.type);
        t.equal(view.ttl[i], expected.ttl);
        const written = model.records[i];
        if (!nameEquals(bytes, PREFIX_BYTES, owner, toWire(written.owner), 0, 0)) throw new Error('owner');
        if (skipName(bytes, PREFIX_BYTES, PREFIX_BYTES + message.length, owner) === 0) throw new Error('skip');
        if (type === TYPE.CNAME) {
          const target = nameToString(bytes, PREFIX_BYTES, PREFIX_BYTES + view.dataOffset[i]);
          t.equal(target.toLowerCase(), toText(((answer as { data: string }).data === '.' ? [] : (answer as { data: string }).data.split('.')).map((label) => [...Buffer.from(label)])));
        }
      }
      t.equal(view.hasEdns, model.edns);
      const query = new MessageWriter().question(model.question).finish();
      t.ok(sameQuestion(query, HEADER_BYTES, bytes, PREFIX_BYTES + HEADER_BYTES, query.length - HEADER_BYTES));
    }),
    { numRuns: 300 },
  );
  t.end();
});

t.test('a recompressed message has the same records, and is as small as the plain writer makes it', (t) => {
  const out = new Uint8Array(70_000);
  const again = new Uint8Array(70_000);
  const check = (label: fc.Arbitrary<number[]>, readable: boolean): void => {
    fc.assert(
      fc.property(anyMessage(label), fc.boolean(), (model, compress) => {
        const message = write(model, compress);
        const bytes = new Uint8Array(PREFIX_BYTES + message.length).fill(0x3f);
        bytes.set(message, PREFIX_BYTES);
        const length = recompress(bytes, PREFIX_BYTES, message.length, out, 11, 65535);
        const smallest = write(model, true);
        if (Buffer.compare(out.subarray(11, 11 + length), smallest) !== 0) throw new Error('not what the writer would write');
        if (readable) t.same(dnsPacket.decode(Buffer.from(out.slice(11, 11 + length))), dnsPacket.decode(Buffer.from(message)));
        const twice = recompress(out, 11, length, again, 0, length);
        if (Buffer.compare(again.subarray(0, twice), smallest) !== 0) throw new Error('a second time changes it');
      }),
      { numRuns: 500 },
    );
  };
  check(plainLabel, true);
  check(byteLabel, false);
  t.end();
});

t.test('a copy through pointers is the name itself', (t) => {
  fc.assert(
    fc.property(fc.array(anyName, { minLength: 1, maxLength: 6 }), (names) => {
      const writer = new MessageWriter();
      const places = names.map((labels) => {
        const at = writer.bytes.length;
        writer.name(labels);
        return at;
      });
      const bytes = writer.finish();
      const out = new Uint8Array(255);
      for (const [i, at] of places.entries()) {
        const wire = toWire(names[i]);
        const lower = copyName(bytes, 0, at, out, 0);
        if (Buffer.compare(out.subarray(0, lower), toWire(names[i].map((label) => label.map(lowerByte)))) !== 0) throw new Error('copy');
        if (wire.length > 1 && copyName(bytes, 0, at, out.subarray(0, wire.length - 1), 0) !== 0) throw new Error('too small');
      }
    }),
    { numRuns: 1000 },
  );
  t.pass('1,000 messages');
  t.end();
});
