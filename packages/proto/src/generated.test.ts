import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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

t.test('what a released member understands still means the same', (t) => {
  t.doesNotThrow(() => buf('breaking', '--against', 'released'));
  t.end();
});

const BREAKING: readonly [string, string, string, RegExp][] = [
  ['a field gets another number', 'string endpoint_uid = 1;', 'string endpoint_uid = 9;', /Previously present field "1"/],
  ['a field gets another type', 'uint32 ttl_seconds = 5;', 'string ttl_seconds = 5;', /changed type from "uint32" to "string"/],
  ['a message goes', 'message Buckets {', 'message Groups {', /Previously present message "Buckets"/],
];

for (const [what, from, to, complaint] of BREAKING) {
  t.test(`it is told when ${what}`, (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'tandem-proto-'));
    t.teardown(() => rmSync(dir, { recursive: true, force: true }));
    cpSync(join(packageDir, 'proto'), join(dir, 'proto'), { recursive: true });
    cpSync(join(packageDir, 'buf.yaml'), join(dir, 'buf.yaml'));
    const path = join(dir, 'proto', 'tandem', 'pair', 'v1', 'pair.proto');
    const text = readFileSync(path, 'utf8');
    t.ok(text.includes(from));
    writeFileSync(path, text.replace(from, to).replaceAll(what === 'a message goes' ? 'Buckets buckets' : '\0', 'Groups buckets'));
    let output = '';
    try {
      buf('breaking', dir, '--against', join(packageDir, 'released'));
    } catch (error) {
      output = String((error as { stdout: Buffer }).stdout);
    }
    t.match(output, complaint);
    t.end();
  });
}

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
