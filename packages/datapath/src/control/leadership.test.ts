import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { bootTimeMs, closeFd, lockFile } from 'node-reuseport';
import { cleanDatapath } from './clean.js';
import { Leadership, lockPath } from './leadership.js';

function runDir(test: Tap): string {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-lead-'));
  test.teardown(() => { rmSync(dir, { recursive: true }); });
  return dir;
}

type Tap = Pick<typeof t, 'teardown'>;

/** With every change that it tells of. */
function member(test: Tap, dir: string): { readonly leadership: Leadership; readonly told: boolean[] } {
  const told: boolean[] = [];
  const leadership = new Leadership(dir, { onChange: (leads) => told.push(leads), onRewritten: () => undefined, isSource: false });
  test.teardown(() => { leadership.close(); });
  return { leadership, told };
}

/** As if the holder had said so long ago that it is awake. */
function fallAsleep(dir: string, agoMs: number): void {
  const time = Buffer.alloc(80);
  time.writeDoubleLE(bootTimeMs() - agoMs);
  writeFileSync(lockPath(dir), time);
}

t.test('of two members one leads, and the other when that one has gone', (t) => {
  const dir = runDir(t);
  const first = member(t, dir);
  const second = member(t, dir);
  first.leadership.look();
  second.leadership.look();
  t.strictSame([first.leadership.leads, second.leadership.leads], [true, false]);
  first.leadership.close();
  second.leadership.look();
  t.strictSame(second.told, [true]);
  t.end();
});

t.test('a leader that sleeps is deposed, finds it out when it looks, and does not come back', (t) => {
  const dir = runDir(t);
  const first = member(t, dir);
  const second = member(t, dir);
  first.leadership.look();
  fallAsleep(dir, 2000);
  second.leadership.look();
  t.notOk(second.leadership.leads, 'two seconds are no sleep');
  fallAsleep(dir, 4000);
  second.leadership.look();
  t.ok(second.leadership.leads);
  first.leadership.look();
  t.strictSame(first.told, [true, false]);
  first.leadership.look();
  t.notOk(first.leadership.leads);
  t.strictSame(readdirSync(dir), ['datapath.lock'], 'no file is left over');
  t.end();
});

t.test('a file that nobody holds is no leader, whatever is in it', (t) => {
  for (const content of ['', 'x', 'longer than a time']) {
    const dir = runDir(t);
    writeFileSync(lockPath(dir), content);
    const { leadership } = member(t, dir);
    leadership.look();
    t.ok(leadership.leads, JSON.stringify(content));
  }
  t.end();
});

t.test('nothing is taken out of the kernel while a member leads', async (t) => {
  const dir = runDir(t);
  const fd = lockFile(lockPath(dir));
  await t.rejects(cleanDatapath(dir, () => Promise.resolve(false)), { code: 'UNAVAILABLE', message: /datapath\.lock is locked\): stop both daemons first$/ });
  closeFd(fd);
});

t.test('nothing is taken out of the kernel between two leaders', async (t) => {
  const dir = runDir(t);
  const first = member(t, dir);
  const second = member(t, dir);
  first.leadership.look();
  second.leadership.look();
  first.leadership.close();
  for (const role of ['agent', 'dns-proxy']) {
    await t.rejects(cleanDatapath(dir, (one) => Promise.resolve(one === role)), { code: 'UNAVAILABLE', message: new RegExp(`^${role} still answers, .*: stop both daemons first$`) });
  }
  second.leadership.look();
  t.ok(second.leadership.leads, 'the lead is free again');
});

t.test('who leads says when it made the tables anew, and the other hears of each time once', (t) => {
  const dir = runDir(t);
  const { leadership } = member(t, dir);
  let heard = 0;
  const other = new Leadership(dir, { onChange: () => undefined, onRewritten: () => heard++, isSource: false });
  t.teardown(() => { other.close(); });
  leadership.look();
  other.look();
  leadership.wrote('a', false);
  other.look();
  t.equal(heard, 0, 'differences take nothing away');
  leadership.wrote('a', true);
  other.look();
  other.look();
  t.equal(heard, 1);
  leadership.wrote('b', true);
  other.look();
  t.equal(heard, 2);
  t.end();
});

t.test('a leader that stays behind the policy of the member with the source is deposed; one on its way there, and the source itself, are not', (t) => {
  const dir = runDir(t);
  const clock = { ms: bootTimeMs() };
  const begin = (isSource: boolean): Leadership => {
    const leadership = new Leadership(dir, { onChange: () => undefined, onRewritten: () => undefined, isSource, nowMs: () => clock.ms });
    t.teardown(() => { leadership.close(); });
    return leadership;
  };
  const [proxy, agent] = [begin(false), begin(true)];
  const after = (ms: number): void => {
    clock.ms += ms;
    proxy.look();
    agent.look();
  };
  proxy.look();
  proxy.want('1');
  proxy.wrote('1', true);
  agent.want('1');
  for (let i = 0; i < 10; i++) after(1000);
  t.ok(proxy.leads, 'both want the same');
  for (let i = 2; i < 12; i++) {
    agent.want(String(i));
    after(500);
    proxy.wrote(String(i - 1), false);
    after(500);
  }
  t.ok(proxy.leads, 'it follows, always a little late');
  for (let i = 0; i < 4; i++) after(1000);
  t.ok(proxy.leads, 'not yet');
  for (let i = 0; i < 4; i++) after(1000);
  t.strictSame([proxy.leads, agent.leads], [false, true]);
  agent.wrote('11', true);
  proxy.want('other');
  for (let i = 0; i < 10; i++) after(1000);
  t.ok(agent.leads, 'what the source wants holds');
  t.end();
});

t.test('one that was closed takes no lead again, whoever still asks', (t) => {
  const dir = runDir(t);
  const { leadership, told } = member(t, dir);
  leadership.close();
  leadership.look();
  t.strictSame([leadership.leads, told], [false, []]);
  t.end();
});
