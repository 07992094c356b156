import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import t, { type Test } from 'tap';
import { monoMs } from '@tandem/core';
import { DEADLINE_MS, until } from '../dataplane/testing/wait.js';
import { sinceBoot, shiftOf } from './cache-load.js';
import { CacheRig, contentOf, forget, learn, namesOf, NOW } from './testing/cache-rig.js';

const LOG = 'agent-cache.1.log';
const ASIDE = 'agent-cache.log.corrupt';
const NAMES = ['n0.example.', 'n1.example.', 'n2.example.', 'n3.example.'];

/** A folder whose log has four frames, of one mapping each. */
async function setUp(t: Test): Promise<{ rig: CacheRig; path: string; bytes: Buffer }> {
  const rig = new CacheRig();
  t.teardown(() => rig.remove());
  const opened = rig.open();
  for (let i = 0; i < NAMES.length; i++) {
    learn(opened, rig.mapping(i));
    await opened.store.durable();
  }
  await opened.store.close();
  const path = join(rig.dir, LOG);
  return { rig, path, bytes: readFileSync(path) };
}

/** A folder with two checkpoints and their logs, all of them needed or kept. */
async function setUpCheckpoints(t: Test): Promise<{ rig: CacheRig; checkpoints: string[]; content: string[] }> {
  const rig = new CacheRig();
  t.teardown(() => rig.remove());
  const opened = rig.open({ logBytesMax: 1 });
  const published = (): string[] => readdirSync(rig.dir).filter((name) => name.endsWith('.checkpoint'));
  let i = 0;
  do {
    learn(opened, rig.mapping(i++));
    await opened.store.durable();
  } while (published().length < 2);
  await opened.store.close();
  return { rig, checkpoints: published(), content: contentOf(opened.cache) };
}

t.test('of several files that cannot be used the newest of each kind is kept aside', async (t) => {
  const { rig } = await setUpCheckpoints(t);
  const newest: Record<string, number> = {};
  for (const name of readdirSync(rig.dir)) {
    const [, generation, kind] = name.split('.');
    writeFileSync(join(rig.dir, name), generation);
    newest[kind] = Math.max(newest[kind] ?? 0, Number(generation));
  }
  rig.look();
  t.strictSame(readdirSync(rig.dir).sort(), ['agent-cache.checkpoint.corrupt', ASIDE]);
  for (const kind of ['checkpoint', 'log']) t.equal(readFileSync(join(rig.dir, `agent-cache.${kind}.corrupt`), 'utf8'), String(newest[kind]), kind);
});

t.test('a log cut at any byte gives back the whole frames before the cut, and is not set aside', async (t) => {
  const { rig, path, bytes } = await setUp(t);
  const wrong: string[] = [];
  let former = 0;
  for (let length = 0; length <= bytes.length; length++) {
    writeFileSync(path, bytes.subarray(0, length));
    const { cache, log } = rig.look();
    if (namesOf(cache).join() !== NAMES.slice(0, cache.size).join() || cache.size < former) wrong.push(`${length}: ${namesOf(cache).join()}`);
    if (log.errors.length > 0) wrong.push(`${length}: ${log.errors.join()}`);
    former = cache.size;
  }
  t.equal(former, NAMES.length);
  t.strictSame(wrong, []);
});

t.test('a log with any one bit flipped gives back what stands before, or nothing; before the last frame it is set aside, loudly', async (t) => {
  const { rig, path, bytes } = await setUp(t);
  const frame = (bytes.length - bytes.indexOf('\n') - 1) / NAMES.length;
  const lastAt = bytes.length - frame;
  const wrong: string[] = [];
  for (let at = 0; at < bytes.length; at++) {
    const flipped = Buffer.from(bytes);
    flipped[at] ^= 1 << (at % 8);
    writeFileSync(path, flipped);
    const { cache, log, loaded } = rig.look();
    const expected = at <= bytes.indexOf('\n') ? 0 : Math.floor((at - bytes.indexOf('\n') - 1) / frame);
    const isAside = readdirSync(rig.dir).join() === ASIDE;
    if (cache.size !== expected || isAside !== at < lastAt || log.errors.length !== (at < lastAt ? 1 : 0) || loaded.isToBeWritten !== at < lastAt) wrong.push(`${at}: ${cache.size} ${log.errors.join()}`);
  }
  t.strictSame(wrong, []);
});

t.test('a checkpoint cut or flipped anywhere is set aside, and the one before it stands in with all that came since', async (t) => {
  const { rig, checkpoints, content } = await setUpCheckpoints(t);
  const path = join(rig.dir, checkpoints.at(-1)!);
  const bytes = readFileSync(path);
  const wrong: string[] = [];
  const check = (what: string, damaged: Uint8Array): void => {
    writeFileSync(path, damaged);
    const { cache, log, loaded } = rig.look();
    if (contentOf(cache).join() !== content.join() || log.errors.length !== 1 || !loaded.isToBeWritten) wrong.push(`${what}: ${cache.size} ${log.errors.join()}`);
  };
  for (let at = 0; at < bytes.length; at++) {
    check(`cut at ${at}`, bytes.subarray(0, at));
    const flipped = Buffer.from(bytes);
    flipped[at] ^= 1 << (at % 8);
    check(`flipped at ${at}`, flipped);
  }
  t.strictSame(wrong, []);
  writeFileSync(path, bytes);
  t.strictSame(contentOf(rig.look().cache), content);
});

const ALIENS: readonly [string, (path: string, good: Buffer) => void, RegExp][] = [
  ['text of somebody else', (path) => writeFileSync(path, 'name: web\nkind: Pod\n'), /no file of this program/],
  ['zeros, as a file system leaves them after a power cut', (path) => writeFileSync(path, Buffer.alloc(5000)), /no file of this program/],
  ['random bytes with no line', (path) => writeFileSync(path, Buffer.alloc(5000, 0xf7)), /no file of this program/],
  ['of an earlier format', (path, good) => writeFileSync(path, good.toString('latin1').replace('format=1', 'format=0'), 'latin1'), /format is 0, not 1/],
  ['of a later format', (path, good) => writeFileSync(path, good.toString('latin1').replace('format=1', 'format=2'), 'latin1'), /format is 2, not 1/],
  ["of the other role's", (path, good) => writeFileSync(path, good.toString('latin1').replace('role=agent', 'role=dns-proxy'), 'latin1'), /role is dns-proxy, not agent/],
  ['a copy under another name', (path, good) => writeFileSync(path, good.toString('latin1').replace('generation=1', 'generation=2'), 'latin1'), /generation is 2, not 1/],
  ['a checkpoint by its first line', (path, good) => writeFileSync(path, good.toString('latin1').replace('kind=log', 'kind=checkpoint'), 'latin1'), /kind is checkpoint, not log/],
  ['a first line whose boot was changed', (path, good) => writeFileSync(path, good.toString('latin1').replace('boot=boot-1', 'boot=boot-2'), 'latin1'), /checksum of its first line/],
  ['a folder', (path) => mkdirSync(path), /EISDIR|no file/],
  ['a pipe that nobody writes to', (path) => execFileSync('mkfifo', [path]), /no file/],
  ['larger than is read', (path) => writeFileSync(path, Buffer.alloc(64 * 1024 * 1024 + 1)), /larger than 67108864 bytes/],
];

for (const [what, put, why] of ALIENS) {
  t.test(`what is ${what} is set aside with a message, and the member starts`, async (t) => {
    const { rig, path, bytes } = await setUp(t);
    renameSync(path, join(rig.dir, 'good'));
    put(path, bytes);
    const opened = rig.open();
    t.equal(opened.cache.size, 0);
    t.equal(opened.log.errors.length, 1);
    t.match(opened.log.errors[0], /^state cannot be used and was set aside /);
    t.match(opened.log.errors[0], why);
    t.ok(readdirSync(rig.dir).includes(ASIDE));
    learn(opened, rig.mapping(7));
    await opened.store.close();
    t.strictSame(namesOf(rig.look().cache), ['n7.example.'], 'and what it learns is kept');
  });
}

t.test('only the newest of what was set aside is kept', async (t) => {
  const { rig, path } = await setUp(t);
  for (const text of ['one\n', 'two\n']) {
    writeFileSync(path, text);
    rig.look();
  }
  t.strictSame(readdirSync(rig.dir), [ASIDE]);
  t.equal(readFileSync(join(rig.dir, ASIDE), 'utf8'), 'two\n');
});

t.test('names that only resemble those of the files are left alone', async (t) => {
  const { rig } = await setUp(t);
  const others = ['agent-cache.01.log', 'agent-cache.-1.log', 'agent-cache.x.log', 'agent-cache.2.log.bak', 'agent-cache.9999999999999999.log', 'agent-snapshot.json'];
  for (const name of others) writeFileSync(join(rig.dir, name), 'x');
  symlinkSync('/nowhere/at-all', join(rig.dir, 'agent-cache.3.log'));
  const { cache, log } = rig.look();
  t.equal(cache.size, NAMES.length);
  t.strictSame(log.errors, []);
  for (const name of others) t.equal(readFileSync(join(rig.dir, name), 'utf8'), 'x');
});

t.test('in the same boot times stay as they are, also of what has expired meanwhile', async (t) => {
  const rig = new CacheRig();
  t.teardown(() => rig.remove());
  const opened = rig.open();
  learn(opened, rig.mapping(1, { ttlSeconds: 5 }), rig.mapping(2, { ttlSeconds: 7200 }));
  await opened.store.close();
  rig.clock.pass(3_600_000);
  rig.clock.wallMs -= 10 * 365 * 86_400_000;
  t.strictSame(contentOf(rig.look(0).cache), contentOf(opened.cache), 'the time of day does not matter');
});

t.test('after a reboot the time of day tells how long ago it was, and what has expired is left out', async (t) => {
  const rig = new CacheRig();
  t.teardown(() => rig.remove());
  const opened = rig.open();
  learn(opened, rig.mapping(1, { ttlSeconds: 60 }), rig.mapping(2, { ttlSeconds: 600 }));
  await opened.store.close();
  const expiryWallMs = rig.clock.wallMs + 600_000;
  Object.assign(rig.clock, { bootId: 'boot-2', wallMs: rig.clock.wallMs + 120_000, monoMs: 20_000 });
  const [mapping, ...more] = [...rig.look(0).cache.mappings()];
  t.strictSame(more, []);
  t.equal(mapping.name, 'n2.example.');
  t.equal(mapping.expiryMs - rig.clock.monoMs, expiryWallMs - rig.clock.wallMs);
  t.ok(mapping.lookupMs > 0 && mapping.lookupMs < 1, 'it was looked up before this boot');
});

t.test('after a reboot into a wrong time of day nothing lives longer than its TTL, and the order of look-ups and cleans stays', async (t) => {
  const rig = new CacheRig();
  t.teardown(() => rig.remove());
  const opened = rig.open();
  learn(opened, rig.mapping(1), rig.mapping(2));
  rig.clock.pass(1000);
  forget(opened, { matchPattern: 'n1.example.', endpointUid: null, atMs: monoMs(rig.clock.monoMs) });
  rig.clock.pass(1000);
  learn(opened, rig.mapping(3, { name: 'n1.example.' }));
  await opened.store.close();
  for (const wallMs of [0, NOW.wallMs - 1, NOW.wallMs - 86_400_000]) {
    for (const up of [10, 500, 50_000]) {
      Object.assign(rig.clock, { bootId: 'boot-2', wallMs, monoMs: up });
      const { cache } = rig.look(0);
      t.strictSame(namesOf(cache), ['n1.example.', 'n2.example.']);
      for (const { lookupMs, expiryMs, ttlSeconds } of cache.mappings()) {
        t.ok(lookupMs >= 0 && lookupMs <= up && expiryMs - up <= ttlSeconds * 1000);
      }
      t.equal(cache.merge(rig.mapping(1, { lookupMs: monoMs(0) })), null, 'the clean is remembered');
    }
  }
  Object.assign(rig.clock, { bootId: 'boot-2', wallMs: 0, monoMs: 50_000_000 });
  t.equal(rig.look(0).cache.size, 0, 'it ended before this boot');
  Object.assign(rig.clock, { bootId: 'boot-2', wallMs: NOW.wallMs + 10 * 365 * 86_400_000, monoMs: 10 });
  t.equal(rig.look(0).cache.size, 0, 'a time of day far ahead: all has expired');
});

t.test('what was cleaned after a checkpoint stays cleaned after a reboot, however the time of day was set', async (t) => {
  for (const [stepMs, wallMs] of [[0, 0], [-3_600_000, NOW.wallMs], [3_600_000, NOW.wallMs + 7_200_000]] as const) {
    const rig = new CacheRig();
    t.teardown(() => rig.remove());
    const first = rig.open();
    learn(first, rig.mapping(1, { ttlSeconds: 7200 }));
    await first.store.close();
    const second = rig.open({ firstCheckpointMs: 0 });
    await until('the checkpoint', DEADLINE_MS, () => readdirSync(rig.dir).some((name) => name.endsWith('.checkpoint')));
    rig.clock.pass(1000);
    rig.clock.wallMs += stepMs;
    forget(second, { matchPattern: 'n1.example.', endpointUid: null, atMs: monoMs(rig.clock.monoMs) });
    rig.clock.pass(1000);
    learn(second, rig.mapping(2, { ttlSeconds: 7200 }));
    await second.store.close();
    Object.assign(rig.clock, { bootId: 'boot-2', wallMs, monoMs: 20_000 });
    t.notOk(namesOf(rig.look(0).cache).includes('n1.example.'), `a step of ${stepMs} ms`);
  }
});

t.test('a clean of one boot holds for what the boot before it left, also where the time of day was behind in both', async (t) => {
  const rig = new CacheRig();
  t.teardown(() => rig.remove());
  const first = rig.open();
  learn(first, rig.mapping(1, { ttlSeconds: 7200 }));
  await first.store.close();
  Object.assign(rig.clock, { bootId: 'boot-2', wallMs: 0, monoMs: 20_000 });
  // It ends before it has written a checkpoint of its own.
  const second = rig.open({ firstCheckpointMs: 3_600_000 });
  t.strictSame(namesOf(second.cache), ['n1.example.']);
  forget(second, { matchPattern: 'n1.example.', endpointUid: null, atMs: monoMs(rig.clock.monoMs) });
  rig.clock.pass(1000);
  learn(second, rig.mapping(2, { ttlSeconds: 7200 }));
  await second.store.close();
  Object.assign(rig.clock, { bootId: 'boot-3', wallMs: 0, monoMs: 20_000 });
  t.strictSame(namesOf(rig.look(0).cache), ['n2.example.']);
});

t.test('what a reboot has changed is written anew, in times of this boot', async (t) => {
  const rig = new CacheRig();
  t.teardown(() => rig.remove());
  const first = rig.open();
  learn(first, rig.mapping(1));
  await first.store.close();
  Object.assign(rig.clock, { bootId: 'boot-2', wallMs: 0, monoMs: 1000 });
  const second = rig.open();
  learn(second, rig.mapping(2));
  await until('the checkpoint', DEADLINE_MS, () => readdirSync(rig.dir).some((name) => name.endsWith('.checkpoint')));
  await second.store.close();
  rig.clock.pass(100_000);
  const { loaded, cache } = rig.look();
  t.equal(loaded.isToBeWritten, false);
  t.strictSame(contentOf(cache), contentOf(second.cache));
});

t.test('times before the boot keep their order, and none is negative', (t) => {
  const times = [-1e13, -1e9, -1e6 - 1, -1e6, -2, -1, -0.5, 0, 0.5, 0.999, 1, 2, 1e9].map(sinceBoot);
  t.strictSame(times, [...times].sort((a, b) => a - b));
  t.equal(new Set(times).size, times.length);
  t.ok(times.every((ms) => ms > 0));
  t.equal(sinceBoot(5), 5);
  t.equal(shiftOf({ wallMs: 0, monoMs: 50 }, { wallMs: 100, monoMs: 40 }, true), -110, 'a clock that went back in one boot, as in a restored virtual machine');
  t.end();
});

t.test('a folder that cannot be read is told, not fatal', async (t) => {
  const rig = new CacheRig();
  t.teardown(() => rig.remove());
  mkdirSync(rig.dir);
  chmodSync(rig.dir, 0o000);
  const isRoot = process.getuid?.() === 0;
  const { cache, log } = rig.look();
  chmodSync(rig.dir, 0o700);
  t.equal(cache.size, 0);
  t.equal(log.errors.length, isRoot ? 0 : 1);
  await rig.open().store.close();
});
