import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Log } from '@tandem/core';
import { DEADLINE_MS, until } from '../dataplane/testing/wait.js';
import { KeptState } from './kept-state.js';
import { StateFile } from './state-file.js';

const RETRY_EVERY_MS = 5;
const silent = (): void => undefined;
const log: Log = { debug: silent, info: silent, warn: silent, error: silent };

function setUp(t: Test): { stateDir: string; open: () => KeptState<string> } {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-kept-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const stateDir = join(dir, 'state');
  const open = (): KeptState<string> => {
    const file = new StateFile(join(stateDir, 'a.json'), { bytesMax: 1000, parse: String, log });
    return new KeptState(file, { isSame: (a, b) => a === b, retryEveryMs: RETRY_EVERY_MS });
  };
  return { stateDir, open };
}

t.test('a content that was changed and changed back is what is read at last', (t) => {
  const { open } = setUp(t);
  open().keep('a');
  const state = open();
  t.equal(state.read(), 'a');
  state.keep('b');
  state.keep('a');
  t.equal(open().read(), 'a');
  t.end();
});

t.test('what is on disk already is not written again', (t) => {
  const { open } = setUp(t);
  open().keep('a');
  const state = open();
  t.equal(state.read(), 'a');
  const { ino } = statSync(state.path);
  state.keep('a');
  t.equal(statSync(state.path).ino, ino);
  state.keep('b');
  t.not(statSync(state.path).ino, ino);
  t.end();
});

t.test('what the disk does not take is tried again until it does, the newest only', async (t) => {
  const { stateDir, open } = setUp(t);
  writeFileSync(stateDir, 'a file where the folder should be');
  const state = open();
  state.keep('a');
  t.ok(state.isBehind);
  state.keep('b');
  t.ok(state.isBehind);
  rmSync(stateDir);
  await until('the write', DEADLINE_MS, () => !state.isBehind);
  t.equal(open().read(), 'b');
});

t.test('the end is one last try', (t) => {
  const { stateDir, open } = setUp(t);
  writeFileSync(stateDir, 'a file where the folder should be');
  const state = open();
  state.keep('a');
  rmSync(stateDir);
  state.close();
  t.notOk(state.isBehind);
  t.equal(open().read(), 'a');
  t.end();
});
