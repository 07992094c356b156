import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import type { Role } from '@tandem/core';
import { runCli } from '../program.js';
import { FakeIo } from '../testing/fake-io.js';
import { freePort } from '../testing/free-port.js';

const FAKE_DAEMON = fileURLToPath(new URL('../testing/fake-daemon.js', import.meta.url));

interface Running {
  readonly runDir: string;
  readonly port: number;
  readonly output: { out: string; err: string };
  /** Its output can't be written any more. */
  readonly loseOutput: () => void;
  /** The exit code. */
  readonly done: Promise<number>;
}

/** `tandem up` with stand-ins for the daemons. */
async function up(t: Test, flags: readonly string[], onOut: (text: string) => void = () => undefined, onErr: (all: string) => void = () => undefined): Promise<Running> {
  const runDir = mkdtempSync(join(tmpdir(), 'tandem-up-'));
  t.teardown(() => { rmSync(runDir, { recursive: true }); });
  const programs = Object.fromEntries((['agent', 'dns-proxy'] as const).map((role) => {
    const path = join(runDir, `fake-${role}`);
    writeFileSync(path, `#!/bin/sh\nexec "${process.execPath}" "${FAKE_DAEMON}" ${role} "$@"\n`);
    chmodSync(path, 0o755);
    return [role, path];
  })) as Record<Role, string>;
  const port = await freePort();
  const output = { out: '', err: '' };
  const io = new FakeIo({
    env: { PATH: process.env.PATH! },
    onOut: (text) => {
      output.out += text;
      onOut(text);
    },
    onErr: (text) => {
      output.err += text;
      onErr(output.err);
    },
  });
  const done = runCli(['up', '--listen', `127.0.0.1:${port}`, '--http-listen', '127.0.0.1:0', '--run-dir', runDir, ...flags], io, programs).then(() => io.code);
  return { runDir, port, output, loseOutput: () => { io.outputLost?.(); }, done };
}

function argvOf(role: Role, err: string): string[] {
  const line = err.split('\n').find((text) => text.startsWith(`${role.padEnd(9)} | argv `))!;
  return JSON.parse(line.slice(line.indexOf('['))) as string[];
}

t.test('it starts both on the embedded default, says what to try, and stops both after --for', async (t) => {
  const { output, done, port, runDir } = await up(t, ['--for', '50ms']);
  t.equal(await done, 0, output.err);
  t.match(output.out, new RegExp(`agent \\(pid \\d+\\) and dns-proxy \\(pid \\d+\\) share 127\\.0\\.0\\.1:${port}\\.`));
  t.equal(output.out.match(new RegExp(`dig -b 127\\.0\\.1\\.[12] -p ${port} @127\\.0\\.0\\.1 \\S+\\.shop\\.example`, 'g'))!.length, 3);
  t.match(output.err, /^agent {5}\| draining$/m);
  t.match(output.err, /^dns-proxy \| draining$/m);
  const agent = argvOf('agent', output.err);
  const dnsProxy = argvOf('dns-proxy', output.err);
  t.match(agent.join(' '), /--manifests=\S*examples\/quickstart/);
  t.notMatch(dnsProxy.join(' '), '--manifests');
  for (const [role, argv] of [['agent', agent], ['dns-proxy', dnsProxy]] as const) {
    t.match(argv.join(' '), /--upstream=127\.0\.0\.153:\d+/, role);
    t.ok(argv.includes(`--state-dir=${runDir}/state/${role}`), role);
    t.ok(argv.includes(`--listen=127.0.0.1:${port}`), role);
  }
});

t.test("what is given replaces the default, and each daemon gets its own part", async (t) => {
  const { output, done } = await up(t, ['--for=50ms', '--upstream', '192.0.2.1:53', '--manifests=/tmp', '--state-dir', '/tmp/s', '--policy-audit-mode']);
  t.equal(await done, 0, output.err);
  t.notMatch(output.out, 'dig');
  t.ok(['--manifests=/tmp', '--upstream=192.0.2.1:53', '--state-dir=/tmp/s/agent', '--policy-audit-mode=true'].every((flag) => argvOf('agent', output.err).includes(flag)));
  t.ok(argvOf('dns-proxy', output.err).includes('--state-dir=/tmp/s/dns-proxy'));
});

t.test('SIGTERM stops both', async (t) => {
  const { done, output } = await up(t, [], (text) => { if (text.includes('Tandem is up')) process.kill(process.pid, 'SIGTERM'); });
  t.equal(await done, 0, output.err);
});

t.test('so does the end of whoever reads what it says', async (t) => {
  let lose = (): void => undefined;
  const { done, output, loseOutput } = await up(t, [], (text) => { if (text.includes('Tandem is up')) setImmediate(() => { lose(); }); });
  lose = loseOutput;
  t.equal(await done, 0, output.err);
  for (const role of ['agent', 'dns-proxy']) t.match(output.err, new RegExp(`^${role} *\\| draining$`, 'm'));
});

t.test('a daemon that dies during the start is named, stops the other, and gives the exit code', async (t) => {
  for (const role of ['agent', 'dns-proxy']) {
    const { done, output } = await up(t, ['--node-name', `dies-${role}`]);
    t.equal(await done, 69, output.err);
    t.match(output.err, `tandem: ${role} exited with code 69; stopping the rest`);
    t.match(output.err, /\| draining/);
  }
});

/** Pids of both, once both are up. */
function pidsIn(out: string): Record<Role, number> | null {
  const found = /Tandem is up: agent \(pid (\d+)\) and dns-proxy \(pid (\d+)\)/.exec(out);
  return found === null ? null : { 'agent': Number(found[1]), 'dns-proxy': Number(found[2]) };
}

t.test('one that dies later is started again after a pause, while the other goes on', async (t) => {
  for (const role of ['agent', 'dns-proxy'] as const) {
    const other = role === 'agent' ? 'dns-proxy' : 'agent';
    let isStopped = false;
    const { done, output } = await up(t, [], (text) => {
      const pids = pidsIn(text);
      if (pids !== null) process.kill(pids[role], 'SIGKILL');
    }, (err) => {
      // Its second life: what was started again serves, and stops like the first.
      if (isStopped || err.split(`${role.padEnd(9)} | argv `).length < 3) return;
      isStopped = true;
      process.kill(process.pid, 'SIGTERM');
    });
    t.equal(await done, 0, output.err);
    t.match(output.err, `tandem: ${role} was ended by SIGKILL; ${other} goes on, ${role} is started again in 1 s\n`);
    t.match(output.err, new RegExp(`tandem: ${role} is started again \\(pid \\d+\\)\n`));
    t.equal(output.err.split('| draining').length, 3);
    t.equal(output.err.split(`${other.padEnd(9)} | argv `).length, 2, 'the other was left alone');
  }
});

t.test('when both are dead, it ends with the code of the last', async (t) => {
  let dnsProxy = 0;
  const { done, output } = await up(t, [], (text) => {
    const pids = pidsIn(text);
    if (pids === null) return;
    dnsProxy = pids['dns-proxy'];
    process.kill(pids.agent, 'SIGKILL');
  }, (err) => {
    if (dnsProxy !== 0 && err.includes('started again in 1 s')) process.kill(dnsProxy, 'SIGKILL');
    if (err.includes('started again in 1 s')) dnsProxy = 0;
  });
  t.equal(await done, 137, output.err);
  t.match(output.err, 'tandem: dns-proxy was ended by SIGKILL; stopping the rest');
  t.notMatch(output.err, 'is started again (pid');
});

t.test('the end while one is waited for is unclean', async (t) => {
  const { done, output } = await up(t, [], (text) => {
    const pids = pidsIn(text);
    if (pids !== null) process.kill(pids.agent, 'SIGKILL');
  }, (err) => { if (err.endsWith('started again in 1 s\n')) process.kill(process.pid, 'SIGTERM'); });
  t.equal(await done, 137, output.err);
  t.match(output.err, /^tandem: agent was ended by SIGKILL$/m);
});

t.test('a daemon that does not stop cleanly makes the end unclean', async (t) => {
  const { done, output } = await up(t, ['--for', '50ms', '--node-name', 'stubborn-dns-proxy']);
  t.equal(await done, 70, output.err);
  t.match(output.err, 'tandem: dns-proxy exited with code 70');
});

t.test('a daemon that takes longer to drain is left to finish', async (t) => {
  for (const role of ['agent', 'dns-proxy']) {
    const { done, output } = await up(t, ['--for', '50ms', '--node-name', `slow-${role}`]);
    t.equal(await done, 0, output.err);
  }
});

t.test('a taken port is refused with a remedy before anything is started', async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => { taken.listen(0, '127.0.0.1', resolve); });
  t.teardown(() => taken.close());
  const { port } = taken.address() as { port: number };
  const { done, output } = await up(t, ['--listen', `127.0.0.1:${port}`]);
  t.equal(await done, 69);
  t.match(output, { out: '', err: `tandem: --listen 127.0.0.1:${port}: the port is taken; stop what listens there or choose another with --listen\n` });
});

t.test('a run-dir that cannot be had is a clear end', async (t) => {
  const { done, output } = await up(t, ['--for', '50ms', '--run-dir', '/proc/nope']);
  t.not(await done, 0);
  t.match(output.err, /--run-dir/);
});
