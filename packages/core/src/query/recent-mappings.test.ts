import t from 'tap';
import { BatchClock } from './batch-clock.js';
import { RecentMappings } from './recent-mappings.js';

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
    if (recent.isNews(id, address, 0, LIFE_MS)) news++;
  });
  t.equal(news, 0);
  t.end();
});

t.test('a smaller memory forgets, and never invents', (t) => {
  const recent = new RecentMappings({ int: (below) => Math.floor(below / 3) }, new BatchClock(), 4);
  recent.setName(NAME, 0, NAME.length);
  for (let last = 0; last < 256; last++) {
    t.ok(recent.isNews(1, words(last), 0, LIFE_MS), `address ${last} was not noted yet`);
    recent.note(1, words(last), 0, LIFE_MS);
    t.notOk(recent.isNews(1, words(last), 0, LIFE_MS), `address ${last} was noted just now`);
  }
  t.ok(recent.isNews(1, words(0), 0, LIFE_MS), 'the first had to make room');
  t.end();
});
