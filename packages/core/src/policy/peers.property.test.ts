import fc from 'fast-check';
import t from 'tap';
import { Allotter, NO_ALLOTMENT } from './allotment.js';
import { isWithin, parsePrefix } from './cidr.js';
import { CidrDirectory } from './peers.js';

/** Few bits, so that prefixes often lie within each other. */
const v4 = fc.tuple(fc.constantFrom(0, 10, 11, 255), fc.constantFrom(0, 1, 128, 255), fc.constantFrom(0, 7, 8, 9, 12, 16, 24, 32))
  .map(([a, b, length]) => `${a}.${b}.${b}.${a}/${length}`);
const v6 = fc.tuple(fc.constantFrom('', '2001:db8', 'ffff'), fc.constantFrom('', '1', 'ffff:0'), fc.constantFrom(0, 1, 32, 48, 80, 95, 128))
  .map(([a, b, length]) => `${a}::${b}/${length}`);
const prefix = fc.oneof(v4, v6).map((text) => parsePrefix(text)?.cidr ?? '::/0');

t.test('a prefix selects all that lie within it and outside its exceptions, as a look at each one says', (t) => {
  fc.assert(fc.property(fc.uniqueArray(prefix, { minLength: 1, maxLength: 30 }), fc.array(fc.nat(29), { maxLength: 3 }), (texts, picks) => {
    const numbers = new Allotter(NO_ALLOTMENT, 'cidr');
    const directory = new CidrDirectory(new Set(texts), [], numbers);
    const except = picks.map((at) => texts[at % texts.length]);
    for (const cidr of texts) {
      const expected = directory.records().filter((one) => {
        const inner = parsePrefix(one.cidr)!;
        return isWithin(inner, parsePrefix(cidr)!) && !except.some((hole) => isWithin(inner, parsePrefix(hole)!));
      });
      t.same([...directory.select({ cidr, except })].sort((a, b) => a - b), expected.map(({ identity }) => identity));
    }
  }), { numRuns: 200 });
  t.end();
});
