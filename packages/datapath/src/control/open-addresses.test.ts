import { execFileSync } from 'node:child_process';
import { openSync, closeSync } from 'node:fs';
import { type Clean, COLLECT_GRACE_MS, monoMs } from '@tandem/core';
import { bootTimeMs } from 'node-reuseport';
import t, { type Test } from 'tap';
import { staysAlive } from '../testing/kernel-test.js';
import { enterOwnNamespace } from '../testing/namespace.js';
import { addSet, cacheOf, inKernel, makeTable, mappingOf, nft, setsOf, settingsOf, snapshotOf } from '../testing/open-sets.js';
import { graceMs } from '../opener/grace.js';
import { OpenAddresses } from './open-addresses.js';

enterOwnNamespace();

// Its timers keep no process alive.
staysAlive(t);

const PATIENCE_MS = 10_000;
const ONE = '*.one.';
const TWO = '*.two.';

function stage(t: Test, patterns: readonly string[], ...flags: readonly string[]) {
  const settings = settingsOf(...flags);
  const cache = cacheOf(settings);
  const failures: number[] = [];
  const open = new OpenAddresses(settings, cache, (errno) => failures.push(errno));
  t.teardown(() => { open.close(); });
  const snapshot = snapshotOf(patterns);
  open.setPolicy(snapshot);
  return { open, cache, failures, settings, sets: setsOf(snapshot, settings.grantScope) };
}

/** What is in the kernel, as soon as it is that. */
async function becomes(t: Test, set: string, expected: readonly string[], message: string): Promise<void> {
  const wanted = [...expected].sort().join();
  const byMs = performance.now() + PATIENCE_MS;
  let seen = '';
  do {
    seen = [...inKernel(set).keys()].sort().join();
    if (seen === wanted) break;
    await new Promise(setImmediate);
  } while (performance.now() < byMs);
  t.equal(seen, wanted, message);
}

const cleanAll = (): Clean => ({ matchPattern: null, endpointUid: null, atMs: monoMs(bootTimeMs()) });

t.test('what a peer teaches is opened for as long as the mapping holds, and a grace', async (t) => {
  const { open, cache, settings, sets: [set] } = stage(t, [ONE]);
  makeTable(set);
  const mapping = mappingOf('a.one.', '192.0.2.1');
  cache.merge(mapping);
  open.taught([mapping, mappingOf('a.else.', '192.0.2.9')]);
  await becomes(t, set, ['192.0.2.1'], 'and no name of which no rule speaks');
  const seconds = inKernel(set).get('192.0.2.1')!;
  t.ok(Math.abs(seconds - 3600 - graceMs(settings) / 1000) < 5, `${seconds} s`);
});

t.test('a shorter answer of our own does not shorten what another name keeps open', async (t) => {
  const { open, cache, sets: [set] } = stage(t, [ONE]);
  makeTable(set);
  const long = mappingOf('a.one.', '192.0.2.1', { ttlSeconds: 7200 });
  cache.merge(long);
  open.taught([long]);
  await becomes(t, set, ['192.0.2.1'], 'open');
  nft(`add element inet tandem ${set} { 192.0.2.1 timeout 60s expires 60s }`);
  open.learned([mappingOf('b.one.', '192.0.2.1', { ttlSeconds: 60 })]);
  const byMs = performance.now() + PATIENCE_MS;
  while (inKernel(set).get('192.0.2.1')! < 7000 && performance.now() < byMs) await new Promise(setImmediate);
  t.ok(inKernel(set).get('192.0.2.1')! > 7000);
});

t.test('one set that is not there spoils nothing for the others, and is filled when it comes', async (t) => {
  const { open, cache, sets: [one, two], failures } = stage(t, [ONE, TWO]);
  makeTable(one);
  const mappings = [mappingOf('a.one.', '192.0.2.1'), mappingOf('a.two.', '192.0.2.2')];
  for (const mapping of mappings) cache.merge(mapping);
  open.taught(mappings);
  await becomes(t, one, ['192.0.2.1'], 'the set that is there');
  addSet(two);
  await becomes(t, two, ['192.0.2.2'], 'the set that came later, without another word');
  t.strictSame(failures, [], 'a set that is being made is no failure');
});

t.test('a clean closes what it removes, also beside a set that is not there', async (t) => {
  const { open, cache, sets: [one, two] } = stage(t, [ONE, TWO]);
  makeTable(one, two);
  const mappings = [mappingOf('a.one.', '192.0.2.1'), mappingOf('a.two.', '192.0.2.2')];
  for (const mapping of mappings) cache.merge(mapping);
  await open.refresh(true);
  t.strictSame([[...inKernel(one).keys()], [...inKernel(two).keys()]], [['192.0.2.1'], ['192.0.2.2']]);
  nft(`delete set inet tandem ${two}`);
  cache.clean(cleanAll());
  await open.refresh(true);
  t.strictSame([...inKernel(one).keys()], []);
});

t.test('what was cleaned stays closed when a policy comes right behind', async (t) => {
  const { open, cache, sets: [set] } = stage(t, [ONE]);
  makeTable(set);
  const mapping = mappingOf('a.one.', '192.0.2.1');
  cache.merge(mapping);
  await open.refresh(true);
  cache.clean(cleanAll());
  const closing = open.refresh(true);
  open.setPolicy(snapshotOf([ONE]));
  await closing;
  await becomes(t, set, [], 'closed');
});

t.test('what is learned while it is being closed is open in the end', async (t) => {
  const { open, cache, sets: [set] } = stage(t, [ONE]);
  makeTable(set);
  for (let i = 0; i < 20; i++) cache.merge(mappingOf('a.one.', `192.0.2.${i}`));
  await open.refresh(true);
  cache.clean(cleanAll());
  const again = (address: string): void => {
    const mapping = mappingOf('a.one.', address);
    cache.merge(mapping);
    // As the data plane did before it told of it.
    nft(`add element inet tandem ${set} { ${address} timeout 1h }`);
    open.learned([mapping]);
  };
  const closing = open.refresh(true);
  again('192.0.2.1');
  await new Promise(setImmediate);
  again('192.0.2.2');
  const late = mappingOf('a.one.', '192.0.2.3');
  nft(`add element inet tandem ${set} { 192.0.2.3 timeout 1h }`);
  await closing;
  cache.merge(late);
  open.learned([late]);
  await becomes(t, set, ['192.0.2.1', '192.0.2.2', '192.0.2.3'], 'before, during and after');
});

t.test('what was opened behind a clean\'s back is closed when it is told of', async (t) => {
  const { open, cache, sets: [set] } = stage(t, [ONE]);
  makeTable(set);
  const mapping = mappingOf('a.one.', '192.0.2.1');
  cache.clean(cleanAll());
  await open.refresh(true);
  nft(`add element inet tandem ${set} { 192.0.2.1 timeout 1h }`);
  t.equal(cache.merge(mapping), null);
  open.learned([mapping]);
  await becomes(t, set, [], 'closed');
});

t.test('while no peer is heard, what the cache lets go of ends by its timeout alone; then it is closed', async (t) => {
  const { open, cache, sets: [set] } = stage(t, [ONE]);
  makeTable(set);
  cache.merge(mappingOf('a.one.', '192.0.2.1'));
  await open.refresh(true);
  cache.clean(cleanAll());
  await open.refresh(false);
  t.strictSame([...inKernel(set).keys()], ['192.0.2.1']);
  open.setPolicy(snapshotOf([ONE]));
  await open.refresh(false);
  t.strictSame([...inKernel(set).keys()], ['192.0.2.1'], 'also over a change of policy');
  await open.refresh(true);
  t.strictSame([...inKernel(set).keys()], []);
});

t.test('with grant scope endpoint, a pod that inherits an address inherits nothing', async (t) => {
  const { open, cache, sets: [set] } = stage(t, [ONE], 'grant-scope', 'endpoint');
  makeTable(set);
  cache.merge(mappingOf('a.one.', '192.0.2.1'));
  await open.refresh(true);
  t.strictSame([...inKernel(set).keys()], ['10.0.0.1 192.0.2.1']);
  open.setPolicy(snapshotOf([ONE], { u2: '10.0.0.1' }));
  await becomes(t, set, [], 'the set stays, and what the other pod had opened is gone');
});

t.test('a selector that comes for a name already known: its set is filled by the text, and by what came after the text was made', async (t) => {
  const { open, cache, sets: [one] } = stage(t, [ONE]);
  makeTable(one);
  cache.merge(mappingOf('a.two.', '192.0.2.2'));
  const snapshot = snapshotOf([ONE, TWO]);
  open.setPolicy(snapshot);
  const [, two] = setsOf(snapshot);
  const text = open.bySet();
  t.match(text.get(two), [{ address: '192.0.2.2' }]);
  const later = mappingOf('b.two.', '192.0.2.3');
  cache.merge(later);
  open.learned([later]);
  cache.clean({ matchPattern: 'a.two.', endpointUid: null, atMs: monoMs(bootTimeMs()) });
  void open.refresh(true);
  makeTable(one, two);
  nft(`add element inet tandem ${two} { 192.0.2.2 timeout 1h }`);
  open.written(true);
  await becomes(t, two, ['192.0.2.3'], 'what was cleaned meanwhile is closed, what was learned is open');
});

t.test('with no descriptor left nothing is lost: it is written as soon as there is one', async (t) => {
  const { open, cache, sets: [set], failures } = stage(t, [ONE]);
  makeTable(set);
  const mapping = mappingOf('a.one.', '192.0.2.1');
  cache.merge(mapping);
  execFileSync('prlimit', ['--nofile=256', '--pid', String(process.pid)]);
  const taken: number[] = [];
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'));
  } catch {
    open.taught([mapping]);
    await open.refresh(true);
  }
  t.strictSame(failures, [24], 'it is said');
  for (const fd of taken) closeSync(fd);
  await becomes(t, set, ['192.0.2.1'], 'written');
});

t.test('what a limit takes before it expires ends when both members have collected; what is learned anew meanwhile stays', async (t) => {
  const { open, cache, settings, sets: [set] } = stage(t, [ONE], '--tofqdns-gc-interval', '10s');
  makeTable(set);
  const [taken, again] = [mappingOf('a.one.', '192.0.2.1'), mappingOf('a.one.', '192.0.2.2')];
  cache.merge(taken);
  cache.merge(again);
  open.taught([taken, again]);
  await becomes(t, set, ['192.0.2.1', '192.0.2.2'], 'open');
  cache.clean(cleanAll());
  await open.refresh(true, false);
  const soon = 2 * settings.gcIntervalMs / 1000;
  for (const seconds of inKernel(set).values()) t.ok(seconds <= soon && seconds > soon - 5, `${seconds} s`);
  const anew = mappingOf('a.one.', '192.0.2.2', { lookupMs: bootTimeMs() + 1 });
  cache.merge(anew);
  open.taught([anew]);
  await open.refresh(true, false);
  t.ok(inKernel(set).get('192.0.2.1')! <= soon, 'not put off, not ended earlier');
  t.ok(inKernel(set).get('192.0.2.2')! > 3600 - 5);
  cache.clean({ ...cleanAll(), atMs: monoMs(bootTimeMs() + 1) });
  await open.refresh(true, true);
  t.same([...inKernel(set).keys()], [], 'a clean closes at once, also what was about to end');
});

t.test('an address that expired long ago ends as soon as the connection table has let go of it', async (t) => {
  const { open, cache, sets: [set] } = stage(t, [ONE], '--tofqdns-gc-interval', '10s');
  makeTable(set);
  const expired = mappingOf('a.one.', '192.0.2.1', { lookupMs: bootTimeMs() - 2 * COLLECT_GRACE_MS, ttlSeconds: 1 });
  cache.merge(expired);
  cache.collect(monoMs(bootTimeMs()));
  await open.refresh(true, false);
  t.same([...inKernel(set).keys()], [expired.address], 'a zombie is open');
  for (let pass = 0; pass < 2; pass++) cache.connectionsSeen({ startedMs: monoMs(bootTimeMs()), live: [] });
  cache.collect(monoMs(bootTimeMs()));
  await open.refresh(true, false);
  t.same([...inKernel(set).keys()], []);
});
