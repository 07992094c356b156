import fc from 'fast-check';
import t from 'tap';
import { QueryView, scanName } from '@tandem/dns';
import { hasLabelAbove, labelEntropyBits } from './label-entropy.js';

/** By the definition: −Σ p·log2(p) over the shares of the bytes, times the length. */
function naiveBits(label: readonly number[]): number {
  const text = String.fromCharCode(...label).replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  let perByte = 0;
  for (const one of new Set(text)) {
    const share = [...text].filter((other) => other === one).length / text.length;
    perByte -= share * Math.log2(share);
  }
  return text.length * perByte;
}

const byte = fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(...'aAbBzZ09-_'.split('').map((one) => one.charCodeAt(0))));
const label = fc.array(byte, { minLength: 1, maxLength: 63 });

t.test('the table gives what the definition of entropy does, and forgets one label before the next', (t) => {
  fc.assert(fc.property(fc.array(label, { minLength: 1, maxLength: 4 }), fc.nat(9), (labels, before) => {
    for (const one of labels) {
      const bytes = Uint8Array.from([...new Array<number>(before).fill(97), ...one, 97, 98]);
      const bits = labelEntropyBits(bytes, before, one.length);
      if (Math.abs(bits - naiveBits(one)) > 1e-9) return false;
    }
    return true;
  }), { numRuns: 2000 });
  t.end();
});

t.test('a name is above a limit exactly if its most entropic label is', (t) => {
  const labels = fc.array(label, { maxLength: 4 }).filter((list) => list.reduce((sum, one) => sum + one.length + 1, 1) <= 255);
  const view = new QueryView();
  fc.assert(fc.property(labels, fc.integer({ min: 1, max: 400 }), fc.nat(20), (list, limit, before) => {
    const most = Math.max(0, ...list.map(naiveBits));
    fc.pre(Math.abs(most - limit) > 1e-6);
    const bytes = Uint8Array.from([...new Array<number>(before).fill(63), ...list.flatMap((one) => [one.length, ...one]), 0]);
    scanName(bytes, before, bytes.length, view);
    return hasLabelAbove(bytes, view, limit) === most > limit;
  }), { numRuns: 2000 });
  t.end();
});

t.test('a label with just as many bits as allowed is not above', (t) => {
  const view = new QueryView();
  const table: readonly [string, number][] = [['abcdefgh', 24], ['aabbccdd', 16], ['aaabbb', 6], ['AaBb', 4], ['x'.repeat(63), 0]];
  for (const [text, bits] of table) {
    const bytes = Uint8Array.from([text.length, ...[...text].map((one) => one.charCodeAt(0)), 0]);
    scanName(bytes, 0, bytes.length, view);
    t.equal(hasLabelAbove(bytes, view, bits), false, text);
    t.equal(hasLabelAbove(bytes, view, bits - 0.001), true, text);
  }
  t.end();
});
