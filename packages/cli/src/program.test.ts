import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { PROTOCOL } from '@tandem/core';
import { parse } from 'yaml';
import { ENTRY, ROW } from './testing/fake-view.js';
import { folder, pair, tandem } from './testing/rig.js';

t.test('cache list has the columns and the JSON form of Cilium', async (t) => {
  const { runDir, views } = await pair(t);
  t.equal((await tandem(runDir, ['cache', 'list'])).out, [
    'Endpoint   Source   FQDN              TTL   ExpirationTime             IPs',
    '7          lookup   echo.k8s.intra.   30    2026-11-05T10:00:30.000Z   172.17.0.2,172.17.0.3', '',
  ].join('\n'));
  t.strictSame(JSON.parse((await tandem(runDir, ['cache', 'list', '-o', 'json'])).out), [ROW]);
  t.strictSame(parse((await tandem(runDir, ['cache', 'list', '-o', 'yaml'])).out), [ROW]);
  await tandem(runDir, ['cache', 'list', '-e', '7', '-p', '*.intra', '-s', 'connection']);
  t.strictSame(views[0].asked.at(-1), { matchPattern: '*.intra', endpointId: 7, source: 'connection' });
  t.equal(views[1].asked.length, 0, 'the agent is asked first');
  await tandem(runDir, ['cache', 'list', '--member', 'dns-proxy']);
  t.equal(views[1].asked.length, 1);
});

t.test('without an agent dns-proxy is asked, and without both there is a remedy', async (t) => {
  const { runDir } = await pair(t, ['dns-proxy']);
  t.match(await tandem(runDir, ['cache', 'list']), { code: 0, out: /echo\.k8s\.intra/ });
  t.match(await tandem(runDir, ['status', '--member', 'agent']), { code: 69, out: '', err: /^tandem: no member answers in .*agent: not running.*tandem up.*\n$/ });
  t.match(await tandem(join(runDir, 'elsewhere'), ['status']), { code: 69, err: /agent: not running; dns-proxy: not running/ });
  t.match(await tandem('/nowhere', ['status', '--run-dir', runDir]), { code: 0 });
});

t.test('cache clean asks, takes no for an answer, and refuses to guess without a terminal', async (t) => {
  const { runDir, views } = await pair(t);
  t.match(await tandem(runDir, ['cache', 'clean'], { says: false }), { code: 0, out: '', err: 'nothing was changed\n', questions: ['Forget all mappings?'] });
  t.match(await tandem(runDir, ['cache', 'clean'], { says: null }), { code: 64, out: '', err: /say -f/ });
  t.strictSame(views[0].asked, []);
  t.match(await tandem(runDir, ['cache', 'clean'], { says: true }), { code: 0, out: 'FQDN proxy cache cleared\n' });
  t.match(await tandem(runDir, ['cache', 'clean', '-f', '-p', '*.intra']), { code: 0, out: 'FQDN proxy cache cleared\n', questions: [] });
  t.strictSame(views[0].asked, [null, '*.intra']);
  t.strictSame(JSON.parse((await tandem(runDir, ['cache', 'clean', '-f', '-o', 'json'])).out), { removed: 2 });
});

t.test('cache export writes a file or standard output, whole, and for its owner alone', async (t) => {
  const { runDir } = await pair(t);
  const dir = folder(t);
  const file = join(dir, 'out.json');
  t.strictSame(JSON.parse((await tandem(runDir, ['cache', 'export'])).out), [ENTRY]);
  t.strictSame(JSON.parse((await tandem(runDir, ['cache', 'export', '-'])).out), [ENTRY]);
  t.match(await tandem(runDir, ['cache', 'export', file]), { code: 0, out: `2 mappings of 1 look-ups written to ${file}\n`, err: '' });
  t.strictSame(JSON.parse(readFileSync(file, 'utf8')), [ENTRY]);
  t.equal(statSync(file).mode & 0o777, 0o600);
  t.strictSame(JSON.parse((await tandem(runDir, ['cache', 'export', file, '-o', 'json'])).out), { file, entries: 1, mappings: 2 });
  t.strictSame(readdirSync(dir), ['out.json'], 'nothing is left beside it');
  t.match(await tandem(runDir, ['cache', 'export', join(dir, 'none', 'out.json')]), { code: 69, out: '', err: /out\.json: cannot be written: ENOENT/ });
  t.match(await tandem(runDir, ['cache', 'export', '-o', 'yaml']), { code: 64, err: /is JSON/ });
});

t.test('cache import sends a file or standard input, and says what became of it', async (t) => {
  const { runDir, views } = await pair(t);
  const dir = folder(t);
  const file = join(dir, 'in.json');
  writeFileSync(file, JSON.stringify([ENTRY]));
  t.match(await tandem(runDir, ['cache', 'import', file]), { code: 0, out: '2 mappings read: 1 learned, 1 expired\n', err: '' });
  t.strictSame(views[0].asked.at(-1), [ENTRY]);
  t.equal(views[1].asked.length, 0);
  t.strictSame(JSON.parse((await tandem(runDir, ['cache', 'import', '-', '-o', 'json', '--member', 'dns-proxy'], { input: '[]' })).out), { read: 2, learned: 1, known: 0, expired: 1, strangers: 0, cleaned: 0, evicted: 0 });
  t.strictSame(views[1].asked.at(-1), []);
  t.match(await tandem(runDir, ['cache', 'import', '-'], { input: '{}' }), { code: 65, out: '', err: 'tandem: standard input: agent: holds an object; allowed: an array of entries; nothing was imported\n' });
  t.match(await tandem(runDir, ['cache', 'import', '-'], { input: '[\xff]' }), { code: 65, err: /standard input: is not JSON/ });
  t.match(await tandem(runDir, ['cache', 'import', join(dir, 'none')]), { code: 64, err: /none: cannot be read: ENOENT/ });
  t.match(await tandem(runDir, ['cache', 'import']), { code: 64, err: /missing required argument 'FILE'/ });
});

t.test('endpoints and policies are shown', async (t) => {
  const { runDir } = await pair(t);
  t.equal((await tandem(runDir, ['endpoint', 'list'])).out,
    'Endpoint   Identity   Egress     Ingress   Pod        Addresses   Labels\n7          300        enforced   open      demo/web   127.0.1.1   k8s:app=web\n');
  t.match((await tandem(runDir, ['policy', 'list'])).out, /^Kind +Namespace +Name +Egress +Ingress +Endpoints\nCiliumNetworkPolicy +demo +web-egress +2 rules, rest denied +- +demo\/web\n$/);
});

t.test('a trace is explained', async (t) => {
  const { runDir, views } = await pair(t);
  const asking = (name: string, server = '127.0.0.153:53/TCP', from = 'demo/web'): string[] => ['policy', 'trace', '--from', from, '--server', server, '--name', name];
  const { out, code } = await tandem(runDir, asking('www.shop.example'));
  t.equal(code, 0);
  t.match(out, /^Verdict +allow: a rule allows it\nFrom +demo\/web \(endpoint 7, identity 300\)\nServer +127\.0\.0\.153 port 53\/TCP: pod\n +identity 301, port 53, namespace kube-system, k8s:k8s-app=kube-dns\n/);
  t.match(out, /Rule +CiliumNetworkPolicy demo\/web-egress spec\.egress\[0\]\.toPorts\[0\]: pattern \*\.shop\.example\.\n$/);
  t.match(views[0].asked, [{ from: 'demo/web', server: '127.0.0.153', port: 53, protocol: PROTOCOL.tcp, name: 'www.shop.example' }]);
  t.match(await tandem(runDir, asking('x', '[::1]:53')), { code: 0, out: /Verdict +refuse: .*\n[^]*Nearest +CiliumNetworkPolicy .*: the rule allows.*\nDenied by +CiliumNetworkPolicy demo\/web-egress spec\n/ });
  t.match(views[0].asked.at(-1), { server: '::1', protocol: PROTOCOL.udp });
  t.match(JSON.parse((await tandem(runDir, [...asking('x'), '-o', 'json'])).out), { verdict: 'refuse', nearest: [{ missed: 'name', name: 'web-egress' }] });
  t.match(await tandem(runDir, asking('x', '127.0.0.1:53', 'demo/nobody')), { code: 64, out: '', err: 'tandem: agent: no local pod is called "demo/nobody"\n' });
  for (const server of ['127.0.0.1', '127.0.0.1:53/SCTP', '127.0.0.1:0', '127.0.0.1:53/UDP/x', 'dns:53']) t.match(await tandem(runDir, asking('x', server)), { code: 64, err: /IP:PORT\/PROTO is expected/ }, server);
});

t.test('a connection is traced in both directions', async (t) => {
  const { runDir, views } = await pair(t);
  const connecting = (to: string, ...more: string[]): string[] => ['policy', 'trace', '--from', 'demo/web', '--to', to, ...more];
  const { out, code } = await tandem(runDir, connecting('203.0.113.7:443', '--name', 'www.shop.example'));
  t.equal(code, 0);
  t.match(out, /^Verdict +allow\nFrom +10\.0\.0\.1: world identity 2, reserved:world=\nTo +203\.0\.113\.7: world .*, port 443\/TCP, learned as www\.shop\.example\n/);
  t.match(out, /Egress +allow: a rule allows it: CiliumNetworkPolicy demo\/web-egress spec\.egress\[0\]\.toPorts\[0\]\nIngress +allow: no pod of this node is on this end/);
  t.same(views[0].asked, [{ from: 'demo/web', to: '203.0.113.7', port: 443, protocol: 6, name: 'www.shop.example' }]);
  t.match(await tandem(runDir, connecting('demo/api:80')), { code: 0, out: /Egress +deny: default deny.*\nNearest .*: the rule allows 443\/TCP, the port is 80\nDenied by +CiliumNetworkPolicy demo\/web-egress spec\n/ });
  await tandem(runDir, connecting('[fd00::7]:8/ICMPv6'));
  t.match(views[0].asked.at(-1), { to: 'fd00::7', port: 8, protocol: 58, name: null });
  t.match(JSON.parse((await tandem(runDir, [...connecting('demo/api:80'), '-o', 'json'])).out), { verdict: 'deny', egress: { nearest: [{ missed: 'port' }] } });
  for (const to of ['demo/api', '203.0.113.7:70000', '203.0.113.7:80/GRE', '[fd00::x]:80', 'fd00::7:80']) {
    t.match(await tandem(runDir, connecting(to)), { code: 64, err: /PEER:PORT\/PROTO is expected/ }, to);
  }
  const wrong: readonly [readonly string[], RegExp][] = [
    [connecting('demo/api:80', '--server', '127.0.0.1:53'), /either --server \(a question\) or --to/], [['policy', 'trace', '--from', 'demo/web'], /either --server/],
    [connecting('demo/api:80', '--type', 'AAAA'), /--type is of a question/], [['policy', 'trace', '--from', 'demo/web', '--server', '127.0.0.1:53'], /--server needs --name/],
    [['policy', 'trace', '--from', 'demo/web', '--server', '127.0.0.1:53', '--name', 'x', '--type', 'NOPE'], /A DNS type is expected/],
  ];
  for (const [words, err] of wrong) t.match(await tandem(runDir, words), { code: 64, out: '', err }, words.join(' '));
});

t.test('validate tells every problem of files and folders', async (t) => {
  const dir = folder(t);
  const good = 'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: demo\n';
  writeFileSync(join(dir, 'good.yaml'), good);
  t.match(await tandem(dir, ['policy', 'validate', join(dir, 'good.yaml'), '--run-dir', dir]), { code: 0, out: '1 file, 0 errors, 0 warnings\n' });
  writeFileSync(join(dir, 'bad.yaml'), 'apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata:\n  name: x\n  namespace: demo\nspec:\n  endpointSelector: {}\n  egres: []\n');
  writeFileSync(join(dir, 'text.json'), Uint8Array.of(0xff, 0xfe));
  const { out, code } = await tandem(dir, ['policy', 'validate', dir]);
  t.equal(code, 65);
  t.match(out, /bad\.yaml:8:3: .*egres/);
  t.match(out, /text\.json: error: the file is not UTF-8 text/);
  t.match(out, /3 files, \d errors?, \d warnings?\n$/);
  t.match(JSON.parse((await tandem(dir, ['policy', 'validate', dir, '-o', 'json'])).out), [{ severity: 'error' }]);
  t.match(await tandem(dir, ['policy', 'validate', join(dir, 'none.yaml')]), { code: 64, err: /no such file/ });
});

t.test('validate warns of what is not looked at, and of what shows only between objects', async (t) => {
  const dir = folder(t);
  t.match(await tandem(dir, ['policy', 'validate', dir]), { code: 0, out: `${dir}: warning: the folder has no manifests (*.yaml, *.yml, *.json)\n0 files, 0 errors, 1 warning\n` });
  mkdirSync(join(dir, 'more'));
  writeFileSync(join(dir, 'blank.yaml'), '# nothing\n');
  t.match(await tandem(dir, ['policy', 'validate', dir]), { code: 0, out: `${dir}: warning: subfolders are not read: ${dir}/more\n${dir}/blank.yaml: warning: holds no object\n1 file, 0 errors, 2 warnings\n` });
  const pod = (name: string): string => `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: demo, labels: {app: web}}\nstatus: {podIP: 127.0.1.1}\n---\n`;
  writeFileSync(join(dir, 'pods.yaml'), pod('a') + pod('b'));
  const policy = 'apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: demo}\nspec: {endpointSelector: {matchLabels: {app: wob}}, egress: [{}]}\n';
  t.match(await tandem(dir, ['policy', 'validate', join(dir, 'pods.yaml'), '-'], { input: policy }), {
    code: 0, out: [
      'warning: CiliumNetworkPolicy demo/p: spec.endpointSelector matches no pod',
      'warning: address 127.0.1.1 is claimed by 2 pods (demo/a, demo/b): it belongs to none of them', '2 files, 0 errors, 2 warnings', '',
    ].join('\n'),
  });
});

t.test('validate reads standard input within bounds', async (t) => {
  const dir = folder(t);
  t.match(await tandem(dir, ['policy', 'validate', '-'], { input: 'apiVersion: v1\nkind: Pod\nmetadata: {namespace: d}\n' }), { code: 65, out: 'standard input:3:11: metadata: error: has no name\n1 file, 1 error, 0 warnings\n' });
  t.match(await tandem(dir, ['policy', 'validate', '-'], { input: 'x'.repeat(4 * 1024 * 1024 + 1) }), { code: 64, out: '', err: /longer than 4194304 bytes/ });
  t.match(await tandem(dir, ['policy', 'validate', '-'], { input: '\xff' }), { code: 65, err: /not UTF-8/ });
});

t.test('the common options may stand before the command or between its words', async (t) => {
  const { runDir, views } = await pair(t);
  for (const argv of [['--run-dir', runDir, '-o', 'json', 'cache', 'list'], ['-ojson', 'cache', `--run-dir=${runDir}`, 'list'], ['--output=json', 'cache', 'list', '--run-dir', runDir]]) {
    t.strictSame(JSON.parse((await tandem('/nowhere', argv)).out), [ROW], argv.join(' '));
  }
  t.match(await tandem('/nowhere', ['--run-dir', runDir, '--member', 'dns-proxy', 'status']), { code: 0, out: /Member +dns-proxy/ });
  t.equal(views[0].asked.length, 3);
  t.match(await tandem(runDir, ['-o', 'json', 'stat']), { code: 64, err: /unknown command 'stat'/ });
  t.match(await tandem(runDir, ['status', '--run-dir']), { code: 64, err: /argument missing/ });
});

t.test('wrong use is one line with the way to the help text, and exit code 64', async (t) => {
  const dir = folder(t);
  const table: readonly [string[], RegExp][] = [
    [['stat'], /^tandem: unknown command 'stat' \(Did you mean status\?\) \(see 'tandem --help'\)\n$/],
    [['status', '--member', 'both'], /^tandem: option '--member <ROLE>' argument 'both' is invalid.*\(see 'tandem status --help'\)\n$/],
    [['status', 'now'], /^tandem: too many arguments.*\n$/],
    [['cache', 'list', '-e', 'x'], /^tandem: .*endpoint list.*\n$/],
    [['policy', 'trace'], /^tandem: required option '--from <POD>'.*\n$/],
    [['up', '--for', 'soon'], /^tandem: .*a duration is expected.*\n$/],
    [['up', '--slotz', '5'], /^tandem: unknown option '--slotz'; did you mean --slots\?.*\n$/],
    [['cache'], /^Usage: tandem cache/],
  ];
  for (const [argv, err] of table) t.match(await tandem(dir, argv), { code: 64, err, out: '' }, argv.join(' '));
});

t.test('every command has help with examples', async (t) => {
  const dir = folder(t);
  for (const words of [
    'up', 'drill', 'status', 'observe', 'drain', 'bugtool', 'completion', 'cache list', 'cache clean', 'cache export', 'cache import', 'endpoint list', 'policy list', 'policy trace', 'policy suggest', 'policy validate',
  ]) {
    t.match(await tandem(dir, [...words.split(' '), '--help']), { code: 0, out: new RegExp(`Examples:\\n +tandem ${words}`), err: '' }, words);
  }
  t.match(await tandem(dir, ['--version']), { code: 0, out: /^\d+\.\d+\.\d+\n$/ });
});
