import fc from 'fast-check';
import t from 'tap';
import { PACKET_DIRECTIONS, PACKET_VERDICTS } from '@tandem/core';
import { logPrefix, parsePrefix } from './prefix.js';

/** What nft takes as a prefix (NF_LOG_PREFIXLEN, with its zero). */
const KERNEL_MAX = 127;

const hex = (length: number): fc.Arbitrary<string> => fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length });

t.test('a prefix is read as it was written, and short enough for the kernel', (t) => {
  fc.assert(fc.property(
    fc.record({
      direction: fc.constantFrom(...PACKET_DIRECTIONS), verdict: fc.constantFrom(...PACKET_VERDICTS),
      ruleSet: fc.option(hex(64)), rule: fc.option(fc.nat(999_999)),
    }),
    (logged) => {
      const text = logPrefix(logged);
      return text.length <= KERNEL_MAX && JSON.stringify(parsePrefix(text)) === JSON.stringify({ ...logged, ruleSet: logged.ruleSet?.slice(0, 16) ?? null });
    },
  ));
  t.end();
});

t.test('another\'s text is not taken for one', (t) => {
  t.equal(logPrefix({ direction: 'egress', verdict: 'denied', ruleSet: null, rule: null }), 'td e d - -');
  const key = '0123456789abcdef';
  t.ok(parsePrefix(`td i a ${key} 7`));
  for (const text of ['', 'td', 'td e d', 'td e x - -', 'td q d - -', `td e d ${key}0 -`, `td e d ${key.toUpperCase()} -`, 'td e d - 1234567', 'td e d - - ', ' td e d - -', 'td e d - -\0', 'ufw: block']) {
    t.equal(parsePrefix(text), null, JSON.stringify(text));
  }
  t.throws(() => logPrefix({ direction: 'egress', verdict: 'denied', ruleSet: 'no key', rule: null }));
  t.end();
});
