/** The program as a process: what becomes of it when its output cannot be written. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));

function run(argv: readonly string[], path: string, stream: 1 | 2): { readonly code: number | null; readonly err: string } {
  const fd = openSync(path, 'w');
  const stdio = (['ignore', 'pipe', 'pipe'] as ('ignore' | 'pipe' | number)[]).map((usual, number) => (number === stream ? fd : usual));
  const { status, stderr } = spawnSync(process.execPath, [MAIN, ...argv], { stdio, encoding: 'utf8' });
  closeSync(fd);
  return { code: status, err: (stderr) ?? '' };
}

t.test('output that cannot be written is one line and a code of its own', (t) => {
  const { code, err } = run(['completion', 'bash'], '/dev/full', 1);
  t.equal(code, 69);
  t.match(err, /^tandem: standard output: .*ENOSPC.*\n$/);
  t.end();
});

t.test('errors that cannot be written leave the exit code as it is', (t) => {
  t.equal(run(['status', '--run-dir', '/nonexistent'], '/dev/full', 2).code, 69);
  t.equal(run(['nonsense'], '/dev/full', 2).code, 64);
  t.end();
});
