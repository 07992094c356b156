import t from 'tap';
import { UdpClient } from '../harness/clients.js';
import { CLIENT_A, dnsPolicy } from '../harness/manifests.js';
import { measureEdits, POLICY_VERSIONS, settled } from '../harness/policy-edit.js';
import { DEADLINE_MS, until } from '../harness/until.js';
import { addressA, buildAnswer, buildQuery, RCODE, readMessage, TYPE } from '../harness/wire.js';
import { startBench } from './start.js';

const NEW_VERDICT_MS_MAX = 1_000;
const CLIENTS = 40;
const EDITS = 6;

const { pair } = await startBench(t, ({ query }) => buildAnswer(query, [addressA('192.0.2.7')]));

t.test('a policy edit under load rules both daemons within a second, and as a whole', async (t) => {
  const before = await pair.counters('queries');
  const { queries, slowestMs, mixed } = await measureEdits(pair, { clients: CLIENTS, edits: EDITS });
  const counts = (await pair.counters('queries')).map((count, index) => count - before[index]);
  t.ok(counts.every((count) => count > 0), `both daemons were asked (${counts.join(' and ')} queries)`);
  t.comment(`${String(EDITS)} edits, ${String(queries)} queries: the last old verdict was asked for ${slowestMs.toFixed(0)} ms after the edit`);
  t.ok(slowestMs <= NEW_VERDICT_MS_MAX, `no old verdict after ${String(NEW_VERDICT_MS_MAX)} ms`);
  t.equal(mixed, 0, 'no client saw the old policy again after the new one');
});

t.test('a broken manifest is reported with file, line and field, and the last good policy stays', async (t) => {
  const { revision } = (await pair.status('agent')).policy;
  const client = await UdpClient.open(CLIENT_A, pair.server);
  t.teardown(() => {
    client.close();
  });
  const ask = async (): Promise<number> => readMessage(await client.ask(buildQuery({ name: 'odd.test', type: TYPE.A }))).rcode;
  t.equal(await ask(), RCODE.noError, 'after an even number of edits the first version rules');

  const broken = JSON.stringify(dnsPolicy('policy-a', { app: 'a' }, ['other.test']), null, 2).replace('"53"', '"70000"');
  const line = broken.split('\n').findIndex((text) => text.includes('70000')) + 1;
  pair.writeManifest('policy-a.json', broken);
  const problems = await until('the complaint', DEADLINE_MS, async () => {
    const found = (await pair.status('agent')).policy.problems;
    return found.length > 0 ? found : null;
  });
  t.ok(problems.some((problem) => problem.includes(`policy-a.json:${String(line)}:`) && problem.includes('port') && problem.includes('65535')), problems.join('\n'));
  await until('the same in the log', DEADLINE_MS, () => (pair.member('agent').output.includes(`policy-a.json:${String(line)}:`) ? true : null));
  t.equal(await ask(), RCODE.noError, 'the last good policy rules on');
  t.equal((await pair.status('agent')).policy.revision, revision);

  pair.writeManifest('policy-a.json', POLICY_VERSIONS[1]);
  await settled(pair, revision);
  t.equal(await ask(), RCODE.refused, 'the mended file rules');
  t.strictSame((await pair.status('agent')).policy.problems, []);
});

t.test('a pod that comes and a pod that goes are known at once', async (t) => {
  const { revision } = (await pair.status('agent')).policy;
  const late = '127.0.1.50';
  const client = await UdpClient.open(late, pair.server);
  t.teardown(() => {
    client.close();
  });
  const ask = async (): Promise<number> => readMessage(await client.ask(buildQuery({ name: 'even.test', type: TYPE.A }))).rcode;
  t.equal(await ask(), RCODE.refused, 'a stranger');
  const pods = (phase: string): object => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'late', namespace: 'default', labels: { app: 'a' } }, spec: { nodeName: 'node-1' }, status: { phase, podIP: late } });
  pair.writeManifest('late.json', pods('Running'));
  const withPod = await settled(pair, revision);
  t.equal(await ask(), RCODE.noError, 'a pod under the policy');
  pair.writeManifest('late.json', pods('Succeeded'));
  await settled(pair, withPod);
  t.equal(await ask(), RCODE.refused, 'a stranger again');
});
