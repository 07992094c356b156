/** A disk that takes nothing, takes it late, or takes no more: the member goes on, says so, and makes up for it. */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { monoMs } from '@tandem/core';
import { DEADLINE_MS, until, within } from '../dataplane/testing/wait.js';
import { fitting } from './cache-checkpoint.js';
import { CacheRig, contentOf, forget, learn, mappingAt, type Opened } from './testing/cache-rig.js';

/** As many as libuv has by default. */
const POOL_THREADS = 4;

function setUp(t: Test): CacheRig {
  const rig = new CacheRig();
  t.teardown(() => rig.remove());
  return rig;
}

function ignore(): void {
  // The write says it, too.
}

function learnMany(rig: CacheRig, opened: Opened, from: number, to: number): void {
  for (let i = from; i < to; i++) learn(opened, rig.mapping(i));
}

async function recovered(rig: CacheRig, opened: Opened): Promise<void> {
  await until('the disk to have it all', DEADLINE_MS, () => !opened.store.isBehind);
  await opened.store.durable();
  await within('the end', DEADLINE_MS, opened.store.close());
  if (contentOf(rig.look().cache).join() !== contentOf(opened.cache).join()) throw new Error('the disk has something else');
}

/** The largest file that this process may write; null: as before. Lifting it again needs no privilege. */
function limitFiles(bytes: number | null): void {
  // The test runner ends at this signal where nobody else listens; Node itself ignores it.
  if (bytes === null) process.off('SIGXFSZ', ignore);
  else process.on('SIGXFSZ', ignore);
  execFileSync('prlimit', ['--pid', String(process.pid), `--fsize=${bytes ?? 'unlimited'}:unlimited`]);
}

/** Lets every file operation of this process wait until the returned function is called, as a disk that hangs does. */
function hangDisk(rig: CacheRig): () => Promise<void> {
  const pipes = Array.from({ length: POOL_THREADS }, (_, i) => join(rig.dir, `pipe-${i}`));
  execFileSync('mkfifo', pipes);
  // Opening a pipe waits for its other end, and keeps a thread of the pool.
  const openings = pipes.map((path) => open(path, 'r'));
  return async () => {
    const ends = pipes.map((path) => openSync(path, constants.O_RDWR | constants.O_NONBLOCK));
    for (const opening of openings) await (await opening).close();
    for (const end of ends) closeSync(end);
    for (const path of pipes) rmSync(path);
  };
}

t.test('a folder that cannot be made: the member goes on, says so, and all is on disk once it can be', async (t) => {
  const rig = setUp(t);
  writeFileSync(rig.dir, 'a file where the folder should be');
  const opened = rig.open();
  t.equal(opened.store.isBehind, false, 'there is nothing yet');
  learn(opened, rig.mapping(1));
  await opened.store.durable();
  t.equal(opened.store.isBehind, true);
  t.match(opened.log.errors[0], /^learned mappings cannot be written; a restart would start from older ones .*EEXIST/);
  learn(opened, rig.mapping(2));
  forget(opened, { matchPattern: 'n1.example.', endpointUid: null, atMs: monoMs(rig.clock.monoMs) });
  await within('an acknowledgement', DEADLINE_MS, opened.store.durable());
  rmSync(rig.dir);
  await recovered(rig, opened);
  t.match(opened.log.notes.at(-1), /^learned mappings are on disk again/);
  t.ok(rig.look().cache.pastCleans().length === 1);
});

t.test('a disk that is full in the middle of a write: what was durable stays, files do not pile up, and all comes once there is room', async (t) => {
  const rig = setUp(t);
  const opened = rig.open();
  learnMany(rig, opened, 0, 50);
  await opened.store.durable();
  const [log] = readdirSync(rig.dir);
  limitFiles(statSync(join(rig.dir, log)).size + 100);
  t.teardown(() => limitFiles(null));
  learnMany(rig, opened, 50, 500);
  await within('an acknowledgement', DEADLINE_MS, opened.store.durable());
  t.equal(opened.store.isBehind, true);
  t.match(opened.log.errors[0], /EFBIG/);
  await until('some tries', DEADLINE_MS, () => opened.log.errors.length > 5);
  t.ok(readdirSync(rig.dir).length <= 3, readdirSync(rig.dir).join(' '));
  t.equal(rig.look().cache.size, 50);
  learnMany(rig, opened, 500, 600);
  limitFiles(null);
  await recovered(rig, opened);
  t.equal(rig.look().cache.size, 600);
});

t.test('a disk that takes no checkpoint: the log goes on, up to a bound, and nothing is behind until then', async (t) => {
  const rig = setUp(t);
  const former = rig.open();
  learnMany(rig, former, 0, 300);
  await former.store.close();
  const opened = rig.open({ logBytesMax: 4000 });
  const commit = async (from: number): Promise<void> => {
    learnMany(rig, opened, from, from + 10);
    await within('the disk', DEADLINE_MS, opened.store.durable());
  };
  limitFiles(8000);
  t.teardown(() => limitFiles(null));
  let next = 300;
  for (; next < 400; next += 10) await commit(next);
  await until('a checkpoint to fail', DEADLINE_MS, () => opened.log.errors.length > 0);
  t.match(opened.log.errors[0], /^the FQDN cache cannot be written anew; its log goes on .*EFBIG/);
  t.equal(opened.store.isBehind, false);
  t.equal(rig.look().cache.size, next);
  for (; !opened.store.isBehind; next += 10) await commit(next);
  t.ok(readdirSync(rig.dir).length <= 6, readdirSync(rig.dir).join(' '));
  t.ok(rig.look().cache.size >= next - 10, 'what was durable stays');
  limitFiles(null);
  await recovered(rig, opened);
});

t.test('a disk that hangs: acknowledgements wait a second and no longer, what waits is bounded, and all is there when it goes on', async (t) => {
  const rig = setUp(t);
  const opened = rig.open();
  learn(opened, rig.mapping(0));
  await opened.store.durable();
  const goOn = hangDisk(rig);
  learn(opened, rig.mapping(1));
  const startMs = performance.now();
  await within('an acknowledgement', DEADLINE_MS, opened.store.durable());
  t.ok(performance.now() - startMs > 500, 'not before');
  t.equal(opened.store.isBehind, true);
  t.match(opened.log.errors[0], /^the disk is slow/);
  const beforeMs = performance.now();
  await opened.store.durable();
  t.ok(performance.now() - beforeMs < 500, 'the next does not wait at all');
  learnMany(rig, opened, 2, 50_000);
  await within('who learns much, which does not wait either', DEADLINE_MS, opened.store.room());
  learnMany(rig, opened, 50_000, 80_000);
  t.match(opened.log.errors[1], /^learned mappings cannot be written.*too slow/);
  t.equal(opened.store.waiting, 0, 'let go of');
  await goOn();
  await recovered(rig, opened);
  t.ok(rig.look().cache.size > 30_000);
});

/** What the disk lacks of what was acknowledged, at the moment at which the log says so; and one more mapping, whose acknowledgement is returned. */
function atNote(rig: CacheRig, opened: Opened, note: string): Promise<{ readonly missing: number; readonly acknowledged: () => Promise<number> }> {
  return new Promise((resolve) => {
    const say = opened.log.info.bind(opened.log);
    opened.log.info = (message, fields) => {
      say(message, fields);
      if (message !== note) return;
      const missing = opened.cache.size - rig.look().cache.size;
      learn(opened, rig.mapping(99));
      const durable = opened.store.durable();
      resolve({ missing, acknowledged: async () => {
        await durable;
        return opened.cache.size - rig.look().cache.size;
      } });
    };
  });
}

t.test('a disk that goes on has all that was acknowledged meanwhile before it counts as keeping up', async (t) => {
  const rig = setUp(t);
  const opened = rig.open();
  learn(opened, rig.mapping(0));
  await opened.store.durable();
  const keepsUp = atNote(rig, opened, 'the disk keeps up again');
  const goOn = hangDisk(rig);
  learn(opened, rig.mapping(1));
  // One more while the write hangs, before and after acknowledgements stop waiting for it.
  await until('the write', DEADLINE_MS, () => opened.store.waiting > 0);
  await new Promise((resolve) => { setImmediate(resolve); });
  await within('an acknowledgement', DEADLINE_MS, opened.store.durable());
  learn(opened, rig.mapping(2));
  await opened.store.durable();
  await goOn();
  const { missing, acknowledged } = await within('the disk', DEADLINE_MS, keepsUp);
  t.equal(missing, 0);
  t.equal(await acknowledged(), 0, 'acknowledged when it is there');
  await opened.store.close();
});

t.test('what is acknowledged while a checkpoint is owed is on disk before the store says so', async (t) => {
  const rig = setUp(t);
  writeFileSync(rig.dir, 'a file where the folder should be');
  const opened: Opened = rig.open({ onPoint: (point) => {
    if (point !== 'old removed') return;
    learn(opened, rig.mapping(2));
    void opened.store.durable();
  } });
  const again = atNote(rig, opened, 'learned mappings are on disk again');
  learn(opened, rig.mapping(1));
  await opened.store.durable();
  rmSync(rig.dir);
  const { missing, acknowledged } = await within('the disk', DEADLINE_MS, again);
  t.equal(missing, 0);
  t.equal(await acknowledged(), 0, 'acknowledged when it is there');
  await opened.store.close();
});

t.test('the end waits for a disk that hangs, but not for ever', async (t) => {
  const rig = setUp(t);
  const opened = rig.open();
  learn(opened, rig.mapping(0));
  await opened.store.durable();
  const goOn = hangDisk(rig);
  learn(opened, rig.mapping(1));
  await within('the end', DEADLINE_MS, opened.store.close());
  t.match(opened.log.errors.at(-1), /^the disk did not take the last learned mappings in time/);
  await goOn();
});

t.test('the end is one last try', async (t) => {
  const rig = setUp(t);
  writeFileSync(rig.dir, 'a file where the folder should be');
  const opened = rig.open({ retryEveryMs: 1_000_000 });
  learn(opened, rig.mapping(1));
  await opened.store.durable();
  rmSync(rig.dir);
  await opened.store.close();
  t.equal(opened.store.isBehind, false);
  t.equal(rig.look().cache.size, 1);
});

t.test('a successor that starts while its predecessor still writes takes nothing from it', async (t) => {
  const rig = setUp(t);
  const before = rig.open();
  learnMany(rig, before, 0, 10);
  await before.store.durable();
  const after = rig.open({ firstCheckpointMs: 0, logBytesMax: 1000 });
  t.equal(after.cache.size, 10);
  learnMany(rig, before, 10, 20);
  await before.store.durable();
  for (let i = 100; i < 180; i += 10) {
    learnMany(rig, after, i, i + 10);
    await after.store.durable();
    learnMany(rig, before, i + 100, i + 110);
    await before.store.durable();
  }
  await before.store.close();
  await after.store.close();
  const found = new Set(contentOf(rig.look().cache));
  for (const { cache } of [before, after]) t.strictSame(contentOf(cache).filter((mapping) => !found.has(mapping)), []);
});

t.test('of a cache that is larger than a file may be, the mappings that expire last are kept', (t) => {
  const mappings = Array.from({ length: 1000 }, (_, i) => mappingAt(1000, i, { ttlSeconds: (i * 7) % 1000 }));
  t.match(fitting([...mappings], 1_000_000), { leftOut: 0 });
  const { mappings: kept, leftOut } = fitting([...mappings], 20_000);
  t.ok(leftOut > 500 && kept.length + leftOut === 1000);
  t.strictSame([...kept], mappings.sort((a, b) => b.expiryMs - a.expiryMs).slice(0, kept.length));
  t.end();
});
