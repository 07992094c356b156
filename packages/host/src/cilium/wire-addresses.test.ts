import fc from 'fast-check';
import t from 'tap';
import { addressOfRaw, addressOfText, prefixOf, textBytes } from './wire-addresses.js';

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const V6 = bytes(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
const MAPPED = bytes(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1);

/** What it is, the bytes, as a raw field, as a text field. */
const ADDRESSES: readonly (readonly [string, Uint8Array, string | null, string | null])[] = [
  ['four bytes', bytes(10, 0, 0, 1), '10.0.0.1', '10.0.0.1'],
  ['sixteen bytes', V6, '2001:db8::1', '2001:db8::1'],
  ['IPv4-mapped', MAPPED, '10.0.0.1', '10.0.0.1'],
  ['text of IPv4', textBytes('10.0.0.1'), '10.0.0.1', '10.0.0.1'],
  ['text of IPv6', textBytes('2001:DB8:0::1'), '2001:db8::1', '2001:db8::1'],
  ['text that is four long', textBytes('1::2'), '49.58.58.50', '1::2'],
  ['text that is sixteen long', textBytes('2001:db8::1:2:3a'), '3230:3031:3a64:6238:3a3a:313a:323a:3361', '2001:db8::1:2:3a'],
  ['nothing', bytes(), null, null],
  ['five bytes', bytes(10, 0, 0, 1, 32), null, null],
  ['odd bytes', bytes(0xff, 0xfe, 0xfd), null, null],
  ['a zone', textBytes('fe80::1%eth0'), null, null],
  ['much too long', new Uint8Array(5000).fill(0x3a), null, null],
];

for (const [what, value, raw, text] of ADDRESSES) {
  t.test(`addresses: ${what}`, (t) => {
    t.strictSame([addressOfRaw(value), addressOfText(value)], [raw, text]);
    t.end();
  });
}

const PREFIXES: readonly (readonly [string, Uint8Array, string | null])[] = [
  ['IPv4', bytes(10, 0, 0, 0, 8), '10.0.0.0/8'],
  ['host bits', bytes(10, 1, 2, 3, 8), '10.0.0.0/8'],
  ['everything', bytes(0, 0, 0, 0, 0), '0.0.0.0/0'],
  ['IPv6', bytes(...V6, 64), '2001:db8::/64'],
  ['one address', bytes(...V6, 128), '2001:db8::1/128'],
  ['IPv4-mapped', bytes(...MAPPED, 120), '10.0.0.0/24'],
  ['a part of the mapped prefix', bytes(...MAPPED, 95), null],
  ['text', textBytes('10.0.0.0/8'), '10.0.0.0/8'],
  ['an address alone', bytes(10, 0, 0, 1), null],
  ['too long a length', bytes(10, 0, 0, 0, 33), null],
  ['too long a length of IPv6', bytes(...V6, 129), null],
  ['nothing', bytes(), null],
];

for (const [what, value, expected] of PREFIXES) {
  t.test(`prefixes: ${what}`, (t) => {
    t.equal(prefixOf(value), expected);
    t.end();
  });
}

t.test('no bytes make an exception', (t) => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (value) => {
    for (const read of [addressOfRaw, addressOfText, prefixOf]) {
      const text = read(value);
      if (text !== null && !/^[0-9a-f.:/]+$/.test(text)) return false;
    }
    return true;
  }));
  t.end();
});
