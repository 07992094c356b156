import t from 'tap';
import { PEER_TICK_MS, PeerWatch } from './peer-watch.js';

t.test('a peer is stale after three of our ticks without a beat, and alive with the next beat', (t) => {
  const watch = new PeerWatch();
  const seen: boolean[] = [];
  let nowMs = 0;
  for (const beat of [1, 1, 1, 1, 1, 2, 3, 3]) {
    t.ok(watch.isDue(nowMs));
    seen.push(watch.tick(nowMs, beat));
    t.notOk(watch.isDue(nowMs + PEER_TICK_MS - 1));
    nowMs += PEER_TICK_MS;
  }
  t.same(seen, [false, false, false, true, true, false, false, false]);
  t.end();
});

t.test('a member that was starved itself does not blame its peer', (t) => {
  const watch = new PeerWatch();
  watch.tick(0, 1);
  t.equal(watch.tick(1000, 1), false, 'one tick, however late');
  t.end();
});
