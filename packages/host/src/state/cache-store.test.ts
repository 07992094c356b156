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
