import { once } from 'node:events';
import { mkdirSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, relative } from 'node:path';
import t, { type Test } from 'tap';
import { folder } from '../testing/rig.js';
import { listenerOf } from './find-process.js';

async function listen(t: Test, path: string): Promise<void> {
  const server = createServer().listen({ path });
  t.teardown(() => { server.close(); });
  await once(server, 'listening');
}

t.test('the process behind a socket is found by every path to its folder', async (t) => {
  const dir = folder(t);
  const [run, link, bare] = ['run', 'link', 'bare'].map((name) => join(dir, name));
  mkdirSync(run);
  mkdirSync(bare);
  symlinkSync(run, link);
  await listen(t, join(run, 'agent.sock'));
  for (const path of [run, link, `${run}/`, join(dir, 'bare', '..', 'run'), relative(process.cwd(), run)]) t.equal(await listenerOf(join(path, 'agent.sock')), process.pid, path);
  t.equal(await listenerOf(`${relative(process.cwd(), run)}/agent.sock`), process.pid);
  t.equal(await listenerOf(join(bare, 'agent.sock')), null, 'a socket of the same name elsewhere is another');
  t.equal(await listenerOf(join(run, 'dns-proxy.sock')), null);
  t.equal(await listenerOf(join(dir, 'absent', 'agent.sock')), null);
});

t.test('it is found where it was bound by a relative path', async (t) => {
  const dir = folder(t);
  await listen(t, relative(process.cwd(), join(dir, 'agent.sock')));
  t.equal(await listenerOf(join(dir, 'agent.sock')), process.pid);
});
