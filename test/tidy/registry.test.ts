import t from 'tap';
import { readRepositoryFile, repositoryFiles } from '../harness/repository.js';

// In pieces, so that this file holds none itself.
const registryHosts = [
  ['registry', 'npmjs', 'org'], ['registry', 'yarnpkg', 'com'], ['npm', 'pkg', 'github', 'com'], ['registry', 'npmmirror', 'com'],
  ['proxy', 'golang', 'org'], ['sum', 'golang', 'org'], ['static', 'crates', 'io'], ['files', 'pythonhosted', 'org'],
].map((parts) => parts.join('.'));

t.test('no file names a package registry: everyone installs from the one they have', (t) => {
  const files = repositoryFiles();
  t.ok(files.includes('package-lock.json'), 'the lock file is looked at');
  const found = files.flatMap((path) => {
    const text = readRepositoryFile(path);
    return registryHosts.filter((host) => text.includes(host)).map((host) => `${path}: ${host}`);
  });
  t.strictSame(found, []);
  t.end();
});

t.test('the lock file holds no address to download from', (t) => {
  const lock = JSON.parse(readRepositoryFile('package-lock.json')) as { packages: Record<string, { resolved?: string; link?: boolean }> };
  const remote = Object.entries(lock.packages).filter(([, entry]) => entry.resolved !== undefined && /^[a-z+]+:/.test(entry.resolved));
  t.strictSame(remote.map(([path]) => path), []);
  for (const path of repositoryFiles().filter((one) => /(^|\/)\.npmrc$/.test(one))) {
    t.notMatch(readRepositoryFile(path), /^\s*(@[^:]+:)?registry\s*=/m, path);
  }
  t.end();
});
