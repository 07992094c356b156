import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { AppError, environmentNameOf, flagOf, SETTINGS, type Settings } from '@tandem/core';
import { firstResolver, loadSettings, type LoadRequest } from './settings-load.js';

const dir = mkdtempSync(join(tmpdir(), 'tandem-settings-'));
const resolvConfPath = join(dir, 'resolv.conf');
writeFileSync(resolvConfPath, 'search intra\nnameserver 192.0.2.53\n');
t.teardown(() => { rmSync(dir, { recursive: true }); });

function load(request: Partial<LoadRequest>): Settings {
  const loaded = loadSettings({ role: 'agent', version: '1.2.3', argv: [], env: {}, resolvConfPath, ...request });
  if (loaded.kind === 'text') throw new Error(loaded.text);
  return loaded.settings;
}

function refusal(request: Partial<LoadRequest>): AppError {
  try {
    load(request);
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('was accepted');
}

function configFile(text: string): string {
  const path = join(dir, 'tandem.yaml');
  writeFileSync(path, text);
  return path;
}

t.test('argv goes before environment before file before default', (t) => {
  const config = configFile('slots: 100\nlog-level: warn\npolicy-port: 5353\nlisten:\n  - 127.0.0.1:5300\n  - "[::1]:5300"\n');
  const env = { TANDEM_SLOTS: '200', TANDEM_LOG_LEVEL: 'error', TANDEM_UPSTREAM: '192.0.2.1:53,192.0.2.2:53' };
  const settings = load({ argv: ['--config', config, '--slots', '300'], env });
  t.match(settings, { slots: 300, logLevel: 'error', policyPort: 5353, tcpConnections: 1024 });
  t.equal(settings.listen.length, 2);
  t.equal(settings.upstreams.length, 2);
  t.equal(load({ env: { TANDEM_CONFIG: config } }).slots, 100, 'the file may be named by the environment');
  t.strictSame(load({}).upstreams, [{ address: '192.0.2.53', port: 53, family: 4 }], 'resolv.conf');
  t.end();
});

t.test('fallbacks stand before the defaults, and what was written is told with its source', (t) => {
  const loaded = loadSettings({ role: 'agent', version: '1', argv: ['--slots', '64'], env: { TANDEM_NODE_NAME: 'n' }, fallbacks: () => ({ 'slots': '128', 'upstream': '192.0.2.9:53' }) });
  t.match(loaded, { settings: { slots: 64, upstreams: [{ address: '192.0.2.9' }] }, given: [{ name: 'node-name', from: 'environment' }, { name: 'slots', from: 'argv', texts: ['64'] }] });
  t.end();
});

t.test('flags take = or a blank, switches need no value, lists are repeated', (t) => {
  const settings = load({ argv: ['--slots=64', '--policy-audit-mode', '--tofqdns-enable-dns-compression=false', '--listen', '127.0.0.1:1', '--listen=127.0.0.1:2'] });
  t.match(settings, { slots: 64, auditMode: true, dnsCompression: false });
  t.equal(settings.listen.length, 2);
  t.end();
});

t.test('wrong flags are refused in one line that names the remedy', (t) => {
  const table: readonly [string[], RegExp][] = [
    [['--slot', '5'], /^unknown option '--slot'; did you mean --slots\? \(see tandem-agent --help\)$/],
    [['--zzzzzz'], /^unknown option '--zzzzzz' \(see/],
    [['--slots'], /argument missing/],
    [['start'], /^unexpected argument 'start' \(see/],
    [['--slot=5', 'x'], /^unknown option '--slot'; did you mean --slots\? \(see tandem-agent --help\)$/],
    [['-x'], /^unknown option '-x' \(see/],
    [['--slots', '1', '--slots', '2'], /allowed: one value/],
    [['--cilium-agent', '127.0.0.1:1'], /a setting of dns-proxy, not of agent/],
  ];
  for (const [argv, message] of table) t.match(refusal({ argv }), { code: 'USAGE', message }, argv.join(' '));
  for (const [argv, message] of [
    [['--kubernetes', '--manifests', 'x'], /^--kubernetes with --manifests: policy comes from one of them/],
    [['--kubeconfig', 'x'], /^--kubeconfig without --kubernetes/],
    [['--cluster-cidr', '10.0.0.0/8'], /^--cluster-cidr without --kubernetes/],
  ] as const) t.match(refusal({ argv: [...argv] }), { code: 'USAGE', message });
  t.end();
});

t.test('a complaint about a file names file, line and the nearest key', (t) => {
  const table: readonly [string, RegExp][] = [
    ['listen: 127.0.0.1:1\n\nslotz: 5\n', /tandem\.yaml:3: unknown setting "slotz"; did you mean slots\?$/],
    ['a: 1\nb: 2\n', /tandem\.yaml:1: unknown setting "a"\n.*tandem\.yaml:2: unknown setting "b"/],
    ['\nslots: 5\n', /tandem\.yaml:2: slots: "5" is not allowed; allowed: 64 to 32767$/],
    ['slots: 0x100\n', /"0x100" is not allowed/],
    ['slots: [64, 65]\n', /allowed: one value/],
    ['slots:\n', /tandem\.yaml:1: slots: a single value or a list of values is expected/],
    ['listen: []\n', /the list is empty/],
    ['listen: {a: b}\n', /a single value or a list/],
    ['slots: 64\nslots: 65\n', /tandem\.yaml:2: Map keys must be unique/],
    ['slots: 64\n---\nslots: 65\n', /tandem\.yaml:\d: a second YAML document begins; allowed: one$/],
    ['- slots\n', /a map of settings is expected/],
    ['slots: &a 64\ntcp-connections: *a\n', /tandem\.yaml:2: tcp-connections: a single value/],
    ['slots: "64\n', /tandem\.yaml:\d: Missing closing/],
    [`a: ${'['.repeat(5_000)}`, /tandem\.yaml:1: [^]* more complaints are not shown$/],
    ['? [a]\n: 1\n', /tandem\.yaml:1: /],
    ['kubernetes: maybe\n', /tandem\.yaml:1: kubernetes: "maybe" is not allowed; allowed: true, false/],
  ];
  for (const [text, message] of table) t.match(refusal({ argv: ['--config', configFile(text)] }).message, message, JSON.stringify(text));
  t.match(refusal({ argv: ['--config', join(dir, 'absent.yaml')] }), { code: 'CONFIGURATION', message: /absent\.yaml.*ENOENT/ });
  t.match(refusal({ argv: ['--config', configFile('#'.repeat(64 * 1024 + 1))] }), { code: 'CONFIGURATION', message: /larger than/ });
  t.equal(load({ argv: ['--config', configFile('')] }).slots, 8192, 'an empty file says nothing');
  t.equal(load({ argv: ['--config', configFile('manifests: x\n')], role: 'dns-proxy' }).manifestsDir, null, 'one file may serve both members');
  t.end();
});

t.test('a complaint about the environment names the variable', (t) => {
  t.match(refusal({ env: { TANDEM_SLOTS: '' } }), { code: 'CONFIGURATION', message: /^TANDEM_SLOTS: "" is not allowed/ });
  t.match(refusal({ env: { TANDEM_CONFIG: '' } }), { code: 'CONFIGURATION', message: /^TANDEM_CONFIG: "" is not allowed; allowed: the path of a file/ });
  t.match(refusal({ env: { TANDEM_CONFIG: dir } }), { code: 'CONFIGURATION', message: /^TANDEM_CONFIG .*EISDIR/ });
  t.match(refusal({ argv: ['--config='], env: { TANDEM_CONFIG: dir } }), { code: 'CONFIGURATION', message: /^--config: "" is not allowed/ });
  t.end();
});

t.test('one start shows what is wrong in flags, file and environment', (t) => {
  const config = configFile('slotz: 5\nlog-level: loud\nkubernetes: maybe\n');
  const { code, message } = refusal({ argv: ['--zzzzzz', '--policy-port=0', '--config', config], env: { TANDEM_SLOTS: '1' } });
  t.equal(code, 'USAGE');
  t.match(message.split('\n'), [/--zzzzzz/, /tandem\.yaml:1: unknown setting "slotz"/, /--policy-port: "0"/, /tandem\.yaml:3: kubernetes/, /TANDEM_SLOTS: "1"/, /tandem\.yaml:2: log-level: "loud"/]);
  t.equal(message.split('\n').length, 6);
  t.end();
});

t.test('a variable of our prefix that is no setting is told', (t) => {
  const noticesOf = (env: Readonly<Record<string, string>>): readonly string[] => {
    const loaded = loadSettings({ role: 'agent', version: '1', argv: [], env, resolvConfPath });
    return loaded.kind === 'settings' ? loaded.notices : [];
  };
  t.strictSame(noticesOf({ TANDEM_SLOTZ: '5', TANDEM_SLOTS: '64', TANDEMX: '', PATH: '' }), ['TANDEM_SLOTZ is in the environment and no setting; did you mean TANDEM_SLOTS?']);
  t.strictSame(noticesOf({ TANDEM_RUN_DIR: '/run/x', TANDEM_CONFIG: configFile(''), TANDEM_CILIUM_AGENT: '', TANDEM_NODE_FLAGS: '' }), [], "the CLI's, the launcher's, and the other role's");
  const many = noticesOf(Object.fromEntries(Array.from({ length: 15 }, (_, i) => [`TANDEM_${'Q'.repeat(30 + i)}`, ''])));
  t.equal(many.length, 11);
  t.equal(many.at(-1), '5 more variables TANDEM_… are no settings');
  t.end();
});

t.test("an upstream at one of this host's own addresses is a circle under a wildcard --listen", (t) => {
  const own = Object.values(networkInterfaces()).flatMap((rows) => rows ?? []).find(({ family, internal }) => family === 'IPv4' && !internal);
  t.equal(load({ argv: ['--listen=0.0.0.0:5353'], fallbacks: () => ({ upstream: '127.0.0.153:5353' }) }).upstreams.length, 1, 'a fallback may stand for what is known later');
  for (const address of ['127.0.0.9', ...own === undefined ? [] : [own.address]]) {
    t.match(refusal({ argv: ['--listen=0.0.0.0:5353', `--upstream=${address}:5353`] }), { code: 'CONFIGURATION', message: /circle/ }, address);
  }
  t.end();
});

t.test('the help text has every setting of this version, and every name of the others', (t) => {
  const loaded = loadSettings({ role: 'agent', version: '1.2.3', argv: ['--help'], env: {}, resolvConfPath });
  t.equal(loaded.kind, 'text');
  const text = loaded.kind === 'text' ? loaded.text : '';
  for (const row of SETTINGS) {
    if (row.roles?.includes('agent') !== false) t.match(text, flagOf(row), row.name);
    t.not(environmentNameOf(row), 'TANDEM_CONFIG');
  }
  t.notMatch(text, '--cilium-agent');
  t.match(loadSettings({ role: 'agent', version: '1.2.3', argv: ['--version'], env: {} }), { kind: 'text', text: '1.2.3\n' });
  t.end();
});

t.test('the first usable server of resolv.conf is taken', (t) => {
  const table: readonly [string, string | null][] = [
    ['nameserver 10.0.0.1\nnameserver 10.0.0.2\n', '10.0.0.1:53'], ['# nameserver 10.0.0.1\n  nameserver\t::1 # x\n', '[::1]:53'],
    ['nameserver fe80::1%eth0\nnameserver 10.0.0.2', '10.0.0.2:53'], ['options edns0\n', null], ['', null],
  ];
  for (const [text, resolver] of table) t.equal(firstResolver(text), resolver, JSON.stringify(text));
  t.end();
});
