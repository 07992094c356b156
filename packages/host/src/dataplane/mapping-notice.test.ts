import t from 'tap';
import { MappingNotice, RENEWALS_MAX } from './mapping-notice.js';

t.test('a new mapping is told at once, and no sooner than 25 ms after the last time', (t) => {
  const notice = new MappingNotice();
  t.equal(notice.dueAtMs, Infinity);
  notice.added(1000, false);
  t.equal(notice.dueAtMs, 1000);
  notice.told(1000);
  t.equal(notice.dueAtMs, Infinity);
  notice.added(1010, false);
  t.equal(notice.dueAtMs, 1025);
  notice.added(1020, false);
  t.equal(notice.dueAtMs, 1025);
  t.end();
});

t.test('a renewal waits 200 ms, or until a new mapping is told', (t) => {
  const notice = new MappingNotice();
  notice.added(1000, true);
  notice.added(1100, true);
  t.equal(notice.dueAtMs, 1200);
  notice.added(1150, false);
  t.equal(notice.dueAtMs, 1150);
  notice.added(1160, true);
  t.equal(notice.dueAtMs, 1150);
  t.end();
});

t.test('many renewals do not wait, and are counted anew each time', (t) => {
  const notice = new MappingNotice();
  for (let time = 0; time < 2; time++) {
    const nowMs = 1000 * (time + 1);
    for (let n = 1; n < RENEWALS_MAX; n++) notice.added(nowMs, true);
    t.equal(notice.dueAtMs, nowMs + 200);
    notice.added(nowMs + 30, true);
    t.equal(notice.dueAtMs, nowMs + 30);
    notice.told(nowMs + 30);
  }
  t.end();
});
