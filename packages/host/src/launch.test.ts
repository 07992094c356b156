/** `bin/launch` in a checkout of its own, with a Node and a build that only tell that they ran. */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';

const LAUNCH = join(import.meta.dirname, '../bin/launch');
const MAIN = 'packages/agent/bundle/main.js';
const COMPILED = 'packages/core/dist/.tsbuildinfo';
const ADDON = 'packages/node-reuseport/build/Release/node_reuseport.node';
const BUILT_AT = 1_700_000_000;

function checkout(t: Test): string {
  const root = t.testdir();
  write(root, 'package.json', JSON.stringify({ name: 'root', private: true, scripts: { build: `touch ${MAIN} built` } }));
  for (const arch of ['x64', 'arm64']) {
    write(root, `node_modules/node-linux-${arch}/bin/node`, '#!/bin/sh\necho "$@"\n');
    chmodSync(join(root, `node_modules/node-linux-${arch}/bin/node`), 0o755);
  }
  mkdirSync(join(root, 'packages/host/bin'), { recursive: true });
  copyFileSync(LAUNCH, join(root, 'packages/host/bin/launch'));
  for (const path of [MAIN, COMPILED, ADDON]) {
    write(root, path, '');
    utimesSync(join(root, path), BUILT_AT, BUILT_AT);
  }
  return root;
}

function write(root: string, path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

function launch(root: string): string {
  return execFileSync(join(root, 'packages/host/bin/launch'), [join(root, MAIN), '--flag', 'of two words'], { encoding: 'utf8' });
}

t.test('runs what is built, with its arguments', (t) => {
  const root = checkout(t);
  t.match(launch(root), `${join(root, MAIN)} --flag of two words\n`);
  t.notOk(existsSync(join(root, 'built')));
  t.end();
});

t.test('builds first what is missing', (t) => {
  for (const path of [MAIN, ADDON]) {
    const root = checkout(t);
    rmSync(join(root, path));
    // The build of this checkout makes no addon, and is therefore run in vain.
    t.match(launch(root), `${join(root, MAIN)} `, path);
    t.ok(existsSync(join(root, 'built')), path);
  }
  t.end();
});

t.test('builds first where the compiler wrote later than the bundle was made', (t) => {
  const root = checkout(t);
  utimesSync(join(root, COMPILED), BUILT_AT + 1, BUILT_AT + 1);
  launch(root);
  t.ok(existsSync(join(root, 'built')));
  t.end();
});
