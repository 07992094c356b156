import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const packageDir = fileURLToPath(new URL('..', import.meta.url));

/** Runs buf with the plugins of the repository; throws with its output where it complains. */
function buf(...args: readonly string[]): void {
  const bins = [join(packageDir, 'node_modules', '.bin'), join(packageDir, '..', '..', 'node_modules', '.bin')];
  const path = [...bins, process.env.PATH ?? ''].join(delimiter);
  execFileSync('buf', args, { cwd: packageDir, env: { ...process.env, PATH: path }, stdio: 'pipe' });
}

function filesOf(dir: string): Map<string, string> {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(files.map((entry) => {
    const path = join(entry.parentPath, entry.name);
    return [path.slice(dir.length + 1), readFileSync(path, 'utf8')];
  }));
}

t.test('the .proto files pass lint', (t) => {
  t.doesNotThrow(() => buf('lint'));
  t.end();
});

t.test('the generated code is what the .proto files generate', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-proto-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  buf('generate', '--output', dir);
  const [fresh, committed] = [filesOf(join(dir, 'src', 'generated')), filesOf(join(packageDir, 'src', 'generated'))];
  t.ok(fresh.size > 0);
  t.strictSame([...committed.keys()].sort(), [...fresh.keys()].sort());
  for (const [name, text] of fresh) t.ok(committed.get(name) === text, `${name} (npm run generate makes it anew)`);
  t.end();
});
