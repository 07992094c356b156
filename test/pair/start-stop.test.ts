/** What is said and done at the start, at a signal, and at the end. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ownAddress, ownPort } from '../harness/address.js';
import { UdpClient } from '../harness/clients.js';
import { CLIENT_A } from '../harness/manifests.js';
import { Pair, ROLES } from '../harness/pair.js';
import { DEADLINE_MS, until } from '../harness/until.js';
import { buildQuery, TYPE } from '../harness/wire.js';
import { startBench } from './start.js';

const START_DEADLINE_MS = 20_000;

t.test('a signal during the start ends it cleanly', async (t) => {
  const pair = await Pair.start({ upstreams: [{ address: ownAddress, port: ownPort() }], manifests: { 'broken.yaml': 'kind: [' }, roles: [] });
  t.teardown(() => pair.stop());
  for (const role of ROLES) {
    const child = pair.launch(role);
    await until('the API', START_DEADLINE_MS, async () => ((await pair.http(role, '/healthz').catch(() => null))?.status === 200 ? true : null));
    child.process.kill('SIGHUP');
    t.same(await child.stop('SIGTERM'), { code: 0, signal: null }, child.output);
    t.strictSame(readdirSync(pair.runDir).filter((name) => name.endsWith('.sock')), [], 'no socket is left');
  }
});

t.test('SIGHUP rereads the settings: the log level acts, others wait for a restart, errors change nothing', async (t) => {
  const pair = await Pair.start({ upstreams: [{ address: ownAddress, port: ownPort() }], manifests: {}, roles: [] });
  t.teardown(() => pair.stop());
  const config = join(pair.folder, 'tandem.yaml');
  for (const role of ROLES) {
    writeFileSync(config, 'log-level: error\n');
    const child = pair.launch(role, ['--config', config]);
    await until('the API', START_DEADLINE_MS, async () => ((await pair.http(role, '/healthz').catch(() => null))?.status === 200 ? true : null));
    writeFileSync(config, 'slots: many\n');
    child.process.kill('SIGHUP');
    await until('the complaint', DEADLINE_MS, () => (/slots[^\n]*the configuration has errors/.test(child.output) ? true : null));
    writeFileSync(config, 'log-level: info\nslots: 128\npolicy-port: 5353\n');
    child.process.kill('SIGHUP');
    await until('the notice', DEADLINE_MS, () => (/--policy-port[^\n]*--slots[^\n]*need a restart/.test(child.output) ? true : null));
    child.process.kill('SIGHUP');
    await until('a line of level info', DEADLINE_MS, () => (child.output.includes('rereading the configuration') ? true : null));
  }
});

t.test('members that contradict each other in a setting say so', async (t) => {
  const pair = await Pair.start({ upstreams: [{ address: ownAddress, port: ownPort() }], manifests: {}, roles: ['agent'] });
  t.teardown(() => pair.stop());
  pair.launch('dns-proxy', ['--unknown-endpoint', 'allow']);
  await pair.ready('dns-proxy');
  for (const role of ROLES) {
    const problems = await until('the problem', DEADLINE_MS, async () => (await pair.status(role)).policy.problems.find((line) => line.includes('--unknown-endpoint')));
    t.match(problems, role === 'agent' ? /has refuse, its peer allow/ : /has allow, its peer refuse/);
    t.match((await pair.http(role, '/metrics')).body, /tandem_settings_mismatch\{[^}]*\} 1\n/);
    t.match(pair.member(role).output, /--unknown-endpoint[^\n]*contradict each other/);
  }
});

t.test('a second SIGTERM ends a member at once', async (t) => {
  const { pair } = await startBench(t, () => null);
  const client = await UdpClient.open(CLIENT_A, pair.server);
  t.teardown(() => { client.close(); });
  await pair.member('dns-proxy').stop('SIGKILL');
  pair.members.delete('dns-proxy');
  client.send(buildQuery({ name: 'www.a.test', type: TYPE.A }));
  const child = pair.member('agent');
  await until('the query', DEADLINE_MS, async () => ((await pair.status('agent')).counters.allowed > 0 ? true : null));
  child.process.kill('SIGTERM');
  await until('draining', DEADLINE_MS, () => (child.output.includes('draining') ? true : null));
  const startedAtMs = performance.now();
  t.same(await child.stop('SIGTERM'), { code: 0, signal: null });
  const tookMs = performance.now() - startedAtMs;
  t.comment(`${tookMs.toFixed(0)} ms`);
  t.ok(tookMs < 500, `${tookMs.toFixed(0)} ms`);
});

t.test('--manifests that is a file, or cannot be looked at, is a mistake; a folder that is not there yet is waited for', async (t) => {
  const pair = await Pair.start({ upstreams: [{ address: ownAddress, port: ownPort() }], manifests: { 'a.yaml': '' }, roles: [] });
  t.teardown(() => pair.stop());
  const child = pair.launch('agent', ['--manifests', join(pair.manifestsDir, 'a.yaml')]);
  t.same(await child.exited, { code: 65, signal: null });
  t.match(child.output, /is a file, not a folder/);
  const long = pair.launch('agent', ['--manifests', join(pair.manifestsDir, 'a'.repeat(300))]);
  t.same(await long.exited, { code: 65, signal: null });
  t.match(long.output, /--manifests [^ ]* cannot be looked at: ENAMETOOLONG[^;]*; name a folder/);
});
