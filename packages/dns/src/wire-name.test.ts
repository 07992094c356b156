import t from 'tap';
import { copyName, nameEquals, nameEqualsExact, skipName } from './wire-name.js';
import { nameToString } from './name.js';
import { hex } from './testing/message-writer.js';

const HEADER = '00'.repeat(12);

/** After a header: 12 'x.org', 19 'A' + pointer to 14 'org', 23 pointer to 19, 25 'a.org' in full. */
const MESSAGE = hex(`${HEADER} 01 78 03 6f7267 00  01 41 c00e  c013  01 61 03 4f5247 00`);

t.test('names are skipped where they lie and followed where they point', (t) => {
  const end = MESSAGE.length;
  t.equal(skipName(MESSAGE, 0, end, 12), 19);
  t.equal(skipName(MESSAGE, 0, end, 19), 23);
  t.equal(skipName(MESSAGE, 0, end, 23), 25);
  t.equal(skipName(MESSAGE, 0, end, 25), 32);
  t.equal(nameToString(MESSAGE, 0, 19), 'a.org.');
  t.equal(nameToString(MESSAGE, 0, 23), 'a.org.');
  t.end();
});

t.test('pointers that do not lead strictly backwards are refused', (t) => {
  const rows: [string, string, number][] = [
    ['to itself', 'c00c', 12],
    ['forwards', 'c00e 00', 12],
    ['two that point at each other', 'c00e c00c', 14],
    ['back into the labels just read', '01 61 c00c', 12],
    ['into the header', '00 c000', 13],
    ['to a prior name that does not end', '01 61 c00c', 14],
    ['second byte missing', 'c0', 12],
    ['label type 01', '41 61 00', 12],
    ['label type 10', '81 61 00', 12],
  ];
  for (const [what, body, at] of rows) {
    const bytes = hex(`${HEADER} ${body}`);
    t.equal(skipName(bytes, 0, bytes.length, at), 0, what);
    t.equal(nameToString(bytes, 0, at), '', what);
    t.equal(nameEquals(bytes, 0, at, bytes, 0, at), false, what);
    t.equal(copyName(bytes, 0, at, new Uint8Array(300), 0), 0, what);
  }
  t.end();
});

t.test('a chain of pointers is followed 127 times and no more', (t) => {
  for (const [pointers, good] of [
    [127, true],
    [128, false],
  ] as const) {
    let body = '0161 00';
    for (let i = 0; i < pointers; i += 1) {
      const target = i === 0 ? 12 : 15 + (i - 1) * 2;
      body += (0xc000 | target).toString(16);
    }
    const bytes = hex(HEADER + body);
    t.equal(skipName(bytes, 0, bytes.length, bytes.length - 2) !== 0, good, String(pointers));
  }
  t.end();
});

t.test('a name that only its pointers make too long is refused', (t) => {
  const label = `3f${'61'.repeat(63)}`;
  const bytes = hex(`${HEADER}${label}${label}${label}00 ${label} c00c`);
  const at = 12 + 3 * 64 + 1;
  t.equal(skipName(bytes, 0, bytes.length, 12), at);
  t.equal(skipName(bytes, 0, bytes.length, at), 0);
  t.equal(nameEquals(bytes, 0, at, bytes, 0, at), false);
  t.end();
});

t.test('names are equal through pointers and across letter case', (t) => {
  t.equal(nameEquals(MESSAGE, 0, 19, MESSAGE, 0, 25), true);
  t.equal(nameEquals(MESSAGE, 0, 23, MESSAGE, 0, 25), true);
  t.equal(nameEquals(MESSAGE, 0, 12, MESSAGE, 0, 25), false);
  t.equal(nameEqualsExact(MESSAGE, 0, 19, MESSAGE, 0, 25), false);
  t.equal(nameEqualsExact(MESSAGE, 0, 19, MESSAGE, 0, 23), true);
  const root = hex('00');
  t.equal(nameEquals(root, 0, 0, MESSAGE, 0, 18), true);
  t.equal(nameEquals(root, 0, 0, MESSAGE, 0, 12), false);
  t.end();
});

t.test('pointers count from the start of the message, wherever it lies', (t) => {
  const moved = new Uint8Array(MESSAGE.length + 100).fill(0xff);
  moved.set(MESSAGE, 50);
  t.equal(nameEquals(moved, 50, 50 + 23, MESSAGE, 0, 25), true);
  t.equal(nameToString(moved, 50, 50 + 19, 50 + MESSAGE.length), 'a.org.');
  t.end();
});

t.test('only A to Z are folded', (t) => {
  // '@' and '`', '[' and '{' are 32 apart, as letters are.
  t.equal(nameEquals(hex('014000'), 0, 0, hex('016000'), 0, 0), false);
  t.equal(nameEquals(hex('015b00'), 0, 0, hex('017b00'), 0, 0), false);
  t.equal(nameEquals(hex('01c100'), 0, 0, hex('01e100'), 0, 0), false);
  t.equal(nameEquals(hex('015a00'), 0, 0, hex('017a00'), 0, 0), true);
  t.end();
});

t.test('a name that runs off its array equals nothing', (t) => {
  t.equal(nameEquals(hex('0361'), 0, 0, hex('0361'), 0, 0), false);
  t.equal(nameEquals(hex('0161'), 0, 0, hex('0161'), 0, 0), false);
  t.equal(nameEquals(hex(''), 0, 0, hex(''), 0, 0), false);
  t.end();
});

t.test('a copy is uncompressed, in lower case, and never runs over', (t) => {
  const out = new Uint8Array(10).fill(0xee);
  t.equal(copyName(MESSAGE, 0, 23, out, 1), 7);
  t.same(out, hex('ee 0161 036f7267 00 eeee'));
  t.equal(copyName(MESSAGE, 0, 23, out, 3), 7);
  t.equal(copyName(MESSAGE, 0, 23, out, 4), 0);
  t.equal(copyName(MESSAGE, 0, 25, out, 0, 31), 0);
  t.equal(copyName(MESSAGE, 0, 25, out, 0, 32), 7);
  t.end();
});
