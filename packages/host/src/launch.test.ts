/** `bin/launch` in a checkout of its own, with a build that only tells that it ran, and a Node that tells what it is to run. */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';

const LAUNCH = join(import.meta.dirname, '../bin/launch');
const MAIN = 'packages/agent/bundle/main.js';
const BUNDLER = 'packages/host/tools/bundle.js';
const ADDON = 'packages/node-reuseport/build/Release/node_reuseport.node';
/** What a bundle is made of. */
const SOURCES = ['packages/core/dist/.tsbuildinfo', 'packages/dns/dist/.codec.tsbuildinfo', 'node_modules/.package-lock.json', BUNDLER];
const BUILT_AT = 1_700_000_000;

/** `bundling`: what the bundler does, in sh. */
function checkout(t: Test, bundling: string): string {
  const root = t.testdir();
  write(root, 'package.json', JSON.stringify({ name: 'root', private: true, scripts: { build: `touch ${MAIN} ${ADDON} built` } }));
  for (const arch of ['x64', 'arm64']) {
    const node = `node_modules/node-linux-${arch}/bin/node`;
    write(root, node, `#!/bin/sh\nif [ "$#" -eq 1 ]; then cd '${root}'; echo bundle >> bundled; ${bundling}; else printf '<%s>' "$@"; fi\n`);
    chmodSync(join(root, node), 0o755);
  }
  mkdirSync(join(root, 'packages/host/bin'), { recursive: true });
  copyFileSync(LAUNCH, join(root, 'packages/host/bin/launch'));
  for (const path of [MAIN, ADDON, ...SOURCES]) {
    write(root, path, '');
    utimesSync(join(root, path), BUILT_AT, BUILT_AT);
  }
  return root;
}

function write(root: string, path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

function launch(root: string) {
  const { status, stdout, stderr } = spawnSync(join(root, 'packages/host/bin/launch'), [join(root, MAIN), '--flag', 'of two words'], { encoding: 'utf8' });
  return { status, stdout, stderr, bundled: existsSync(join(root, 'bundled')), built: existsSync(join(root, 'built')) };
}

function running(root: string): string {
  return `<${join(root, MAIN)}><--flag><of two words>`;
}

t.test('runs what is built, with its arguments', (t) => {
  const root = checkout(t, 'true');
  const run = launch(root);
  t.match(run, { status: 0, bundled: false, built: false, stderr: '' });
  t.ok(run.stdout.endsWith(running(root)), run.stdout);
  t.end();
});

t.test('builds first what is missing', (t) => {
  for (const path of [MAIN, ADDON]) {
    const root = checkout(t, `touch ${MAIN}`);
    rmSync(join(root, path));
    const run = launch(root);
    t.match(run, { status: 0, built: true, stderr: /^launch: builds first/ }, path);
    t.ok(run.stdout.endsWith(running(root)), run.stdout);
  }
  t.end();
});

t.test('bundles first, once, where what it is made of is newer than the bundle', (t) => {
  for (const path of SOURCES) {
    const root = checkout(t, `touch ${MAIN}`);
    utimesSync(join(root, path), BUILT_AT + 1, BUILT_AT + 1);
    const run = launch(root);
    t.match(run, { status: 0, bundled: true, built: false }, path);
    t.ok(run.stdout.endsWith(running(root)), run.stdout);
    rmSync(join(root, 'bundled'));
    t.notOk(launch(root).bundled, `${path}: and not again`);
  }
  t.end();
});

t.test('a bundle that cannot be made anew runs as it is, and that is said', (t) => {
  const root = checkout(t, 'exit 1');
  utimesSync(join(root, BUNDLER), BUILT_AT + 1, BUILT_AT + 1);
  const run = launch(root);
  t.match(run, { status: 0, bundled: true, stderr: /main\.js is older than what it is made of, and runs as it is/ });
  t.ok(run.stdout.endsWith(running(root)), run.stdout);
  t.end();
});
