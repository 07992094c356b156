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

t.test('mappings that were learned together are renewed one after another, each once in a sixth of its life', (t) => {
  const clock = new BatchClock();
  const recent = new RecentMappings({ int: (below) => Math.floor(below / 3) }, clock);
  recent.setName(NAME, 0, NAME.length);
  const extensionMs = LIFE_MS / 6;
  for (let last = 0; last < 256; last++) recent.note(1, words(last), 0, LIFE_MS);
  /** How many were passed on in each tenth of the extension's length. */
  const passed: number[] = [];
  for (let tenth = 1; tenth <= 30; tenth++) {
    clock.nowMs = monoMs((tenth * extensionMs) / 10);
    passed.push(0);
    for (let last = 0; last < 256; last++) {
      const news = recent.newsOf(1, words(last), 0, LIFE_MS);
      if (news === NEWS.none) continue;
      t.equal(news, NEWS.renewal);
      recent.note(1, words(last), 0, LIFE_MS);
      passed[tenth - 1]++;
    }
  }
  for (const from of [0, 10, 20]) t.equal(passed.slice(from, from + 10).reduce((sum, n) => sum + n, 0), 256, passed.slice(from, from + 10).join(' '));
  t.ok(passed.every((n) => n > 10 && n < 50), 'never a quarter at a time');
  t.end();
});

t.test('a mapping that expired is new again', (t) => {
  const clock = new BatchClock();
  const recent = new RecentMappings({ int: (below) => Math.floor(below / 3) }, clock);
  recent.setName(NAME, 0, NAME.length);
  recent.note(1, words(1), 0, LIFE_MS);
  clock.nowMs = monoMs(LIFE_MS);
  t.equal(recent.newsOf(1, words(1), 0, LIFE_MS), NEWS.new);
  t.end();
});
