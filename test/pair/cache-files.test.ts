/** The cache over time and between pairs, with real daemons: zombies, pods that are gone, export, import and pre-cache. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { UdpClient } from '../harness/clients.js';
import { CLIENT_A, CLIENT_B, pod } from '../harness/manifests.js';
import { type Pair, type Role, ROLES } from '../harness/pair.js';
import { until } from '../harness/until.js';
import { addressA, buildAnswer, buildQuery, RCODE, readMessage, TYPE } from '../harness/wire.js';
import { startBench } from './start.js';

interface Row {
  readonly fqdn: string;
  readonly ips: readonly string[];
  readonly ttl: number;
  readonly source: string;
  readonly 'endpoint-id': number;
}

const SHORT_SECONDS = 1;
const LONG_SECONDS = 300;
/** For what must happen at all; what has expired is collected half a minute later at the earliest. */
const WAIT_MS = 90_000;
const FAST = ['--tofqdns-gc-interval', '1s', '--conntrack-gc-interval', '1s'];

const { pair, upstream } = await startBench(t, ({ query, question }) => (
  buildAnswer(query, [{ ...addressA('192.0.2.7'), ttlSeconds: question.name.startsWith('short') ? SHORT_SECONDS : LONG_SECONDS }])
), { flags: FAST });

async function ask(from: string, name: string): Promise<void> {
  const client = await UdpClient.open(from, pair.server);
  const answer = readMessage(await client.ask(buildQuery({ name, type: TYPE.A })));
  client.close();
  if (answer.rcode !== RCODE.noError) throw new Error(`${name}: response code ${String(answer.rcode)}`);
}

async function rows(of: Pair, role: Role, source = ''): Promise<Row[]> {
  const { status, body } = await of.http(role, `/api/v1/fqdn/cache${source === '' ? '' : `?source=${source}`}`);
  if (status !== 200) throw new Error(`${role}: HTTP ${String(status)} ${body}`);
  return JSON.parse(body) as Row[];
}

function listed(of: Pair, role: Role, name: string, source = ''): Promise<Row> {
  return until(`${name} in the cache of ${role}`, WAIT_MS, async () => (await rows(of, role, source)).find(({ fqdn }) => fqdn === `${name}.`));
}

function unlisted(of: Pair, role: Role, name: string): Promise<true> {
  return until(`${name} gone from the cache of ${role}`, WAIT_MS, async () => ((await rows(of, role)).some(({ fqdn }) => fqdn === `${name}.`) ? null : true));
}

t.test('an expired mapping is a zombie on both members, and without connections it dies', async (t) => {
  await ask(CLIENT_A, 'short.a.test');
  const zombies = await Promise.all(ROLES.map((role) => listed(pair, role, 'short.a.test', 'connection')));
  for (const zombie of zombies) t.match(zombie, { ips: ['192.0.2.7'], ttl: 0, source: 'connection' });
  await Promise.all(ROLES.map((role) => unlisted(pair, role, 'short.a.test')));
  t.pass('gone');
});

t.test('an export is a file that another pair imports and begins with, to the same list', async (t) => {
  await ask(CLIENT_A, 'one.a.test');
  await ask(CLIENT_B, 'two.b.test');
  await Promise.all(['one.a.test', 'two.b.test'].flatMap((name) => ROLES.map((role) => listed(pair, role, name))));
  const file = join(pair.folder, 'mappings.json');
  const exported = await pair.cliJson<{ entries: number; mappings: number }>('cache', 'export', file);
  t.match(exported, { entries: 2, mappings: 2 });
  t.strictSame(JSON.parse((await pair.cli('cache', 'export')).standardOutput), JSON.parse(readFileSync(file, 'utf8')));

  // The other begins with a mapping of the node's.
  const pre = join(pair.folder, 'pre.json');
  const [entry] = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>[];
  writeFileSync(pre, JSON.stringify([{ ...entry, 'fqdn': 'pre.example', 'endpoint-uid': undefined }]));
  const { pair: other } = await startBench(t, ({ query }) => buildAnswer(query, []), { flags: [...FAST, '--tofqdns-pre-cache', pre] });
  for (const role of ROLES) t.match(await rows(other, role), [{ 'fqdn': 'pre.example.', 'endpoint-id': 0, 'source': 'lookup' }], `${role} before any question`);
  const bad = join(pair.folder, 'bad.json');
  writeFileSync(bad, JSON.stringify([entry, { ...entry, ttl: 'soon' }]));
  t.match(await other.cli('cache', 'import', bad), { code: 65, output: /bad\.json: agent: entry 2: ttl "soon" is not allowed; allowed: 0 to 2147483647; nothing was imported/ });
  t.match(await other.cliJson('cache', 'import', file), { read: 2, learned: 2 });
  for (const role of ROLES) {
    await Promise.all(['one.a.test', 'two.b.test'].map((name) => listed(other, role, name)));
    const shown = (list: readonly Row[]): unknown[] => list.filter(({ fqdn }) => fqdn !== 'pre.example.').map((row) => [row.fqdn, row.ips, row.ttl, row.source, row['endpoint-id']]);
    t.strictSame(shown(await rows(other, role)), shown(await rows(pair, role)), `${role} has the same list`);
  }
});

t.test('a bad pre-cache is shown as a problem, and stops nobody', async (t) => {
  const bad = join(pair.folder, 'bad-pre.json');
  writeFileSync(bad, '[{"fqdn": "a..b"}]');
  const { pair: other } = await startBench(t, ({ query }) => buildAnswer(query, []), { flags: ['--tofqdns-pre-cache', bad], roles: ['agent'] });
  const { policy, readiness } = await other.status('agent');
  t.match(policy.problems.join('\n'), /--tofqdns-pre-cache: error: .*bad-pre\.json: entry 1: .*it is left out/);
  t.match(readiness, { ready: true });
});

t.test('what a pod that is gone had learned goes on both members', async (t) => {
  await ask(CLIENT_B, 'three.b.test');
  await Promise.all(ROLES.map((role) => listed(pair, role, 'three.b.test')));
  pair.writeManifest('pods.json', { apiVersion: 'v1', kind: 'List', items: [
    pod({ name: 'client-a', labels: { app: 'a' }, addresses: [CLIENT_A] }),
    pod({ name: 'kube-dns', namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' }, addresses: [upstream.address], nodeName: 'node-2' }),
  ] });
  await Promise.all(ROLES.flatMap((role) => ['three.b.test', 'two.b.test'].map((name) => unlisted(pair, role, name))));
  for (const role of ROLES) t.ok((await rows(pair, role)).some(({ fqdn }) => fqdn === 'one.a.test.'), `${role} keeps the others'`);
});
