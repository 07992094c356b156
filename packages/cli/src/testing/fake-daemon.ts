/**
 * A daemon's outside without its inside, for tests of `tandem up`: the flags, the API on its sockets, SIGTERM. The node name says
 * how it ends: `dies-ROLE` exits with 69 once it is ready, `stubborn-ROLE` exits with 70 on SIGTERM.
 */
import { exitCodeOf, formatSocketAddress, type Role } from '@tandem/core';
import { apiSocketPath, ensurePrivateDir, loadSettings, startHttpServers, type HttpServers } from '@tandem/host';
import { FakeView } from './fake-view.js';

const role = process.argv[2] as Role;
const say = (text: string): void => { process.stderr.write(`${text}\n`); };

async function serve(): Promise<void> {
  const loaded = loadSettings({ role, version: '0', argv: process.argv.slice(3), env: process.env });
  if (loaded.kind === 'text') throw new Error('help was asked');
  const { settings } = loaded;
  ensurePrivateDir(settings.runDir, '--run-dir');
  let servers: HttpServers | null = null;
  process.once('SIGTERM', () => {
    say('draining');
    void servers?.close().then(() => process.exit(settings.nodeName === `stubborn-${role}` ? 70 : 0));
  });
  const view = new FakeView(role, formatSocketAddress(settings.httpListen));
  const log = { debug: say, info: say, warn: say, error: say };
  servers = await startHttpServers({ listen: settings.httpListen, unixPath: apiSocketPath(settings.runDir, role), log }, view);
  say(`argv ${JSON.stringify(process.argv.slice(3))}`);
  if (settings.nodeName === `dies-${role}`) process.exit(69);
}

serve().catch((error: unknown) => {
  say(String(error));
  process.exit(exitCodeOf(error));
});
