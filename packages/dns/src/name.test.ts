import t from 'tap';
import { nameFromString, nameToString } from './name.js';
import { hex } from './testing/message-writer.js';

const LABEL_63 = 'a'.repeat(63);
/** 3 × 64 + 62 + 1 = 255 bytes on the wire. */
const LONGEST = `${LABEL_63}.${LABEL_63}.${LABEL_63}.${'b'.repeat(61)}`;

t.test('text becomes wire form, lower case', (t) => {
  const rows: [string, string][] = [
    ['.', '00'],
    ['org', '03 6f7267 00'],
    ['org.', '03 6f7267 00'],
    ['A.Org.', '01 61 03 6f7267 00'],
    ['a\\.b.c', '03 612e62 01 63 00'],
    ['a\\\\b.', '03 615c62 00'],
    ['\\000.\\255', '01 00 01 ff 00'],
    ['\\065', '01 61 00'],
    ['\\032x', '02 2078 00'],
    ['\\*.x', '01 2a 01 78 00'],
    ['_dns.tcp', '04 5f646e73 03 746370 00'],
  ];
  for (const [text, wire] of rows) t.same(nameFromString(text), hex(wire), text);
  t.end();
});

t.test('text that is no name gives null', (t) => {
  const rows = [
    '',
    '..',
    '.org',
    'a..b',
    'a..',
    `${LABEL_63}a.org`,
    `${LONGEST}b`,
    `${LONGEST}.b`,
    'a'.repeat(5000),
    '\\',
    'a\\',
    '\\25',
    '\\256',
    '\\2x5',
    '\\999',
    'a b',
    'a\tb',
    'a\\ b',
    'é.org',
    'a\u{1f600}',
    'x\x7f',
  ];
  for (const text of rows) t.equal(nameFromString(text), null, JSON.stringify(text.slice(0, 20)));
  t.end();
});

t.test('the longest name and label fit, one byte more does not', (t) => {
  t.equal(nameFromString(LONGEST)?.length, 255);
  t.equal(nameFromString(`${LONGEST}.`)?.length, 255);
  t.equal(nameToString(nameFromString(LONGEST)!, 0, 0), `${LONGEST}.`);
  const most = `${'a.'.repeat(126)}a`;
  t.equal(nameFromString(most)?.length, 255);
  t.equal(nameFromString(`${most}.a`), null);
  const escaped = `${'\\000'.repeat(63)}.`.repeat(3) + '\\001'.repeat(61);
  t.equal(nameFromString(escaped)?.length, 255);
  t.equal(nameFromString(`${escaped}\\001`), null);
  t.end();
});

t.test('wire form becomes text, lower case, escaped, with a dot at the end', (t) => {
  const rows: [string, string][] = [
    ['00', '.'],
    ['03 577757 03 4f7247 00', 'www.org.'],
    ['03 612e62 00', 'a\\.b.'],
    ['02 5c5c 00', '\\\\\\\\.'],
    ['04 00207fff 00', '\\000\\032\\127\\255.'],
    ['01 2a 00', '*.'],
  ];
  for (const [wire, text] of rows) t.equal(nameToString(hex(wire), 0, 0), text);
  t.end();
});

t.test('malformed wire names become the empty text', (t) => {
  const rows = ['', '03 6162', '03 616263', '40 00', '80 00', 'c0', 'c0 00', 'c0 0c', `${`3f${'61'.repeat(63)}`.repeat(4)}00`];
  for (const wire of rows) t.equal(nameToString(hex(wire), 0, 0), '', wire.slice(0, 12));
  t.end();
});

t.test('nothing at or past the end is read', (t) => {
  const bytes = hex('03 616263 00');
  t.equal(nameToString(bytes, 0, 0, 5), 'abc.');
  t.equal(nameToString(bytes, 0, 0, 4), '');
  t.equal(nameToString(bytes, 0, 0, 99), 'abc.');
  t.equal(nameToString(bytes, 0, 5), '');
  t.equal(nameToString(bytes, 0, -1), '');
  t.end();
});
