/**
 * A daemon's outside without its inside, for tests of `tandem up`: the flags, the API on its sockets, SIGINT. The node name says
 * how it ends: `dies-ROLE` is never ready and exits with 69 once the other is there, `stubborn-ROLE` exits with 70 on SIGINT, `slow-ROLE`
 * takes a while to drain. A second SIGINT is answered with exit code 71.
 */
import { existsSync } from 'node:fs';
import { exitCodeOf, formatSocketAddress, type Role } from '@tandem/core';
import { apiSocketPath, ensurePrivateDir, loadSettings, startHttpServers, type HttpServers } from '@tandem/host';
import { FakeView } from './fake-view.js';

const SLOW_MS = 300;
const LOOK_MS = 20;

const role = process.argv[2] as Role;
const say = (text: string): void => { process.stderr.write(`${text}\n`); };

async function serve(): Promise<void> {
  const loaded = loadSettings({ role, version: '0', argv: process.argv.slice(3), env: process.env });
  if (loaded.kind === 'text') throw new Error('help was asked');
  const { settings } = loaded;
  ensurePrivateDir(settings.runDir, '--run-dir');
  let servers: HttpServers | null = null;
  const isOneThat = (manner: string): boolean => settings.nodeName === `${manner}-${role}`;
  let signals = 0;
  process.on('SIGINT', () => {
    if (++signals > 1) process.exit(71);
    say('draining');
    setTimeout(() => { void servers?.close().then(() => process.exit(isOneThat('stubborn') ? 70 : 0)); }, isOneThat('slow') ? SLOW_MS : 0);
  });
  const view = new FakeView(role, formatSocketAddress(settings.httpListen));
  if (isOneThat('dies')) view.isReady = false;
  const log = { debug: say, info: say, warn: say, error: say };
  servers = await startHttpServers({ listen: settings.httpListen, unixPath: apiSocketPath(settings.runDir, role), log }, view);
  say(`argv ${JSON.stringify(process.argv.slice(3))}`);
  const other = apiSocketPath(settings.runDir, role === 'agent' ? 'dns-proxy' : 'agent');
  if (isOneThat('dies')) setInterval(() => { if (existsSync(other)) process.exit(69); }, LOOK_MS);
}

serve().catch((error: unknown) => {
  say(String(error));
  process.exit(exitCodeOf(error));
});
