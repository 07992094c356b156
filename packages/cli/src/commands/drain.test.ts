import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { folder, pair, tandem } from '../testing/rig.js';

const FAKE_DAEMON = fileURLToPath(new URL('../testing/fake-daemon.js', import.meta.url));

t.test('a member is drained only where somebody is left who answers, unless that is forced', async (t) => {
  const runDir = folder(t);
  const child = spawn(process.execPath, [FAKE_DAEMON, 'agent', '--run-dir', runDir, '--http-listen', '127.0.0.1:0'], { env: { PATH: process.env.PATH }, stdio: ['ignore', 'ignore', 'pipe'] });
  t.teardown(() => { child.kill('SIGKILL'); });
  const exit = once(child, 'exit');
  while (!String((await once(child.stderr, 'data'))[0]).includes('argv '));
  t.match(await tandem(runDir, ['drain', '--member', 'agent']), { code: 69, out: '', err: 'tandem: without agent nobody answers: dns-proxy: not running; -f drains it all the same\n' });
  t.equal(child.exitCode, null);
  const { out, err, code } = await tandem(runDir, ['drain', '--member', 'agent', '-f'], { showsProgress: true });
  t.equal(code, 0, err);
  t.match(out, new RegExp(`^agent \\(process ${child.pid}\\) has left in \\d+\\.\\d s; nobody answers now\n$`));
  t.match(err, /\ragent (?:was told|is ending)/);
  t.strictSame(await exit, [null, 'SIGTERM']);
});

t.test('a peer that is not ready, or holds nothing yet, keeps a member from being drained', async (t) => {
  const { runDir, views: [, dnsProxy] } = await pair(t);
  dnsProxy.isReady = false;
  t.match(await tandem(runDir, ['drain', '--member', 'agent']), { code: 69, err: /without agent nobody answers: dns-proxy: no policy snapshot yet/ });
  dnsProxy.isReady = true;
  dnsProxy.change = (status) => ({ ...status, dataPlane: { ...status.dataPlane, redundant: false } });
  t.match(await tandem(runDir, ['drain', '--member', 'agent']), { code: 69, err: /dns-proxy could not answer for agent yet/ });
});

t.test('a process that is not the one behind the socket is left alone', async (t) => {
  const { runDir, views: [agent] } = await pair(t);
  const other = spawn('sleep', ['60']);
  t.teardown(() => { other.kill('SIGKILL'); });
  agent.change = (status) => ({ ...status, pid: other.pid! });
  t.match(await tandem(runDir, ['drain', '--member', 'agent']), { code: 69, err: /is not the one behind its socket here/ });
  t.equal(other.signalCode, null);
});

t.test('it has to be said who, and how long at most', async (t) => {
  const { runDir } = await pair(t);
  t.match((await tandem(runDir, ['drain', '--help'])).out, /--timeout <DURATION> [^-]*\(default: 30s\)/);
  t.match(await tandem(runDir, ['drain']), { code: 64, err: /say which one/ });
  for (const timeout of ['0', 'x', '11m']) t.match(await tandem(runDir, ['drain', '--member', 'agent', '--timeout', timeout]), { code: 64, err: /up to 10m/ }, timeout);
  t.match(await tandem(folder(t), ['drain', '--member', 'agent']), { code: 69, err: /agent: not running/ });
});
