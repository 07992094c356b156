import t from 'tap';
import { monoMs } from '../base/seams.js';
import { BatchClock } from './batch-clock.js';
import { NEWS, RecentMappings } from './recent-mappings.js';

const NAME = new Uint8Array([3, 0x63, 0x64, 0x6e, 0]);
const LIFE_MS = 30_000;
const ENDPOINTS = 8;

function words(last: number): Uint32Array {
  return new Uint32Array(new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, last]).buffer);
}

t.test('a name that leads to every address of a /24 is remembered with all of them', (t) => {
  const recent = new RecentMappings({ int: (below) => Math.floor(below / 3) }, new BatchClock());
  recent.setName(NAME, 0, NAME.length);
  const each = (visit: (endpointId: number, address: Uint32Array) => void): void => {
    for (let id = 1; id <= ENDPOINTS; id++) for (let last = 0; last < 256; last++) visit(id, words(last));
  };
  each((id, address) => recent.note(id, address, 0, LIFE_MS));
  let news = 0;
  each((id, address) => {
    if (recent.newsOf(id, address, 0, LIFE_MS) !== NEWS.none) news++;
  });
  t.equal(news, 0);
  t.end();
});

t.test('a smaller memory forgets, and never invents', (t) => {
  const recent = new RecentMappings({ int: (below) => Math.floor(below / 3) }, new BatchClock(), 4);
  recent.setName(NAME, 0, NAME.length);
  for (let last = 0; last < 256; last++) {
    t.equal(recent.newsOf(1, words(last), 0, LIFE_MS), NEWS.new, `address ${last} was not noted yet`);
    recent.note(1, words(last), 0, LIFE_MS);
    t.equal(recent.newsOf(1, words(last), 0, LIFE_MS), NEWS.none, `address ${last} was noted just now`);
  }
  t.equal(recent.newsOf(1, words(0), 0, LIFE_MS), NEWS.new, 'the first had to make room');
  t.end();
});

const LONG_MS = 180_000;
const EXTENSION_MS = LONG_MS / 6;
const MAPPINGS = 256;

function rig(): { readonly clock: BatchClock; readonly recent: RecentMappings; readonly ask: () => number } {
  const clock = new BatchClock();
  const recent = new RecentMappings({ int: (below) => Math.floor(below / 3) }, clock);
  recent.setName(NAME, 0, NAME.length);
  /** Every mapping is in an answer; returns how many were passed on. */
  const ask = (): number => {
    let passed = 0;
    for (let last = 0; last < MAPPINGS; last++) {
      if (recent.newsOf(1, words(last), 0, LONG_MS) === NEWS.none) continue;
      recent.note(1, words(last), 0, LONG_MS);
      passed++;
    }
    return passed;
  };
  return { clock, recent, ask };
}

t.test('mappings that were passed on together are renewed one after another, each once in a sixth of its life', (t) => {
  for (const pauseMs of [0, 2 * EXTENSION_MS, LONG_MS]) {
    const { clock, recent, ask } = rig();
    t.equal(ask(), MAPPINGS);
    clock.nowMs = monoMs(12_345 + pauseMs);
    if (pauseMs > 0) t.equal(ask(), MAPPINGS, 'all at once after the pause');
    const beganMs = clock.nowMs;
    const passed: number[] = [];
    for (let tenth = 1; tenth <= 30; tenth++) {
      clock.nowMs = monoMs(beganMs + (tenth * EXTENSION_MS) / 10);
      passed.push(ask());
    }
    const sums = [0, 10, 20].map((from) => passed.slice(from, from + 10).reduce((sum, n) => sum + n, 0));
    t.same(sums.slice(1), [MAPPINGS, MAPPINGS], passed.join(' '));
    t.ok(passed.slice(10).every((n) => n > 10 && n < 50), 'never a fifth at a time');
    t.equal(recent.newsOf(1, words(0), 0, LONG_MS), NEWS.none);
  }
  t.end();
});

t.test('an answer from a cache, whose TTL counts down, extends nothing', (t) => {
  const { clock, recent, ask } = rig();
  ask();
  for (let agoMs = 1000; agoMs < LONG_MS; agoMs += 1000) {
    clock.nowMs = monoMs(agoMs);
    t.equal(recent.newsOf(1, words(agoMs % MAPPINGS), 0, LONG_MS - agoMs), NEWS.none);
  }
  t.end();
});

t.test('the cache knows of an expiry no more than the extension too early', (t) => {
  const { clock, recent, ask } = rig();
  const toldMs = new Array<number>(MAPPINGS).fill(LONG_MS);
  ask();
  for (let nowMs = 700; nowMs < 2 * LONG_MS; nowMs += 700) {
    clock.nowMs = monoMs(nowMs);
    for (let last = 0; last < MAPPINGS; last++) {
      if (recent.newsOf(1, words(last), 0, LONG_MS) !== NEWS.none) {
        recent.note(1, words(last), 0, LONG_MS);
        toldMs[last] = nowMs + LONG_MS;
      }
    }
    const lagMs = nowMs + LONG_MS - Math.min(...toldMs);
    if (lagMs > EXTENSION_MS) t.fail(`${lagMs} ms`);
  }
  t.end();
});

t.test('a mapping that expired is new again, one that holds is renewed', (t) => {
  const { clock, recent, ask } = rig();
  ask();
  clock.nowMs = monoMs(LONG_MS - 1);
  t.equal(recent.newsOf(1, words(1), 0, LONG_MS), NEWS.renewal);
  clock.nowMs = monoMs(LONG_MS);
  t.equal(recent.newsOf(1, words(1), 0, LONG_MS), NEWS.new);
  t.end();
});
