import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { loadSettings } from '../control/settings-load.js';
import { RecordingLog } from '../pair/testing/members.js';
import type { DaemonContext } from '../run-daemon.js';
import { startMember } from './start-member.js';
import { SlowKernel } from './testing/slow-kernel.js';

class Left extends SlowKernel {
  readonly socket: string;
  /** Whether it was there at the last moment. */
  wasThere: boolean | null = null;

  constructor(socket: string) {
    super();
    this.socket = socket;
  }

  override async leave(): Promise<void> {
    await setImmediate();
    this.wasThere = existsSync(this.socket);
  }
}

t.test('the API of a member answers until it writes into the kernel no more', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-'));
  t.teardown(() => { rmSync(dir, { recursive: true }); });
  const loaded = loadSettings({ role: 'agent', version: '0', argv: ['--run-dir', dir, '--state-dir', dir, '--listen', '127.0.0.1:1', '--http-listen', '127.0.0.1:0'], env: {} });
  if (loaded.kind !== 'settings') throw new Error('there are no settings');
  const closers: (() => void | Promise<void>)[] = [];
  const context: DaemonContext = {
    settings: loaded.settings, version: '0', log: new RecordingLog(), fail: (error) => { throw error; },
    onStop: (close) => closers.push(() => close({ awaitsPeer: false })), onStopFirst: () => undefined, onSucceeded: () => undefined,
  };
  const kernel = new Left(join(dir, 'agent.sock'));
  const { member } = await startMember(context, kernel, []);
  await member.stop(false);
  for (const close of closers.reverse()) await close();
  t.strictSame([kernel.wasThere, existsSync(kernel.socket)], [true, false]);
});
