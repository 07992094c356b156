import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import FakeTimers from '@sinonjs/fake-timers';
import t, { type Test } from 'tap';
import type { Snapshot } from '@tandem/core';
import { snapshotOf } from '../pair/testing/members.js';
import { SourceHeard } from './source-heard.js';
import { LogLines, TestClock } from './testing/cache-rig.js';

const LIMIT_SECONDS = 100;
const LIMIT_MS = LIMIT_SECONDS * 1000;

/** With a pod of another node. */
const snapshot: Snapshot = { ...snapshotOf(1), identities: [{ identity: 300, labels: ['k8s:app=far'], addresses: ['10.0.9.1'] }] };

interface Bench {
  readonly clock: TestClock;
  readonly path: string;
  readonly log: LogLines;
  /** A process that starts. */
  readonly open: (limitSeconds?: number) => SourceHeard;
}

function setUp(t: Test): Bench {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-heard-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const clock = new TestClock();
  const log = new LogLines();
  const stateDir = join(dir, 'state');
  const open = (staleSourceLimitSeconds = LIMIT_SECONDS): SourceHeard => (
    new SourceHeard({ settings: { role: 'agent', stateDir, staleSourceLimitSeconds, ciliumAgent: null }, log, clock })
  );
  return { clock, log, path: join(stateDir, 'agent-source-heard.json'), open };
}

function hasLapsed(heard: SourceHeard): boolean {
  return heard.asOfNow(snapshot) !== snapshot;
}

t.test('the limit runs from when the source was last heard, and is said once', (t) => {
  const { clock, log, open } = setUp(t);
  const heard = open();
  heard.heard();
  clock.pass(10 * LIMIT_MS);
  t.notOk(hasLapsed(heard), 'while it is heard nothing lapses');
  heard.away();
  clock.pass(LIMIT_MS - 1);
  heard.away();
  t.notOk(hasLapsed(heard));
  clock.pass(1);
  t.ok(hasLapsed(heard));
  const lapsed = heard.asOfNow(snapshot);
  t.equal(heard.asOfNow(lapsed), lapsed, 'nothing more is to be taken away');
  t.match(log.warnings, [/away for too long.*"heardSecondsAgo":100/]);
  t.equal(log.warnings.length, 1);
  heard.heard();
  t.notOk(hasLapsed(heard));
  t.end();
});

t.test('restarts while the source is away do not begin the count anew', (t) => {
  const { clock, open } = setUp(t);
  const first = open();
  first.heard();
  first.away();
  clock.pass(LIMIT_MS / 2);
  const second = open();
  second.away();
  t.notOk(hasLapsed(second));
  clock.pass(LIMIT_MS / 2);
  t.ok(hasLapsed(second));
  t.ok(hasLapsed(open()), 'nor do they undo a lapse, even before the source is asked');
  t.end();
});

t.test('while the source is heard the file is written seldom; a killed process costs a tenth of the limit at most', (t) => {
  const { clock, path, open } = setUp(t);
  const timers = FakeTimers.install({ toFake: ['setInterval', 'clearInterval'] });
  t.teardown(() => { timers.uninstall(); });
  const heard = open();
  heard.heard();
  heard.watch(() => undefined);
  let writes = 0;
  let last = statSync(path).ino;
  for (let i = 0; i < LIMIT_SECONDS; i++) {
    clock.pass(1000);
    timers.tick(1000);
    const { ino } = statSync(path);
    if (ino !== last) writes++;
    last = ino;
  }
  t.equal(writes, 10);
  clock.pass(9000);
  timers.tick(9000);
  // Killed here.
  clock.pass(LIMIT_MS * 0.9 - 1);
  t.notOk(hasLapsed(open()));
  clock.pass(LIMIT_MS * 0.1 + 1);
  t.ok(hasLapsed(open()));
  t.end();
});

t.test('a process that ends writes the very moment', (t) => {
  const { clock, open } = setUp(t);
  const heard = open();
  heard.heard();
  clock.pass(5000);
  heard.close();
  const endMs = clock.monoMs;
  clock.pass(1000);
  t.equal(open().atMs, endMs);
  t.end();
});

t.test('after a reboot the time of day counts; where it is before the file\'s, the source counts as heard just now', (t) => {
  const { clock, open } = setUp(t);
  const heard = open();
  heard.heard();
  heard.away();
  clock.wallMs += LIMIT_MS - 1;
  Object.assign(clock, { bootId: 'boot-2', monoMs: 500 });
  t.equal(open().atMs, 501 - LIMIT_MS, 'before this boot');
  t.notOk(hasLapsed(open()));
  clock.pass(1);
  t.ok(hasLapsed(open()));
  clock.wallMs -= 10 * LIMIT_MS;
  t.equal(open().atMs, 501);
  t.end();
});

t.test('without a good file the source is overdue as soon as it is known to be away', (t) => {
  const { path, log, open } = setUp(t);
  const never = open();
  t.notOk(hasLapsed(never), 'it may yet speak');
  never.away();
  t.equal(never.atMs, null);
  t.ok(hasLapsed(never));
  t.match(log.warnings, [/"heardSecondsAgo":"not known"/]);
  never.heard();
  writeFileSync(path, '{"format":1');
  rmSync(`${path}.previous`, { force: true });
  const damaged = open();
  t.match(log.errors, [/set aside/]);
  damaged.away();
  t.ok(hasLapsed(damaged));
  t.end();
});

t.test('what another knows counts if it is later, and never as later than now', (t) => {
  const { clock, open } = setUp(t);
  const heard = open();
  heard.away();
  const changes = heard.changes;
  heard.wasHeard(clock.monoMs - 1000);
  t.notOk(hasLapsed(heard));
  heard.wasHeard(clock.monoMs - 2000);
  t.equal(heard.atMs, clock.monoMs - 1000);
  t.equal(heard.changes, changes + 1);
  heard.wasHeard(clock.monoMs + 1e9);
  t.equal(heard.atMs, clock.monoMs);
  t.equal(open().atMs, clock.monoMs);
  t.end();
});

t.test('without a limit nothing lapses, nothing is written, and what an earlier process wrote is gone', (t) => {
  const { clock, path, open } = setUp(t);
  const limited = open();
  limited.heard();
  limited.away();
  const heard = open(0);
  t.notOk(existsSync(path) || existsSync(`${path}.previous`));
  heard.heard();
  heard.away();
  clock.pass(1000 * LIMIT_MS);
  t.notOk(hasLapsed(heard));
  t.notOk(existsSync(path));
  t.end();
});
