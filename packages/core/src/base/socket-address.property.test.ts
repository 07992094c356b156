import fc from 'fast-check';
import { isIP } from 'node:net';
import t from 'tap';
import { ADDRESS_BYTES, formatAddress, parseAddress } from './socket-address.js';

t.test('every 16 bytes survive the way to text and back, and Node accepts the text', (t) => {
  // Many zero bytes, so that runs of zero groups are common.
  const byte = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 255 }));
  fc.assert(fc.property(fc.uint8Array({ minLength: ADDRESS_BYTES, maxLength: ADDRESS_BYTES }), fc.array(byte, { minLength: ADDRESS_BYTES, maxLength: ADDRESS_BYTES }), (dense, sparse) => {
    for (const bytes of [dense, Uint8Array.from(sparse)]) {
      const text = formatAddress(bytes);
      if (isIP(text) === 0 || Buffer.compare(parseAddress(text)!, bytes) !== 0) return false;
    }
    return true;
  }), { numRuns: 5_000 });
  t.end();
});

t.test('what Node takes for an address without a zone is taken here, and nothing else', (t) => {
  const character = fc.constantFrom(...'0123456789abcdefF:.:::'.split(''));
  fc.assert(fc.property(fc.string({ unit: character, maxLength: 24 }), (text) => (parseAddress(text) !== null) === (isIP(text) !== 0)), { numRuns: 20_000 });
  const group = fc.oneof({ weight: 6, arbitrary: fc.string({ unit: fc.constantFrom(...'019afAF'.split('')), minLength: 1, maxLength: 4 }) }, fc.constantFrom('', '12345', 'g', '1.2.3.4', '01.2.3.4', '1.2.3'));
  fc.assert(fc.property(fc.array(group, { minLength: 1, maxLength: 10 }), fc.nat(10), (groups, gap) => {
    const text = groups.toSpliced(gap, 0, '').join(':');
    return (parseAddress(text) !== null) === (isIP(text) !== 0);
  }), { numRuns: 50_000 });
  t.end();
});
