import t from 'tap';
import { Arrivals } from './arrivals.js';
import { MESSAGES_UNACKED_MAX } from './exchange-messages.js';

t.test('what is acknowledged is a run without gaps of what is applied, whatever the order', (t) => {
  const arrivals = new Arrivals();
  for (const sequence of [2, 1, 3, 5]) arrivals.arrive(sequence, 10 * sequence);
  t.equal(arrivals.done(2), false, 'the first is not applied yet');
  t.equal(arrivals.sequence, 0);
  t.equal(arrivals.done(1), true);
  t.match(arrivals, { sequence: 2, revision: 20 });
  t.equal(arrivals.done(5), false, 'the fourth has not come');
  t.equal(arrivals.done(3), true);
  t.match(arrivals, { sequence: 3, revision: 30 });
  arrivals.arrive(4, 0);
  t.equal(arrivals.sequence, 3, 'it has come, and is not applied');
  t.equal(arrivals.done(4), true);
  t.match(arrivals, { sequence: 5, revision: 50 });
  t.end();
});

t.test('a repeat changes nothing, before it is applied or after', (t) => {
  const arrivals = new Arrivals();
  arrivals.arrive(1, 7);
  arrivals.arrive(1, 99);
  t.equal(arrivals.done(1), true);
  arrivals.arrive(1, 99);
  t.equal(arrivals.done(1), false);
  t.match(arrivals, { sequence: 1, revision: 7 });
  t.end();
});

t.test('more open messages than may be are refused', (t) => {
  const arrivals = new Arrivals();
  for (let sequence = 1; sequence <= MESSAGES_UNACKED_MAX; sequence++) arrivals.arrive(sequence, 0);
  t.throws(() => arrivals.arrive(MESSAGES_UNACKED_MAX + 1, 0), { code: 'LINK', details: { field: 'sequence' } });
  arrivals.done(1);
  t.doesNotThrow(() => arrivals.arrive(MESSAGES_UNACKED_MAX + 1, 0));
  t.end();
});
