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
  const leadership = new Leadership(dir, { onChange: (leads) => told.push(leads), onRewritten: () => undefined });
  test.teardown(() => { leadership.close(); });
  return { leadership, told };
}

/** As if the holder had said so long ago that it is awake. */
function fallAsleep(dir: string, agoMs: number): void {
  const time = Buffer.alloc(16);
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
  await t.rejects(cleanDatapath(dir), { code: 'UNAVAILABLE', message: /datapath\.lock is locked\): stop both daemons first$/ });
  closeFd(fd);
});
