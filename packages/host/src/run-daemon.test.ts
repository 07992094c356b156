import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { DEADLINE_MS, until, within } from './dataplane/testing/wait.js';

/** The body of `start`, which has `context`, `opened` (tells of a stop) and `AppError` at hand. */
type Start = string;

const SERVES: Start = 'setImmediate(() => say("started")); return opened(async () => say("stopped"))';

class Daemon {
  stdout = '';
  stderr = '';
  readonly ended: Promise<number | null>;
  private readonly child: ChildProcess;

  constructor(dir: string, start: Start, argv: readonly string[], errors: 'pipe' | number = 'pipe') {
    const program = `
      import { AppError } from '@tandem/core';
      import { runDaemon } from ${JSON.stringify(new URL('./run-daemon.js', import.meta.url).href)};
      const say = (text) => process.stdout.write(text + '\\n');
      // Something open, as a daemon's sockets are.
      const alive = setInterval(() => undefined, 1000);
      await runDaemon('agent', '1.2.3', async (context) => {
        const opened = (stop) => {
          context.onStop?.(stop);
          return { stop, reload: () => say('reloaded') };
        };
        ${start}
      });
      if (process.exitCode !== undefined || ${argv.includes('--version')}) clearInterval(alive);
    `;
    this.child = spawn(process.execPath, ['--input-type=module', '-e', program, '--', 'tandem-agent', '--run-dir', join(dir, 'run'), ...argv], {
      stdio: ['ignore', 'pipe', errors], env: {}, cwd: import.meta.dirname,
    });
    this.child.stdout!.setEncoding('utf8').on('data', (piece: string) => { this.stdout += piece; });
    this.child.stderr?.setEncoding('utf8').on('data', (piece: string) => { this.stderr += piece; });
    this.ended = once(this.child, 'close').then(([code]) => code as number | null);
  }

  /** The errors that were logged, by message. Their order is not looked at: a write under way may end after one at the exit. */
  errors(): unknown[] {
    const lines = this.stderr.split('\n').filter((line) => line.startsWith('{'));
    const logged = lines.map((line) => JSON.parse(line) as { readonly level: string; readonly message: string });
    return logged.filter(({ level }) => level === 'error').sort((a, b) => (a.message < b.message ? -1 : 1));
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  said(text: string): Promise<void> {
    return until(text, DEADLINE_MS, () => this.stdout.includes(text));
  }

  end(): Promise<number | null> {
    return within('the end', DEADLINE_MS, this.ended);
  }

  kill(): Promise<unknown> {
    this.child.kill('SIGKILL');
    return this.ended;
  }
}

function daemon(t: Test, start: Start, ...argv: readonly string[]): Daemon {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-'));
  const started = new Daemon(dir, start, ['--upstream', '127.0.0.1:1', ...(argv.includes('--state-dir') ? [] : ['--state-dir', join(dir, 'state')]), ...argv]);
  t.teardown(async () => {
    await started.kill();
    rmSync(dir, { recursive: true, force: true });
  });
  return started;
}

t.test('each complaint about the settings has the daemon\'s name in front', async (t) => {
  const run = daemon(t, SERVES, '--slots', '1', '--policy-port', '70000');
  t.equal(await run.end(), 64);
  const lines = run.stderr.trimEnd().split('\n');
  t.ok(lines.length >= 2, run.stderr);
  for (const line of lines) t.match(line, /^tandem-agent: /);
  t.equal(run.stdout, '', 'nothing was started');
});

t.test('what was asked for is printed, and nothing is started', async (t) => {
  const run = daemon(t, SERVES, '--version');
  t.equal(await run.end(), 0);
  t.equal(run.stdout, '1.2.3\n');
});

t.test('a signal to end stops what runs, and the exit is clean', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const run = daemon(t, SERVES);
    await run.said('started');
    run.signal(signal);
    t.equal(await run.end(), 0);
    t.match(run.stdout, 'stopped');
    t.match(run.stderr, 'draining');
  }
});

t.test('standard error on a full disk, or with a reader that has stopped, holds up nothing', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const fifo = join(dir, 'fifo');
  execFileSync('mkfifo', [fifo]);
  const much = 'for (let i = 0; i < 1000; i++) context.log.info("x".repeat(1000));';
  for (const fd of [openSync('/dev/full', 'w'), openSync(fifo, 'r+')]) {
    const run = new Daemon(dir, `${much} ${SERVES}`, ['--upstream', '127.0.0.1:1', '--state-dir', join(dir, 'state')], fd);
    t.teardown(() => run.kill());
    await run.said('started');
    run.signal('SIGTERM');
    t.equal(await run.end(), 0);
    t.match(run.stdout, 'stopped');
    closeSync(fd);
  }
});

t.test('a second signal does not wait', async (t) => {
  const run = daemon(t, 'setImmediate(() => say("started")); return opened(() => { say("stopping"); return new Promise(() => undefined); })');
  await run.said('started');
  run.signal('SIGTERM');
  await run.said('stopping');
  run.signal('SIGTERM');
  t.equal(await run.end(), 0);
});

t.test('a stop that fails is told, with the code of a broken invariant', async (t) => {
  const run = daemon(t, 'setImmediate(() => say("started")); return opened(async () => { throw new Error("it sticks"); })');
  await run.said('started');
  run.signal('SIGTERM');
  t.equal(await run.end(), 70);
  t.match(run.errors(), [{ message: 'draining failed', code: 'INTERNAL', error: { message: 'it sticks', stack: /Error: it sticks\n +at / } }]);
});

t.test('a stop that fails keeps nothing else from being closed, and each one that fails is told', async (t) => {
  const run = daemon(t, `
    context.onStop(() => say('first opened'));
    context.onStop(() => { throw new Error('one sticks'); });
    context.onStop(() => say('second opened'));
    context.onStop(async () => { throw new AppError('LINK', 'another sticks'); });
    setImmediate(() => say('started'));
    return opened(() => say('last opened'));
  `);
  await run.said('started');
  run.signal('SIGTERM');
  t.equal(await run.end(), 70);
  t.match(run.stdout, 'last opened\nsecond opened\nfirst opened\n');
  t.match(run.errors(), [{
    message: 'draining failed', code: 'INTERNAL',
    error: { errors: [{ code: 'LINK', message: 'another sticks', stack: / +at / }, { message: 'one sticks', stack: / +at / }] },
  }]);
});

t.test('what is to be closed first is closed before what was opened later', async (t) => {
  const run = daemon(t, `
    context.onStop(() => say('opened first'));
    context.onStopFirst(() => say('source'));
    setImmediate(() => say('started'));
    return opened(() => say('opened last'));
  `);
  await run.said('started');
  run.signal('SIGTERM');
  t.equal(await run.end(), 0);
  t.match(run.stdout, 'source\nopened last\nopened first\n');
});

t.test('SIGHUP rereads', async (t) => {
  const run = daemon(t, SERVES);
  await run.said('started');
  run.signal('SIGHUP');
  await run.said('reloaded');
});

t.test('a start that fails ends with the error\'s own code', async (t) => {
  for (const [code, exit] of [['UNAVAILABLE', 69], ['CONFIGURATION', 65], ['LIMIT', 69]] as const) {
    const run = daemon(t, `throw new AppError('${code}', 'there is none')`);
    t.equal(await run.end(), exit);
    t.match(run.errors(), [{ message: 'there is none', code }]);
  }
});

t.test('a start that meets a fault of ours ends with code 70, and the log has its stack', async (t) => {
  const run = daemon(t, 'context.onStop(() => { throw new Error("it sticks"); }); undefined.length');
  t.equal(await run.end(), 70);
  t.match(run.errors(), [
    { message: 'closing failed', code: 'INTERNAL', error: { message: 'it sticks' } },
    { message: 'the start failed', code: 'INTERNAL', error: { message: /undefined/, stack: /TypeError: .*\n +at / } },
  ]);
});

t.test('an error that nobody caught, and a broken invariant, end with code 70', async (t) => {
  for (const how of ['setImmediate(() => { throw new Error("broken"); })', 'Promise.reject(new Error("broken"))', 'setImmediate(() => context.fail(new Error("broken")))']) {
    const run = daemon(t, `${how}; ${SERVES}`);
    t.equal(await run.end(), 70, how);
    t.match(run.errors(), [{ message: /^an invariant is broken/, error: { message: 'broken' } }]);
  }
});

t.test('a folder that cannot be made is named with its flag', async (t) => {
  const run = daemon(t, SERVES, '--state-dir', '/proc/nowhere');
  t.equal(await run.end(), 69);
  t.match(run.errors(), [{ code: 'UNAVAILABLE', message: /^--state-dir.*\/proc\/nowhere|\/proc\/nowhere.*--state-dir/ }]);
});

t.test('SIGTERM while a successor takes over waits for what is being closed, and a SIGHUP does nothing any more', async (t) => {
  const run = daemon(t, `
    context.onStop(() => say('last'));
    let settle;
    const settled = new Promise((resolve) => { settle = resolve; });
    context.onStop(async () => { say('closing'); await settled; say('closed'); });
    setImmediate(() => context.onSucceeded());
    // Not before the signals were heard.
    let heard = 0;
    for (const signal of ['SIGHUP', 'SIGTERM']) process.on(signal, () => { if (++heard === 2) setImmediate(() => settle()); });
    return { reload: () => say('reloaded') };
  `);
  await run.said('closing');
  run.signal('SIGHUP');
  run.signal('SIGTERM');
  t.equal(await run.end(), 0);
  t.match(run.stdout, /closing\nclosed\nlast\n/);
  t.notMatch(run.stdout, /reloaded/);
});
