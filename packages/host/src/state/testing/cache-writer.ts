/**
 * A process that learns and cleans in a loop, tells on standard output what is durable, and kills itself at a named point of
 * writing: `node cache-writer.js DIR POINT NTH FIRST`. POINT `any` counts all points. FIRST is the number of the first change.
 *
 * Lines: `D n`: changes up to number n are durable. `S path bytes`: so much of the file is. `P path`: the file has its name
 * for good.
 */
import { statSync, writeSync } from 'node:fs';
import type { DiskPoint } from '../cache-log.js';
import { CacheStore } from '../cache-store.js';
import { cleanAt, isCleanAt, LogLines, mappingOfChange, newCache, TestClock } from './cache-rig.js';

const CHANGES_PER_COMMIT = 20;
const CHANGES_MAX = 4000;
const LOG_BYTES_MAX = 3000;

const [, , dir, point, nth, first] = process.argv;
const say = (line: string): void => {
  writeSync(1, `${line}\n`);
};
let hits = 0;

function onPoint(at: DiskPoint, path: string): void {
  if (at === 'frame durable' || at === 'log named' || at === 'checkpoint durable') say(`S ${path} ${statSync(path).size}`);
  if (at === 'log named' || at === 'checkpoint published') say(`P ${path}`);
  if ((point === 'any' || point === at) && ++hits === Number(nth)) process.kill(process.pid, 'SIGKILL');
}

const clock = new TestClock();
clock.pass(Number(first));
const cache = newCache();
const log = new LogLines();
const store = new CacheStore({ cache, stateDir: dir, role: 'agent', log, clock, onPoint, logBytesMax: LOG_BYTES_MAX, firstCheckpointMs: 100 });
store.restore();
for (let number = Number(first); number < Number(first) + CHANGES_MAX; number++) {
  clock.monoMs = mappingOfChange(number).lookupMs;
  if (isCleanAt(number)) {
    const clean = cleanAt(number);
    cache.clean(clean);
    store.putClean(clean);
  } else if (cache.merge(mappingOfChange(number))) {
    store.put(mappingOfChange(number));
  }
  if (number % CHANGES_PER_COMMIT !== 0) continue;
  await store.durable();
  // On a disk that takes longer than a second nothing was promised.
  if (!store.isBehind) say(`D ${number}`);
}
await store.close();
