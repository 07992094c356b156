import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { loadManifestFolder, watchManifestFolder, type LoadedManifests, type ManifestFolder } from './manifest-folder.js';

function namespace(name: string): string {
  return `apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ${name}\n`;
}

function folder(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-manifests-'));
  t.teardown(() => { rmSync(dir, { recursive: true, force: true }); });
  return dir;
}

/** What the watcher reports, one after another; `next` waits for the one that fits. */
class Reports {
  readonly all: LoadedManifests[] = [];
  readonly folder: ManifestFolder;
  private wake: () => void = () => undefined;

  constructor(t: Test, dir: string) {
    this.folder = watchManifestFolder(dir, (loaded) => {
      this.all.push(loaded);
      this.wake();
    });
    t.teardown(() => { this.folder.close(); });
  }

  /** The first report from now on (or already there, unseen) that fits, and how long it took. */
  async next(fits: (loaded: LoadedManifests) => boolean): Promise<{ loaded: LoadedManifests; ms: number }> {
    const begin = performance.now();
    for (;;) {
      const loaded = this.all.shift();
      if (loaded === undefined) await new Promise<void>((resolve) => { this.wake = resolve; });
      else if (fits(loaded)) return { loaded, ms: performance.now() - begin };
    }
  }
}

function names(loaded: LoadedManifests): string[] | null {
  return loaded.objects === null ? null : loaded.objects.namespaces.map(({ name }) => name);
}

function has(...wanted: string[]): (loaded: LoadedManifests) => boolean {
  return (loaded) => JSON.stringify(names(loaded)) === JSON.stringify(wanted);
}

const WITHIN_MS = 1_000;

t.test('the folder is read at the start, and a change is reported within a second', async (t) => {
  const dir = folder(t);
  writeFileSync(join(dir, 'a.yaml'), namespace('a'));
  writeFileSync(join(dir, 'notes.txt'), 'not a manifest');
  writeFileSync(join(dir, '.hidden.yaml'), 'neither: is this');
  const reports = new Reports(t, dir);
  await reports.next(has('a'));
  writeFileSync(join(dir, 'b.json'), JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'b' } }));
  t.ok((await reports.next(has('a', 'b'))).ms < WITHIN_MS, 'a new file');
  writeFileSync(join(dir, 'a.yaml'), namespace('c'));
  t.ok((await reports.next(has('b', 'c'))).ms < WITHIN_MS, 'a changed file');
  rmSync(join(dir, 'b.json'));
  t.ok((await reports.next(has('c'))).ms < WITHIN_MS, 'a removed file');
  writeFileSync(join(dir, 'next'), namespace('d'));
  renameSync(join(dir, 'next'), join(dir, 'a.yaml'));
  t.ok((await reports.next(has('d'))).ms < WITHIN_MS, 'a replaced file');
});

t.test('a broken file is reported with its place and yields no objects, until it is mended', async (t) => {
  const dir = folder(t);
  writeFileSync(join(dir, 'a.yaml'), namespace('a'));
  const reports = new Reports(t, dir);
  await reports.next(has('a'));
  writeFileSync(join(dir, 'a.yaml'), 'apiVersion: v1\nkind: Namespace\nmetadata: {name: [\n');
  const { loaded } = await reports.next(({ objects }) => objects === null);
  t.match(loaded.problems, [{ file: join(dir, 'a.yaml'), severity: 'error', line: Number }]);
  writeFileSync(join(dir, 'a.yaml'), namespace('b'));
  await reports.next(has('b'));
});

t.test('a ConfigMap as Kubernetes mounts it is followed through its links', async (t) => {
  const dir = folder(t);
  const put = (version: string, name: string): void => {
    mkdirSync(join(dir, version));
    writeFileSync(join(dir, version, 'a.yaml'), namespace(name));
    symlinkSync(version, join(dir, '..next'));
    renameSync(join(dir, '..next'), join(dir, '..data'));
  };
  put('..v1', 'one');
  symlinkSync('..data/a.yaml', join(dir, 'a.yaml'));
  const reports = new Reports(t, dir);
  await reports.next(has('one'));
  put('..v2', 'two');
  t.ok((await reports.next(has('two'))).ms < WITHIN_MS);
});

t.test('a folder that is absent is a problem until it is there', async (t) => {
  const dir = join(folder(t), 'later');
  const reports = new Reports(t, dir);
  t.match((await reports.next(() => true)).loaded, { objects: null, problems: [{ file: dir, message: /cannot be read/ }] });
  mkdirSync(dir);
  await reports.next(has());
  writeFileSync(join(dir, 'a.yaml'), namespace('a'));
  t.ok((await reports.next(has('a'))).ms < WITHIN_MS);
});

t.test('what is over a bound or no text is a problem, and is not read', async (t) => {
  const dir = folder(t);
  writeFileSync(join(dir, 'large.yaml'), '');
  truncateSync(join(dir, 'large.yaml'), 10 * 1024 * 1024);
  writeFileSync(join(dir, 'binary.yaml'), Uint8Array.of(0xff, 0xfe, 0));
  mkdirSync(join(dir, 'folder.yaml'));
  symlinkSync('nowhere', join(dir, 'dangling.yaml'));
  const { objects, problems } = await loadManifestFolder(dir);
  t.equal(objects, null);
  t.match(problems.map(({ file, message }) => `${file.slice(dir.length + 1)}: ${message}`), [
    /^binary\.yaml: the file is not UTF-8 text/, /^dangling\.yaml: cannot be read: ENOENT/, /^folder\.yaml: it is not a regular file/,
    /^large\.yaml: the file has 10485760 bytes; 4194304 are the most/,
  ]);
});

t.test('more files than the bound are a problem', async (t) => {
  const dir = folder(t);
  for (let i = 0; i <= 1_000; i++) writeFileSync(join(dir, `${i}.yaml`), '');
  t.match(await loadManifestFolder(dir), { objects: null, problems: [{ file: dir, message: /1001 manifest files; 1000 are the most/ }] });
});

t.test('a reload reports again although nothing changed', async (t) => {
  const dir = folder(t);
  const reports = new Reports(t, dir);
  await reports.next(has());
  reports.folder.reload();
  await reports.next(has());
  t.pass('reported');
});

t.test('a reload that comes while the folder is being read is not forgotten', async (t) => {
  const dir = folder(t);
  writeFileSync(join(dir, 'a.yaml'), namespace('a'));
  const reports = new Reports(t, dir);
  let isRead = false;
  const first = reports.next(has('a')).finally(() => { isRead = true; });
  // Again and again, so that the last one comes while files are being read.
  while (!isRead) {
    reports.folder.reload();
    await new Promise((resolve) => { setImmediate(resolve); });
  }
  await first;
  await reports.next(has('a'));
  t.pass('reported');
});

t.test('a folder without manifests is a warning', async (t) => {
  const dir = folder(t);
  writeFileSync(join(dir, 'notes.txt'), 'not a manifest');
  t.match(await loadManifestFolder(dir), { objects: {}, problems: [{ file: dir, severity: 'warning', message: /no manifests here: every client is a stranger/ }] });
});

t.test('a close ends the reports', async (t) => {
  const dir = folder(t);
  const reports = new Reports(t, dir);
  await reports.next(has());
  reports.folder.close();
  writeFileSync(join(dir, 'a.yaml'), namespace('a'));
  await loadManifestFolder(dir);
  t.strictSame(reports.all, []);
});
