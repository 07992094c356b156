import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import type { Role } from '@tandem/core';
import { dnsFlow, FakeObserver, giving, responseOf } from '../testing/fake-observer.js';
import { folder, pair, tandem } from '../testing/rig.js';

const FAKE_DAEMON = fileURLToPath(new URL('../testing/fake-daemon.js', import.meta.url));

interface Index {
  readonly members: readonly { readonly role: Role; readonly pid: number | null; readonly answers: boolean }[];
  readonly entries: readonly { readonly path: string; readonly bytes: number; readonly note?: string }[];
}

const indexOf = (dir: string): Index => JSON.parse(readFileSync(join(dir, 'index.json'), 'utf8')) as Index;
const contentOf = (dir: string): string => readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8')).join('\n');

/** A daemon's outside as a process of its own, so that it has an environment and a command line. */
async function daemon(t: Test, role: Role, runDir: string, env: Readonly<Record<string, string>>): Promise<number> {
  const child = spawn(process.execPath, [FAKE_DAEMON, role, '--run-dir', runDir, '--http-listen', '127.0.0.1:0'], {
    env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'ignore', 'pipe'],
  });
  t.teardown(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  });
  while (!String((await once(child.stderr, 'data'))[0]).includes('argv '));
  return child.pid!;
}

t.test('the archive has what both members say, flows, processes and kernel, and is its owner\'s alone', async (t) => {
  const { runDir, views } = await pair(t);
  for (const view of views) view.stateDir = runDir;
  const observer = new FakeObserver(giving(responseOf(dnsFlow())));
  await observer.listen(t, `unix:${join(runDir, 'agent-hubble.sock')}`);
  const dir = folder(t);
  const file = join(dir, 'out.tar.gz');
  const { out, code, err } = await tandem(runDir, ['bugtool', file, '--flows', '7']);
  t.equal(code, 0, err);
  t.match(out, /out\.tar\.gz: \d+ of \d+ parts, \d+ KiB\n/);
  t.equal(statSync(file).mode & 0o777, 0o600);
  t.strictSame(readdirSync(dir), ['out.tar.gz'], 'nothing is left beside it');
  execFileSync('tar', ['-xzf', file, '-C', dir]);
  const inside = join(dir, readdirSync(dir).find((name) => name.startsWith('tandem-bugtool-'))!);
  t.match(observer.asked, [{ number: 7n }]);
  const { entries, members } = indexOf(inside);
  t.match(members, [{ role: 'agent', pid: process.pid, answers: true }, { role: 'dns-proxy', answers: true }]);
  t.strictSame(entries.filter(({ path, note }) => note !== undefined && !/proc|kernel/.test(path)), []);
  for (const path of [
    'versions.json', 'agent/status.json', 'agent/settings.json', 'agent/endpoints.json', 'agent/policies.json', 'agent/cache.json', 'agent/readiness.txt', 'dns-proxy/status.json', 'flows.jsonl',
    'files.txt', 'agent/proc/status.txt', 'agent/proc/limits.txt', 'agent/proc/net/udp.txt', 'agent/proc/fd.txt', 'agent/proc/environ.txt', 'kernel/sysctl.txt', 'kernel/uname.txt', 'kernel/proc_meminfo.txt',
  ]) t.ok(existsSync(join(inside, path)) && entries.some((entry) => entry.path === path && entry.bytes > 0), path);
  t.match(JSON.parse(readFileSync(join(inside, 'agent/settings.json'), 'utf8')), { 'pair-tls-key': '/etc/tandem/pair-key.pem' });
  t.match(readFileSync(join(inside, 'flows.jsonl'), 'utf8'), /^\{"flow":/);
  t.match(readFileSync(join(inside, 'files.txt'), 'utf8'), /agent\.sock/);
  t.match(readFileSync(join(inside, 'kernel/sysctl.txt'), 'utf8'), /^net\.core\.rmem_max = \d+$/m);
});

t.test('planted secrets are not in it', async (t) => {
  const runDir = folder(t);
  const config = join(runDir, 'tandem.yaml');
  writeFileSync(config, 'node-name: node-b\n');
  const planted = 'PLANTED-7f3a91';
  await daemon(t, 'agent', runDir, {
    TANDEM_CONFIG: config, TANDEM_API_TOKEN: planted, DATABASE_PASSWORD: planted, SOME_VARIABLE: planted, PWD: '/', NODE_EXTRA_NOTE: `https://me:${planted}@registry.example/`,
  });
  // Written once it runs: a daemon refuses keys that it does not know.
  writeFileSync(config, `node-name: node-b\nvault:\n  client-secret: ${planted}\n  private_key: |\n    -----BEGIN PRIVATE KEY-----\n    ${planted}\n    -----END PRIVATE KEY-----\n`);
  const flow = dnsFlow();
  flow.source!.labels.push(`k8s:note=Bearer ${planted}`);
  const observer = new FakeObserver(giving(responseOf(flow)));
  await observer.listen(t, `unix:${join(runDir, 'agent-hubble.sock')}`);
  const dir = join(folder(t), 'out');
  t.match(await tandem(runDir, ['bugtool', '--dir', dir]), { code: 0 });
  const content = contentOf(dir);
  t.notMatch(content, planted);
  t.match(content, 'TANDEM_API_TOKEN=[redacted]');
  t.match(content, 'SOME_VARIABLE (not shown)');
  t.match(content, /^PWD \(not shown\)$/m);
  t.match(readFileSync(join(dir, 'agent/config.yaml'), 'utf8'), 'node-name: node-b\nvault:\n  client-secret: "[redacted]"');
  t.match(content, 'client-secret');
});

t.test('a dead half, or both, is noted, and the rest is there', async (t) => {
  const { runDir, close } = await pair(t);
  await close(0);
  const dir = join(folder(t), 'out');
  const { out, code } = await tandem(runDir, ['bugtool', '--dir', dir]);
  t.equal(code, 0);
  t.match(out, /Not there, or not whole\n {2}agent\/status\.json +agent: not running\n/);
  t.match(indexOf(dir).members, [{ role: 'agent', pid: null, answers: false }, { role: 'dns-proxy', answers: true }]);
  t.ok(existsSync(join(dir, 'dns-proxy/status.json')));
  await close(1);
  const other = join(folder(t), 'out');
  const report = JSON.parse((await tandem(runDir, ['bugtool', '--dir', other, '-o', 'json'])).out) as { path: string; entries: { path: string; note?: string }[] };
  t.equal(report.path, other);
  t.match(report.entries.find(({ path }) => path === 'flows.jsonl')?.note, /not running/);
  t.ok(existsSync(join(other, 'kernel/uname.txt')));
});

t.test('beside a member that answers the kernel is not cleaned', async (t) => {
  const { runDir, close } = await pair(t);
  await close(0);
  t.match(await tandem(runDir, ['bugtool', '--clean-datapath']), { code: 69, out: '', err: /dns-proxy still answers, .*: stop both daemons first/ });
});

t.test('one member alone is collected where that is asked', async (t) => {
  const { runDir } = await pair(t);
  const dir = join(folder(t), 'out');
  t.match(await tandem(runDir, ['bugtool', '--dir', dir, '--member', 'dns-proxy']), { code: 0 });
  t.strictSame(indexOf(dir).members.map(({ role }) => role), ['dns-proxy']);
  t.strictSame([existsSync(join(dir, 'dns-proxy/status.json')), existsSync(join(dir, 'agent'))], [true, false]);
  for (const [command, text] of [['status', /in detail \(default: both\)/], ['drain', /it has to be said/], ['bugtool', /\(default: both\)/], ['observe', /whichever answers/]] as const) {
    t.match((await tandem(runDir, [command, '--help'])).out.replaceAll(/\s+/g, ' '), text, command);
  }
});

t.test('a member that hangs is found by its socket', async (t) => {
  const runDir = folder(t);
  const pid = await daemon(t, 'dns-proxy', runDir, {});
  process.kill(pid, 'SIGSTOP');
  t.teardown(() => { process.kill(pid, 'SIGCONT'); });
  const dir = join(folder(t), 'out');
  t.match(await tandem(runDir, ['bugtool', '--dir', dir]), { code: 0 });
  t.match(indexOf(dir).members, [{ role: 'agent', answers: false }, { role: 'dns-proxy', pid, answers: false }]);
  t.match(readFileSync(join(dir, 'dns-proxy/proc/status.txt'), 'utf8'), /State:\s+T \(stopped\)/);
});

t.test('what a member says of its number is not believed: in another PID namespace somebody else has it', async (t) => {
  const { runDir, views: [agent] } = await pair(t);
  const other = spawn('sleep', ['60']);
  t.teardown(() => { other.kill('SIGKILL'); });
  agent.change = (status) => ({ ...status, pid: other.pid! });
  const dir = join(folder(t), 'out');
  t.match(await tandem(runDir, ['bugtool', '--dir', dir]), { code: 0 });
  t.match(indexOf(dir).members, [{ role: 'agent', pid: process.pid, answers: true }, { role: 'dns-proxy' }]);
  t.match(readFileSync(join(dir, 'agent/proc/status.txt'), 'utf8'), new RegExp(`^Pid:\\s+${process.pid}$`, 'm'));
});

t.test('it writes into no folder that is there, and shows where it is on a terminal alone', async (t) => {
  const { runDir } = await pair(t);
  const dir = folder(t);
  t.match(await tandem(runDir, ['bugtool', '--dir', dir]), { code: 69, err: /is there already/ });
  t.match(await tandem(runDir, ['bugtool', join(dir, 'none', 'x.tar.gz')]), { code: 69, err: /x\.tar\.gz: cannot be written: ENOENT/ });
  t.match(await tandem(runDir, ['bugtool', 'x', '--dir', 'y']), { code: 64, err: /either a FILE or --dir/ });
  mkdirSync(join(dir, 'sub'));
  const { err } = await tandem(runDir, ['bugtool', '--dir', join(dir, 'out')], { showsProgress: true });
  t.match(err, /\r\[1\/\d+\] versions\.json\x1b\[K/);
  t.match(err, /\r\x1b\[K$/);
  t.equal((await tandem(runDir, ['bugtool', '--dir', join(dir, 'again')])).err, '');
});
