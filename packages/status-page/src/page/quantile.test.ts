import t from 'tap';
import { quantile } from './quantile.js';

t.test('a percentile lies within its bucket, evenly spread', (t) => {
  const bounds = [1, 2, 4];
  t.equal(quantile(0.5, bounds, [10, 0, 0, 0])?.ms, 0.5);
  t.equal(quantile(0.5, bounds, [0, 10, 0, 0])?.ms, 1.5);
  t.equal(quantile(0.75, bounds, [10, 0, 10, 0])?.ms, 3);
  t.equal(quantile(1, bounds, [10, 10, 0, 0])?.ms, 2, 'the highest one ends the bucket');
  t.strictSame(quantile(0.99, bounds, [1, 0, 0, 99]), { ms: 4, isAtLeast: true }, 'beyond the last bound it is at least that');
  t.equal(quantile(0.5, bounds, [0, 0, 0, 0]), null, 'of nothing there is none');
  t.end();
});
