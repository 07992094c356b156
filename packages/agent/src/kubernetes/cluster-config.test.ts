import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { clusterConfig } from './cluster-config.js';

const CLUSTER = { server: 'https://10.0.0.1:6443/k8s/', 'certificate-authority-data': Buffer.from('PEM').toString('base64') };

function folder(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-kubeconfig-'));
  t.teardown(() => { rmSync(dir, { recursive: true, force: true }); });
  return dir;
}

function kubeconfig(dir: string, { cluster = CLUSTER, user = {}, ...rest }: { cluster?: object; user?: object; [key: string]: unknown }): string {
  const path = join(dir, 'config');
  writeFileSync(path, stringify({
    apiVersion: 'v1', kind: 'Config', 'current-context': 'one',
    contexts: [{ name: 'zero', context: { cluster: 'none' } }, { name: 'one', context: { cluster: 'c', user: 'u' } }],
    clusters: [{ name: 'c', cluster }], users: [{ name: 'u', user }], ...rest,
  }));
  return path;
}

t.test('a kubeconfig is read by its current context; files in it are relative to it', (t) => {
  const dir = folder(t);
  const user = { 'client-certificate': 'pki/cert.pem', 'client-key-data': Buffer.from('KEY').toString('base64'), token: 'no', tokenFile: '/run/token' };
  t.match(clusterConfig(kubeconfig(dir, { user }), {}), {
    server: { href: 'https://10.0.0.1:6443/k8s' }, ca: { data: 'PEM' }, cert: { path: join(dir, 'pki/cert.pem') }, key: { data: 'KEY' },
    token: { path: '/run/token' }, tlsServerName: null, insecureSkipTlsVerify: false,
  });
  const cluster = { server: 'http://localhost:8080', 'insecure-skip-tls-verify': true, 'tls-server-name': 'api' };
  const path = kubeconfig(dir, { cluster, user: { token: 'secret' } });
  const expected = { ca: null, cert: null, token: { data: 'secret' }, insecureSkipTlsVerify: true, tlsServerName: 'api' };
  t.match(clusterConfig(null, { KUBECONFIG: path }), expected, '$KUBECONFIG');
  t.match(clusterConfig(path, { KUBECONFIG: '/nowhere' }), expected, 'the setting comes first');
  t.end();
});

t.test('in a pod the service account is taken', (t) => {
  const dir = folder(t);
  writeFileSync(join(dir, 'token'), 'secret');
  const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
  t.match(clusterConfig(null, env, dir), { server: { host: '[fd00::1]' }, token: { path: join(dir, 'token') }, ca: { path: join(dir, 'ca.crt') } });
  t.throws(() => clusterConfig(null, env, join(dir, 'none')), { code: 'CONFIGURATION', message: /token cannot be read/ });
  t.throws(() => clusterConfig(null, {}, dir), { code: 'CONFIGURATION', message: /give --kubeconfig FILE or set KUBECONFIG/ });
  t.end();
});

t.test('what is not understood is refused, with what to do', (t) => {
  const dir = folder(t);
  const table: readonly [Parameters<typeof kubeconfig>[1], RegExp][] = [
    [{ user: { exec: { command: 'aws' } } }, /user "u" gets credentials from a program \(exec\).*; give the agent a token/],
    [{ user: { 'auth-provider': {} } }, /has "auth-provider", which is not supported/],
    [{ user: { username: 'x', password: 'y' } }, /has "username", which is not supported/],
    [{ user: { 'client-certificate': 'a' } }, /only one of client-certificate and client-key/],
    [{ cluster: { ...CLUSTER, 'proxy-url': 'http://x' } }, /proxy-url is not supported/],
    [{ cluster: { server: 'unix:/x' } }, /neither https nor http/],
    [{ cluster: { server: 'x' } }, /is no URL/],
    [{ cluster: { server: 5 } }, /"server" is no string/],
    [{ 'current-context': 'two' }, /has no "two" under contexts/],
    [{ 'current-context': '' }, /has no current-context/],
    [{ clusters: 5 }, /has no "c" under clusters/],
    [{ users: [] }, /has no "u" under users/],
  ];
  for (const [config, message] of table) t.throws(() => clusterConfig(kubeconfig(dir, config), {}), { code: 'CONFIGURATION', message });
  writeFileSync(join(dir, 'text'), 'a: [');
  t.throws(() => clusterConfig(join(dir, 'text'), {}), { message: /is no YAML/ });
  t.throws(() => clusterConfig(join(dir, 'absent'), {}), { message: /cannot be read: ENOENT/ });
  t.throws(() => clusterConfig('/a:/b', {}), { message: /are several files; give one/ });
  t.end();
});
