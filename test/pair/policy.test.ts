import t from 'tap';
import { UdpClient } from '../harness/clients.js';
import { CLIENT_A, dnsPolicy } from '../harness/manifests.js';
import { ROLES } from '../harness/pair.js';
import { until } from '../harness/until.js';
import { addressA, buildAnswer, buildQuery, RCODE, readMessage, TYPE } from '../harness/wire.js';
import { startBench } from './start.js';

const NEW_VERDICT_MS_MAX = 1_000;
const CLIENTS = 40;
const EDITS = 6;

const { pair } = await startBench(t, ({ query }) => buildAnswer(query, [addressA('192.0.2.7')]));

/** Two policies that contradict each other in both names, so that every answer tells which one gave it. */
const versions = [dnsPolicy('policy-a', { app: 'a' }, ['odd.test']), dnsPolicy('policy-a', { app: 'a' }, ['even.test'])];
const names = ['odd.test', 'even.test'];

/** Index of the version that gave this answer. */
function versionOf(nameIndex: number, rcode: number): number {
  if (rcode !== RCODE.noError && rcode !== RCODE.refused) throw new Error(`response code ${String(rcode)}`);
  return rcode === RCODE.noError ? nameIndex : 1 - nameIndex;
}

interface Verdict {
  readonly sentMs: number;
  readonly version: number;
}

/** Asks both names in turn, one query at a time, until told to stop. */
async function askOn(state: { stop: boolean }): Promise<Verdict[]> {
  const client = await UdpClient.open(CLIENT_A, pair.server);
  const verdicts: Verdict[] = [];
  for (let turn = 0; !state.stop; turn++) {
    const sentMs = performance.now();
    const answer = readMessage(await client.ask(buildQuery({ name: names[turn % 2], type: TYPE.A })));
    verdicts.push({ sentMs, version: versionOf(turn % 2, answer.rcode) });
  }
  client.close();
  return verdicts;
}

/** Revision that both enforce, once it differs from `old`. */
function settled(old: number | null): Promise<number> {
  return until('both on the new policy', 5_000, async () => {
    const [a, b] = await Promise.all(ROLES.map(async (role) => (await pair.status(role)).policy));
    return a.revision !== old && a.hash === b.hash ? a.revision : null;
  });
}

t.test('a policy edit under load rules both daemons within a second, and as a whole', async (t) => {
  let revision = (await pair.status('agent')).policy.revision;
  pair.writeManifest('policy-a.json', versions[0]);
  revision = await settled(revision);
  const before = await pair.counters('queries');
  const state = { stop: false };
  const load = Promise.all(Array.from({ length: CLIENTS }, () => askOn(state)));
  const editsMs: number[] = [];
  for (let edit = 1; edit <= EDITS; edit++) {
    editsMs.push(performance.now());
    pair.writeManifest('policy-a.json', versions[edit % 2]);
    revision = await settled(revision);
  }
  editsMs.push(performance.now());
  state.stop = true;
  const perClient = await load;
  const counts = (await pair.counters('queries')).map((count, index) => count - before[index]);
  t.ok(counts.every((count) => count > 0), `both daemons were asked (${counts.join(' and ')} queries)`);

  let slowestMs = 0;
  let mixed = 0;
  for (const verdicts of perClient) {
    for (let edit = 0; edit < EDITS; edit++) {
      const epoch = verdicts.filter(({ sentMs }) => sentMs >= editsMs[edit] && sentMs < editsMs[edit + 1]);
      const wanted = (edit + 1) % 2;
      const firstNew = epoch.findIndex(({ version }) => version === wanted);
      const lastOld = epoch.findLastIndex(({ version }) => version !== wanted);
      if (lastOld >= 0) slowestMs = Math.max(slowestMs, epoch[lastOld].sentMs - editsMs[edit]);
      if (firstNew >= 0 && lastOld > firstNew) mixed++;
    }
  }
  t.comment(`${String(EDITS)} edits, ${String(perClient.flat().length)} queries: the last old verdict was ${slowestMs.toFixed(0)} ms after the edit`);
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
  t.equal(await ask(), RCODE.noError);

  const broken = JSON.stringify(dnsPolicy('policy-a', { app: 'a' }, ['other.test']), null, 2).replace('"53"', '"70000"');
  const line = broken.split('\n').findIndex((text) => text.includes('70000')) + 1;
  pair.writeManifest('policy-a.json', broken);
  const problems = await until('the complaint', 5_000, async () => {
    const found = (await pair.status('agent')).policy.problems;
    return found.length > 0 ? found : null;
  });
  t.ok(problems.some((problem) => problem.includes(`policy-a.json:${String(line)}:`) && problem.includes('port') && problem.includes('65535')), problems.join('\n'));
  t.match(pair.member('agent').output, 'policy-a.json', 'the log says so, too');
  t.equal(await ask(), RCODE.noError, 'the last good policy rules on');
  t.equal((await pair.status('agent')).policy.revision, revision);

  pair.writeManifest('policy-a.json', versions[1]);
  await settled(revision);
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
  const withPod = await settled(revision);
  t.equal(await ask(), RCODE.noError, 'a pod under the policy');
  pair.writeManifest('late.json', pods('Succeeded'));
  await settled(withPod);
  t.equal(await ask(), RCODE.refused, 'a stranger again');
});
