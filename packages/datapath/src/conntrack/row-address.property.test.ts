import { canonicalAddress } from '@tandem/core';
import fc from 'fast-check';
import t from 'tap';
import { keyOfText, textOfKey } from './row-address.js';

t.test('an address becomes a key and its canonical text again', (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      const key = keyOfText(text);
      return key !== null && textOfKey(key) === canonicalAddress(text);
    }),
  );
  t.equal(textOfKey(keyOfText('255.254.0.1')!), '255.254.0.1');
  t.equal(keyOfText('::ffff:192.0.2.1'), keyOfText('192.0.2.1'));
  t.not(keyOfText('::192.0.2.1'), keyOfText('192.0.2.1'));
  t.equal(keyOfText('pod'), null);
  t.end();
});
