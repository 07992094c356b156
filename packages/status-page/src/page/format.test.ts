import t from 'tap';
import { countText, durationText, millisecondsText, rateText, spanText, visible } from './format.js';

t.test('numbers are short and have their unit', (t) => {
  t.strictSame([0, 0.42, 9.96, 12, 1234, 12_345, 1_234_567, NaN].map(countText), ['0', '0.4', '10.0', '12', '1,234', '12.3k', '1.2M', '–']);
  t.equal(rateText(null), '–');
  t.strictSame([0.424, 3.14, 42.4, 1250, null].map(millisecondsText), ['0.42 ms', '3.1 ms', '42 ms', '1.25 s', '–']);
  t.strictSame([0, 59, 63, 3_700, 93_784].map(durationText), ['0s', '59s', '1m 3s', '1h 1m', '1d 2h']);
  t.strictSame([4_230, 63_000].map(spanText), ['4.2 s', '1m 3s']);
  t.end();
});

t.test('what no reader can see in a name is made visible', (t) => {
  t.equal(visible('www.shop.example.'), 'www.shop.example.');
  t.equal(visible('a\u202eb\u200b\u0000.example.'), 'a\\u{202e}b\\u{200b}\\u{0}.example.');
  t.equal(visible('<img onerror=alert(1)>'), '<img onerror=alert(1)>', 'markup stays: it is text');
  t.end();
});
