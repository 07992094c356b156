/** What tests of commands share: one command line run in this process, folders that go, a pair of fake daemons. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { Role } from '@tandem/core';
import { apiSocketPath, type HttpServers, startHttpServers } from '@tandem/host';
import { runCli } from '../program.js';
import { FakeIo, type FakeOptions } from './fake-io.js';
import { FakeView } from './fake-view.js';

export interface Result {
  readonly out: string;
  readonly err: string;
  readonly code: number;
  readonly questions: readonly string[];
}

/** Runs one command line; `runDir` is where it looks for the daemons when it does not say. */
export async function tandem(runDir: string, argv: readonly string[], options: FakeOptions = {}): Promise<Result> {
  const io = new FakeIo({ ...options, env: { TANDEM_RUN_DIR: runDir, ...options.env } });
  await runCli(argv, io);
  return { out: io.stdout, err: io.stderr, code: io.code, questions: io.questions };
}

export function folder(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-cli-'));
  t.teardown(() => { rmSync(dir, { recursive: true }); });
  return dir;
}

export interface FakePair {
  readonly runDir: string;
  readonly views: readonly FakeView[];
  /** Ends the API of the member at this place among `views`. */
  readonly close: (index: number) => Promise<void>;
}

export async function pair(t: Test, roles: readonly Role[] = ['agent', 'dns-proxy']): Promise<FakePair> {
  const runDir = folder(t);
  const quiet = (): undefined => undefined;
  const views = roles.map((role) => new FakeView(role));
  const servers: readonly HttpServers[] = await Promise.all(views.map((view) => startHttpServers({
    listen: { address: '127.0.0.1', port: 0, family: 4 }, unixPath: apiSocketPath(runDir, view.role),
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
  }, view)));
  const closed = new Set<number>();
  const close = async (index: number): Promise<void> => {
    if (closed.has(index)) return;
    closed.add(index);
    await servers[index].close();
  };
  t.teardown(() => Promise.all(servers.map((_, index) => close(index))));
  return { runDir, views, close };
}
