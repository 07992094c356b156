import FakeTimers from '@sinonjs/fake-timers';
import t, { type Test } from 'tap';
import { Reachability } from './reachability.js';

/** Hours pass at once here; `told` are the times at which the watches were told. */
function stage(t: Test, times?: { againMs: number; spreadMs: number }): { pass: (ms: number) => Promise<unknown>; told: number[]; server: { isUp: boolean; looks: number }; reachability: Reachability } {
  const clock = FakeTimers.install({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const server = { isUp: true, looks: 0 };
  const told: number[] = [];
  const isListening = (): Promise<boolean> => {
    server.looks++;
    return Promise.resolve(server.isUp);
  };
  const reachability = new Reachability({ isListening }, () => { told.push(performance.now()); }, times);
  t.teardown(() => {
    reachability.close();
    clock.uninstall();
  });
  return { pass: (ms) => clock.tickAsync(ms), told, server, reachability };
}

t.test('what listens and lets no watch begin is told of more and more rarely, however late the watches find out', async (t) => {
  const { pass, told, reachability } = stage(t, { againMs: 1_000, spreadMs: 0 });
  const wait = async (): Promise<number> => {
    const count = told.length;
    const begin = performance.now();
    reachability.lost();
    while (told.length === count) await pass(10);
    return told[count] - begin;
  };
  const AT_ONCE_MS = 2;
  t.ok(await wait() <= AT_ONCE_MS);
  await pass(5_000);
  const second = await wait();
  t.ok(second >= 1_500 && second <= 2_500, `twice the first pause, a quarter more or less by chance: ${second} ms`);
  await pass(10_000);
  const third = await wait();
  t.ok(third >= 3_000 && third <= 5_000, `${third} ms`);
  reachability.opened();
  await pass(20_000);
  t.ok(await wait() <= AT_ONCE_MS, 'a watch has begun: the next loss is a new one');
});

t.test('it is looked for what does not listen, less often after minutes, and told once', async (t) => {
  const { pass, told, server, reachability } = stage(t);
  server.isUp = false;
  reachability.lost();
  reachability.lost();
  await pass(60_000);
  const first = server.looks;
  t.ok(first >= 90 && first <= 160, `${first} looks in the first minute`);
  await pass(10 * 60_000);
  const before = server.looks;
  await pass(60_000);
  t.ok(server.looks - before >= 15 && server.looks - before <= 27, `${server.looks - before} in a later one`);
  t.strictSame(told, []);
  server.isUp = true;
  await pass(10_000);
  t.equal(told.length, 1);
});

t.test('who is closed tells nobody', async (t) => {
  const { pass, told, reachability } = stage(t);
  reachability.lost();
  reachability.close();
  await pass(60_000);
  t.strictSame(told, []);
});
