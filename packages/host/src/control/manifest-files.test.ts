import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { readManifestFolder } from './manifest-files.js';

function folder(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-files-'));
  t.teardown(() => { rmSync(dir, { recursive: true }); });
  return dir;
}

t.test('subfolders are named in one warning, those of a mounted ConfigMap are not', async (t) => {
  const dir = folder(t);
  mkdirSync(join(dir, '..2026_01'));
  writeFileSync(join(dir, '..2026_01', 'a.yaml'), 'a: b');
  symlinkSync('..2026_01', join(dir, '..data'));
  symlinkSync('..data/a.yaml', join(dir, 'a.yaml'));
  t.strictSame((await readManifestFolder(dir)).complaints, []);
  mkdirSync(join(dir, 'team-a'));
  symlinkSync('team-a', join(dir, 'team-b'));
  writeFileSync(join(dir, 'team-a', 'b.yaml'), 'a: b');
  writeFileSync(join(dir, 'notes'), '');
  const { files, complaints } = await readManifestFolder(dir);
  t.strictSame(files.map(({ path }) => path), [join(dir, 'a.yaml')]);
  t.strictSame(complaints, [{ path: dir, message: `subfolders are not read: ${join(dir, 'team-a')}, ${join(dir, 'team-b')}`, severity: 'warning' }]);
  for (let i = 0; i < 5; i++) mkdirSync(join(dir, `z${i}`));
  t.match((await readManifestFolder(dir)).complaints, [{ message: /z2 and 2 more$/ }]);
});

t.test('what cannot be read is an error', async (t) => {
  t.match((await readManifestFolder('/nowhere')).complaints, [{ path: '/nowhere', severity: 'error' }]);
  const dir = folder(t);
  mkdirSync(join(dir, 'x.yaml'));
  t.match((await readManifestFolder(dir)).complaints, [{ path: join(dir, 'x.yaml'), message: /not a regular file/, severity: 'error' }]);
});
