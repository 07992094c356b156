/** Both images, assembled and run: what is in them is enough, and what the pod may do is enough. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { repositoryRoot } from '../../harness/repository.js';
import { temporaryFolder } from '../../harness/temporary.js';
import { DEADLINE_MS, until } from '../../harness/until.js';
import { CAPABILITIES } from '../rules.js';
import { Container, type Mount } from './container.js';
import { assemble, type Image } from './image.js';

const ROLES = ['agent', 'dns-proxy'] as const;
type Role = (typeof ROLES)[number];
const PORT: Readonly<Record<Role, number>> = { agent: 9964, 'dns-proxy': 9965 };
/** NET_BIND_SERVICE 10, NET_ADMIN 12, NET_RAW 13, IPC_LOCK 14, SYS_NICE 23. */
const CAPABILITY_MASK = (1n << 10n) | (1n << 12n) | (1n << 13n) | (1n << 14n) | (1n << 23n);
const SHELLS = ['sh', 'bash', 'dash', 'busybox'];

const node = temporaryFolder('tandem-node-');
const runDir = join(node, 'run');
mkdirSync(runDir, { mode: 0o755 });
const images: Readonly<Record<Role, Image>> = { agent: assemble('agent'), 'dns-proxy': assemble('dns-proxy') };
const living = new Map<Role, Container>();
t.teardown(async () => {
  for (const container of living.values()) await container.kill();
});

function mountsOf(role: Role): Mount[] {
  const [state, configuration] = ['state', 'etc'].map((name) => mkdtempSync(join(node, `${name}-`)));
  const settings = ['mode: transparent', 'datapath: nftables'];
  if (role === 'agent') {
    const manifests = join(configuration, 'manifests');
    mkdirSync(manifests);
    for (const file of readdirSync(join(repositoryRoot, 'examples/quickstart'))) writeFileSync(join(manifests, file), readFileSync(join(repositoryRoot, 'examples/quickstart', file)));
    settings.push('manifests: /etc/tandem/manifests');
  }
  writeFileSync(join(configuration, 'tandem.yaml'), `${settings.join('\n')}\n`);
  return [{ from: runDir, to: '/run/tandem' }, { from: state, to: `/var/lib/tandem/${role}` }, { from: configuration, to: '/etc/tandem' }];
}

function start(role: Role): Container {
  const image = images[role];
  const container = new Container({
    image, argv: [...image.stage.entrypoint, '--config', '/etc/tandem/tandem.yaml'], capabilities: CAPABILITIES, mounts: mountsOf(role), environment: { TANDEM_NODE_NAME: 'node-a' },
  });
  living.set(role, container);
  return container;
}

/** As `kubectl exec` does. */
async function exec(role: Role, argv: readonly string[], capabilities = CAPABILITIES): Promise<{ readonly code: number | null; readonly output: string; readonly standardOutput: string }> {
  const container = new Container({ image: images[role], argv, capabilities, mounts: [{ from: runDir, to: '/run/tandem' }] });
  const { code } = await container.ended();
  return { code, output: container.output, standardOutput: container.standardOutput };
}

function answers(role: Role, path: string): Promise<string> {
  return until(`${role} answers ${path}`, DEADLINE_MS, async () => {
    const response = await fetch(`http://127.0.0.1:${String(PORT[role])}${path}`);
    return response.status === 200 ? response.text() : null;
  });
}

const tables = (): string[] => execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' }).split('\n').filter((line) => line.includes('tandem'));

t.test('there is neither a shell nor a compiler in an image', (t) => {
  for (const role of ROLES) {
    const folders = ['bin', 'usr/bin', 'usr/local/bin', 'sbin', 'usr/sbin'].map((folder) => join(images[role].tree, folder)).filter((folder) => existsSync(folder));
    t.strictSame(folders.flatMap((folder) => readdirSync(folder)).filter((name) => SHELLS.includes(name) || /^(?:g\+\+|gcc|make|npm)$/.test(name)), []);
    t.strictSame(readdirSync(join(images[role].tree, 'app')).sort(), ['LICENSE', 'node_modules', 'packages']);
  }
  t.end();
});

t.test('both members start in their images, enforce in the kernel, and answer probes', async (t) => {
  for (const role of ROLES) start(role);
  for (const role of ROLES) {
    t.equal(await answers(role, '/healthz'), 'ok\n');
    t.equal(await answers(role, '/readyz'), 'ok\n');
    const pid = await living.get(role)!.pid();
    const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8');
    for (const set of ['CapEff', 'CapPrm', 'CapBnd']) t.equal(BigInt(`0x${new RegExp(`^${set}:\\s*(\\w+)$`, 'm').exec(status)![1]}`), CAPABILITY_MASK, `${role}: ${set}`);
    t.match(status, /^NoNewPrivs:\s*1$/m);
    t.match(readFileSync(`/proc/${String(pid)}/mountinfo`, 'utf8'), / \/ ro[, ]/, `${role}: the root file system cannot be written`);
  }
  t.strictSame(tables().sort(), ['table inet tandem', 'table inet tandem-guard', 'table inet tandem-input']);
});

t.test('both hold each other\'s sockets and memory', async (t) => {
  const redundant = await until('the pair is redundant', DEADLINE_MS, async () => {
    const metrics = await Promise.all(ROLES.map((role) => answers(role, '/metrics')));
    return metrics.every((text) => /^tandem_redundant\{[^}]*\} 1$/m.test(text)) ? metrics : null;
  });
  t.equal(redundant.length, 2);
});

t.test('tandem status, and an archive of bugtool, work in the image', async (t) => {
  for (const role of ROLES) {
    const status = await exec(role, ['/usr/local/bin/tandem', 'status', '--member', role]);
    t.equal(status.code, 0, status.output);
    t.match(status.standardOutput, role);
    const bugtool = await exec(role, ['/usr/local/bin/tandem', 'bugtool', '/tmp/findings.tar.gz']);
    t.equal(bugtool.code, 0, bugtool.output);
    t.match(bugtool.standardOutput, /\/tmp\/findings\.tar\.gz: \d+ of \d+ parts/);
  }
});

t.test('what is in the kernel stays while a member lives, ends with the clean-up, and needs NET_ADMIN alone', async (t) => {
  const clean = ['/usr/local/bin/tandem', 'bugtool', '--clean-datapath'];
  for (const role of ROLES) {
    t.match(await exec('agent', clean, ['NET_ADMIN']), { code: 69, output: /: stop both daemons first/ }, `refused beside ${role}`);
    t.ok(tables().length > 0);
    t.strictSame(await living.get(role)!.stop(), { code: 0, signal: null }, living.get(role)!.output.slice(-2000));
    living.delete(role);
  }
  t.ok(tables().length > 0, 'closed names stay closed');
  const cleaned = await exec('agent', clean, ['NET_ADMIN']);
  t.equal(cleaned.code, 0, cleaned.output);
  t.strictSame(tables(), []);
});
