import { readdirSync } from 'node:fs';
import t, { type Test } from 'tap';
import { monoMs } from '@tandem/core';
import { DEADLINE_MS, until } from '../dataplane/testing/wait.js';
import { CacheRig, contentOf, forget, learn, namesOf } from './testing/cache-rig.js';

function setUp(t: Test): CacheRig {
  const rig = new CacheRig();
  t.teardown(() => rig.remove());
  return rig;
}

const filesOf = (rig: CacheRig): string[] => readdirSync(rig.dir).sort();

t.test('what is durable is there after a restart, renewals and cleans included, and nothing is behind', async (t) => {
  const rig = setUp(t);
  const first = rig.open();
  learn(first, rig.mapping(1), rig.mapping(2), rig.mapping(3, { name: 'gone.example.' }));
  await first.store.durable();
  rig.clock.pass(10_000);
  learn(first, rig.mapping(2, { ttlSeconds: 600 }));
  forget(first, { matchPattern: 'gone.example.', endpointUid: null, atMs: monoMs(rig.clock.monoMs) });
  await first.store.durable();
  t.equal(first.store.waiting, 0);
  t.equal(first.store.isBehind, false);
  const second = rig.open();
  t.strictSame(contentOf(second.cache), contentOf(first.cache));
  t.strictSame(namesOf(second.cache), ['n1.example.', 'n2.example.']);
  learn(second, rig.mapping(3, { name: 'gone.example.', lookupMs: monoMs(rig.clock.monoMs - 1) }));
  t.strictSame(namesOf(second.cache), ['n1.example.', 'n2.example.'], 'the clean is remembered');
  t.strictSame([...first.log.errors, ...second.log.errors, ...second.log.warnings], []);
  await Promise.all([first.store.close(), second.store.close()]);
});

t.test('who learns nothing leaves no file', async (t) => {
  const rig = setUp(t);
  const { store } = rig.open();
  await store.durable();
  await store.close();
  t.throws(() => filesOf(rig), { code: 'ENOENT' });
});

t.test('the end makes durable what waits', async (t) => {
  const rig = setUp(t);
  const first = rig.open();
  learn(first, rig.mapping(1));
  await first.store.durable();
  learn(first, rig.mapping(2));
  t.ok(first.store.waiting > 0);
  await first.store.close();
  t.strictSame(namesOf(rig.open().cache), ['n1.example.', 'n2.example.']);
});

t.test('a log that has grown makes room for a checkpoint, and the one before is kept', async (t) => {
  const rig = setUp(t);
  const opened = rig.open({ logBytesMax: 2000 });
  for (let i = 0; i < 300; i++) {
    learn(opened, rig.mapping(i % 100));
    rig.clock.pass(5);
    if (i % 10 === 0) await opened.store.durable();
  }
  await opened.store.durable();
  await until('the checkpoint under way', DEADLINE_MS, () => filesOf(rig).filter((name) => name.endsWith('.checkpoint')).length === 2 && !filesOf(rig).some((name) => name.endsWith('.new')));
  await opened.store.close();
  const files = filesOf(rig);
  t.ok(files.length <= 5, files.join(' '));
  const { cache } = rig.open();
  t.strictSame(contentOf(cache), contentOf(opened.cache));
  t.equal(cache.size, 100);
});

t.test('what collection let go of goes from the disk, too, and nothing is written where there was nothing of the kind', async (t) => {
  const rig = setUp(t);
  const opened = rig.open({ sweepEveryMs: 1 });
  const { cache, store } = opened;
  learn(opened, rig.mapping(1, { ttlSeconds: 1 }), rig.mapping(2, { ttlSeconds: 7200 }));
  await store.durable();
  rig.clock.pass(60_000);
  const now = (): ReturnType<typeof monoMs> => monoMs(rig.clock.monoMs);
  cache.collect(now());
  for (let pass = 0; pass < 2; pass++) {
    rig.clock.pass(60_000);
    cache.connectionsSeen({ startedMs: now(), live: [] });
  }
  t.notOk(filesOf(rig).some((name) => name.endsWith('.checkpoint')));
  cache.collect(now());
  await until('a checkpoint', DEADLINE_MS, () => filesOf(rig).some((name) => name.endsWith('.checkpoint')));
  t.strictSame([...rig.look(0).cache.everything()].map(({ name }) => name), ['n2.example.']);
  await store.close();
});

t.test('a disk that takes no checkpoint while things are buried is behind in nothing, and has one as soon as it takes it', async (t) => {
  const rig = setUp(t);
  let isFull = true;
  let tries = 0;
  const opened = rig.open({ sweepEveryMs: 1, onPoint: (point) => {
    if (point !== 'checkpoint created') return;
    tries++;
    if (isFull) throw new Error('no space left');
  } });
  const { cache, store } = opened;
  for (let i = 1; i <= 8; i++) {
    learn(opened, rig.mapping(i, { ttlSeconds: 1 }));
    await store.durable();
    const now = (): ReturnType<typeof monoMs> => monoMs(rig.clock.monoMs);
    for (let pass = 0; pass < 3; pass++) {
      rig.clock.pass(60_000);
      cache.collect(now());
      cache.connectionsSeen({ startedMs: now(), live: [] });
    }
    cache.collect(now());
    const before = tries;
    await until('a further try', DEADLINE_MS, () => tries > before);
    t.equal(store.isBehind, false, `burial ${i}`);
  }
  isFull = false;
  await until('a checkpoint', DEADLINE_MS, () => filesOf(rig).some((name) => name.endsWith('.checkpoint')));
  await store.close();
});

t.test('two roles in one folder have their own files', async (t) => {
  const rig = setUp(t);
  const agent = rig.open({}, 'agent');
  const proxy = rig.open({}, 'dns-proxy');
  learn(agent, rig.mapping(1));
  learn(proxy, rig.mapping(2));
  await Promise.all([agent.store.close(), proxy.store.close()]);
  t.strictSame(filesOf(rig), ['agent-cache.1.log', 'dns-proxy-cache.1.log']);
  t.strictSame(namesOf(rig.open({}, 'agent').cache), ['n1.example.']);
  t.strictSame(namesOf(rig.open({}, 'dns-proxy').cache), ['n2.example.']);
});
