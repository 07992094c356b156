import t from 'tap';
import { TYPE } from './constants.js';
import { recompress } from './recompress.js';
import { MessageWriter, hex, labelsOf, type Labels } from './testing/message-writer.js';

const FLAGS = 0x8180;

function shrink(bytes: Uint8Array, capacity = 65535): Uint8Array {
  const out = new Uint8Array(capacity + 20).fill(0xee);
  const length = recompress(bytes, 0, bytes.length, out, 10, capacity);
  t.ok(out.subarray(0, 10).every((byte) => byte === 0xee), 'nothing before');
  t.ok(out.subarray(10 + capacity).every((byte) => byte === 0xee), 'nothing past the capacity');
  return out.slice(10, 10 + length);
}

/** Every type with names in its data; `write` is given how names are to be written. */
function allTypes(compress: boolean): MessageWriter {
  const host = (text: string): Labels => labelsOf(`${text}.example.org`);
  const writer = new MessageWriter({ flags: FLAGS, compress }).question(labelsOf('www.Example.org'));
  for (const type of [TYPE.NS, TYPE.CNAME, TYPE.PTR, TYPE.MB]) {
    writer.record('answer', host('www'), { type }, (w) => w.name(host('a')));
  }
  writer.record('answer', host('mx'), { type: TYPE.MX }, (w) => w.u16(10).name(host('a')));
  writer.record('answer', host('www'), { type: TYPE.MINFO }, (w) => w.name(host('a')).name(host('b')));
  writer.record('authority', labelsOf('example.org'), { type: TYPE.SOA }, (w) =>
    w.name(host('a')).name(host('b')).u32(1).u32(2).u32(3).u32(4).u32(5),
  );
  // These are never compressed, in whichever form the message comes.
  writer.record('additional', host('www'), { type: TYPE.SRV }, (w) => w.u16(1).u16(2).u16(53).name(host('a'), false));
  writer.record('additional', host('www'), { type: TYPE.DNAME }, (w) => w.name(host('a'), false));
  writer.record('additional', host('www'), { type: TYPE.RP }, (w) => w.name(host('a'), false).name(host('b'), false));
  writer.record('additional', host('www'), { type: TYPE.NAPTR }, (w) =>
    w.u16(1).u16(2).raw([1, 115, 3, 120, 121, 122, 0]).name(host('a'), false),
  );
  writer.record('additional', host('www'), { type: TYPE.HTTPS }, (w) => w.u16(1).name(host('a'), false).u16(4).u16(4).u32(1));
  writer.record('additional', host('www'), { type: TYPE.RRSIG }, (w) => w.raw(new Uint8Array(18)).name(host('a'), false).u32(9));
  writer.record('additional', host('www'), { type: TYPE.NSEC }, (w) => w.name(host('a'), false).raw([0, 1, 64]));
  writer.record('additional', host('www'), { type: 65534 }, (w) => w.raw(hex('01 61 c00c 00')));
  return writer.opt({ options: hex('000a 0002 c00c') });
}

t.test('names of RFC 1035 types are compressed, those of later ones written in full, other data copied', (t) => {
  const full = allTypes(false).finish();
  const small = allTypes(true).finish();
  const expected = small;
  t.same(shrink(full), expected);
  t.same(shrink(small), expected, 'what is compressed stays as it is');
  t.end();
});

t.test('pointers in data that must not have them are resolved', (t) => {
  const write = (compress: boolean): Uint8Array =>
    new MessageWriter({ flags: FLAGS })
      .question(labelsOf('a.example.org'))
      .record('answer', labelsOf('a.example.org'), { type: TYPE.SRV }, (w) => w.u32(0).u16(53).name(labelsOf('a.example.org'), compress))
      .finish();
  t.same(shrink(write(true)), write(false));
  t.end();
});

t.test('letter case is kept, so names that differ in it are not shared', (t) => {
  const bytes = new MessageWriter({ flags: FLAGS, compress: false })
    .question(labelsOf('a.Example.org'))
    .record('answer', labelsOf('a.example.org'), { type: TYPE.NS }, (w) => w.name(labelsOf('B.Example.org')))
    .finish();
  const expected = new MessageWriter({ flags: FLAGS })
    .question(labelsOf('a.Example.org'))
    .record('answer', labelsOf('a.example.org'), { type: TYPE.NS }, (w) => w.name(labelsOf('B.Example.org')))
    .finish();
  t.same(shrink(bytes), expected);
  t.end();
});

t.test('a result that just fits is given, one byte less gives nothing', (t) => {
  const full = allTypes(false).finish();
  const size = shrink(full).length;
  t.equal(shrink(full, size).length, size);
  for (let capacity = 0; capacity < size; capacity += 1) {
    const out = new Uint8Array(size + 8).fill(0xee);
    t.equal(recompress(full, 0, full.length, out, 4, capacity), 0);
    if (!out.subarray(4 + capacity).every((byte) => byte === 0xee)) t.fail(`written past ${String(capacity)}`);
  }
  t.equal(recompress(full, 0, full.length, new Uint8Array(size - 1), 0, 65535), 0, 'the array ends before the capacity');
  t.end();
});

t.test('malformed messages give nothing', (t) => {
  const header = '1234 8180 0001 0001 0000 0000';
  const question = '0161 00 0001 0001';
  const rows: [string, string][] = [
    ['no header', '1234 8180'],
    ['no question', header],
    ['no record', `${header} ${question}`],
    ['pointer forwards', `${header} ${question} c020 0001 0001 00000000 0000`],
    ['data runs out', `${header} ${question} c00c 0001 0001 00000000 0004 01`],
    ['NS that is no name', `${header} ${question} c00c 0002 0001 00000000 0002 0161`],
    ['NS with bytes to spare', `${header} ${question} c00c 0002 0001 00000000 0003 c00c 00`],
    ['MX too short', `${header} ${question} c00c 000f 0001 00000000 0001 00`],
    ['SOA without numbers', `${header} ${question} c00c 0006 0001 00000000 0004 c00c c00c`],
    ['NAPTR that runs out', `${header} ${question} c00c 0023 0001 00000000 0006 00010002 05 61`],
    ['NAPTR without name', `${header} ${question} c00c 0023 0001 00000000 0007 00010002 00 00 00`],
  ];
  for (const [what, text] of rows) t.equal(shrink(hex(text)).length, 0, what);
  const good = hex(`${header} ${question} c00c 0001 0001 00000000 0000`);
  t.equal(recompress(good, 1, good.length, new Uint8Array(99), 0, 99), 0, 'range outside the array');
  t.equal(recompress(good, 0, good.length, new Uint8Array(99), -1, 99), 0);
  t.end();
});

t.test('trailing bytes are left out, records without data stay', (t) => {
  const bytes = hex('1234 8180 0001 0001 0000 0000 0161 00 0001 0001 c00c 0002 0001 00000000 0000 ffff');
  t.same(shrink(bytes), bytes.slice(0, -2));
  t.end();
});

t.test('names that a pointer cannot reach are written in full', (t) => {
  const writer = (compress: boolean): Uint8Array => {
    const w = new MessageWriter({ flags: FLAGS, compress }).question(labelsOf('a.org'));
    for (let i = 0; i < 700; i += 1) w.record('answer', labelsOf(`h${String(i)}.org`), { type: 99 }, (x) => x.raw(new Uint8Array(30)));
    for (let i = 0; i < 20; i += 1) w.record('answer', labelsOf(`late${String(i % 3)}.zone`), { type: 99 }, (x) => x);
    return w.finish();
  };
  t.same(shrink(writer(false)), writer(true));
  t.end();
});

t.test('a message of more names than the dictionary holds is still right', (t) => {
  const writer = new MessageWriter({ flags: FLAGS, compress: false }).question(labelsOf('a.org'));
  for (let i = 0; i < 3000; i += 1) writer.record('answer', labelsOf(`${i.toString(36)}.org`), { type: 99 }, (x) => x);
  const full = writer.finish();
  const once = shrink(full);
  t.ok(once.length > 0 && once.length < full.length);
  t.same(shrink(once), once);
  t.end();
});
