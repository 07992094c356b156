import { chmodSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { defaultRunDir, defaultStateDir, ensurePrivateDir } from './paths.js';

t.test('folders are found by user and environment', (t) => {
  t.equal(defaultRunDir({ XDG_RUNTIME_DIR: '/run/user/5' }, 0), '/run/tandem');
  t.equal(defaultRunDir({ XDG_RUNTIME_DIR: '/run/user/5' }, 5), '/run/user/5/tandem');
  t.equal(defaultRunDir({}, 5), join(tmpdir(), 'tandem-5'));
  t.equal(defaultStateDir('agent', {}, 0), '/var/lib/tandem/agent');
  t.equal(defaultStateDir('agent', { XDG_STATE_HOME: '/s', HOME: '/h' }, 5), '/s/tandem/agent');
  t.equal(defaultStateDir('dns-proxy', { HOME: '/h' }, 5), '/h/.local/state/tandem/dns-proxy');
  t.equal(defaultStateDir('dns-proxy', {}, 5), join(tmpdir(), 'tandem-5/state/dns-proxy'));
  t.end();
});

t.test('a folder is made private, and one that others can write to is refused', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-paths-'));
  const path = join(dir, 'a/b');
  ensurePrivateDir(path, '--run-dir');
  ensurePrivateDir(path, '--run-dir');
  t.equal(statSync(path).mode & 0o777, 0o700);
  chmodSync(path, 0o777);
  t.throws(() => { ensurePrivateDir(path, '--run-dir'); }, { code: 'UNAVAILABLE', message: /--run-dir .*others can write/ });
  rmSync(dir, { recursive: true });
  t.end();
});

t.test('a folder that cannot be made is refused at once, with what is in the way', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-paths-'));
  const file = join(dir, 'file');
  const link = join(dir, 'link');
  writeFileSync(file, '');
  symlinkSync(dir, link);
  symlinkSync(join(dir, 'nowhere'), join(dir, 'dangling'));
  const table: readonly [string, RegExp][] = [
    ['/proc/x', /^--state-dir \/proc\/x: \/proc\/x cannot be created \(ENOENT\); choose another folder$/],
    ['/proc/x/y', /\/proc\/x cannot be created/],
    ['/etc/passwd', /^--state-dir \/etc\/passwd: \/etc\/passwd is a file, not a folder$/],
    [join(file, 'below'), /file is a file, not a folder$/],
    ['/dev/null', /is something else, not a folder$/],
    [link, /is a symbolic link; name the folder itself$/],
    [join(dir, 'dangling'), /dangling cannot be created \(EEXIST\)/],
  ];
  for (const [path, message] of table) t.throws(() => { ensurePrivateDir(path, '--state-dir'); }, { code: 'UNAVAILABLE', message }, path);
  ensurePrivateDir(join(link, 'below'), '--state-dir');
  t.ok(statSync(join(dir, 'below')).isDirectory(), 'a link on the way is followed');
  rmSync(dir, { recursive: true });
  t.end();
});
