import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { closeFd, EAGAIN, lockFile } from './index.js';

const ENOENT = 2;
const EINVAL = 22;
const ELOOP = 40;

const folder = mkdtempSync(join(tmpdir(), 'node-reuseport-'));
t.teardown(() => {
  rmSync(folder, { recursive: true });
});

/** Another process that holds the lock, once it has said so. */
async function holder(path: string): Promise<ChildProcess> {
  const script = `import { lockFile } from ${JSON.stringify(new URL('index.js', import.meta.url).href)};
    console.log(lockFile(${JSON.stringify(path)}) >= 0); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, NODE_OPTIONS: '' } });
  const word = await new Promise<string>((resolve) => child.stdout.once('data', (data: Buffer) => { resolve(data.toString()); }));
  if (word.trim() !== 'true') throw new Error(`the other process did not get the lock: ${word}`);
  return child;
}

t.test('one holds the lock until it closes the descriptor', (t) => {
  const path = join(folder, 'leader.lock');
  const held = lockFile(path);
  t.ok(held >= 0);
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.equal(lockFile(path), -EAGAIN);
  closeFd(held);
  const next = lockFile(path);
  t.ok(next >= 0);
  closeFd(next);
  t.end();
});

t.test('the lock of a process that is killed is free, and a child that it started does not keep it', async (t) => {
  const path = join(folder, 'other.lock');
  const child = await holder(path);
  t.equal(lockFile(path), -EAGAIN);
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
  const held = lockFile(path);
  t.ok(held >= 0);
  const sleeper = spawn('sleep', ['60']);
  closeFd(held);
  const again = lockFile(path);
  t.ok(again >= 0, 'the child inherits nothing');
  closeFd(again);
  sleeper.kill();
});

t.test('a path that cannot be locked says why', (t) => {
  t.equal(lockFile(join(folder, 'absent', 'x.lock')), -ENOENT);
  t.equal(lockFile(''), -EINVAL);
  symlinkSync(join(folder, 'leader.lock'), join(folder, 'link.lock'));
  t.equal(lockFile(join(folder, 'link.lock')), -ELOOP);
  t.end();
});
