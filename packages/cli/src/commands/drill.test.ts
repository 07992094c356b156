import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { AppError } from '@tandem/core';
import { FakeIo } from '../testing/fake-io.js';
import { drillCommand, DRILLS } from './drill.js';

async function drill(script: string, argv: readonly string[]): Promise<{ out: string; err: string; code: number }> {
  const io = new FakeIo();
  await drillCommand(io, script).exitOverride().parseAsync([...argv], { from: 'user' });
  return { out: io.stdout, err: io.stderr, code: io.code };
}

function script(t: Test, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-drill-'));
  t.teardown(() => { rmSync(folder, { recursive: true }); });
  const path = join(folder, 'main.mjs');
  writeFileSync(path, text);
  return path;
}

t.test('arguments reach the drills as they are; output and exit code come back', async (t) => {
  const path = script(t, 'process.stdout.write(JSON.stringify(process.argv.slice(2))); process.stderr.write("why"); process.exitCode = 1;');
  t.strictSame(await drill(path, ['kill-agent', '--runs', '5', '-o', 'json']), { out: '["kill-agent","--runs","5","-o","json"]', err: 'why', code: 1 });
});

t.test('an end by a signal is told as a shell tells it', async (t) => {
  t.equal((await drill(script(t, 'process.kill(process.pid, "SIGKILL");'), ['x'])).code, 137);
});

t.test('without the drills it says where they are', async (t) => {
  await t.rejects(drill('/nowhere/main.js', ['--list']), new AppError('UNAVAILABLE', '/nowhere/main.js is missing: drills are part of the repository, not of a package; build it there by npm run build'));
});

t.test('the drills of this checkout are listed', async (t) => {
  const { out, code } = await drill(DRILLS, ['--list', '-o', 'json']);
  t.equal(code, 0);
  const names = (JSON.parse(out) as { name: string; hypothesis: string }[]).map(({ name }) => name);
  t.ok(names.includes('kill-agent') && names.includes('hang-proxy'), names.join(' '));
});
