/** A member that restarts enforces the policy that was in force last: its own copy, or its peer's. */
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { baseManifests, CLIENT_A, CLIENT_B, dnsPolicy } from '../harness/manifests.js';
import { type Pair, ROLES } from '../harness/pair.js';
import type { Role } from '../harness/pair.js';
import { DEADLINE_MS, until } from '../harness/until.js';
import { addressA, buildAnswer, RCODE } from '../harness/wire.js';
import { rcodes } from './rcodes.js';
import { startBench } from './start.js';

const answerAll = ({ query }: { query: Buffer }): Buffer => buildAnswer(query, [addressA('192.0.2.7')]);

t.test('a policy that was changed and changed back is enforced by dns-proxy after a restart without the agent', async (t) => {
  const { pair, upstream } = await startBench(t, answerAll);
  const { hash } = (await pair.status('agent')).policy;
  const file = 'policy-b.json';
  const hashOf = async (role: Role): Promise<string | null> => (await pair.status(role)).policy.hash;
  pair.writeManifest(file, dnsPolicy('policy-b', { app: 'b' }, ['*.a.test'], ['*.a.test']));
  await until('another policy on both', DEADLINE_MS, async () => ((await hashOf('agent')) !== hash && (await hashOf('dns-proxy')) === (await hashOf('agent')) ? true : null));
  t.strictSame([...await rcodes(pair, CLIENT_B, 'www.a.test', 20)], [RCODE.noError]);
  pair.writeManifest(file, baseManifests(upstream.address)[file]);
  await until('the first policy on both', DEADLINE_MS, async () => ((await hashOf('agent')) === hash && (await hashOf('dns-proxy')) === hash ? true : null));
  for (const role of ROLES) await pair.member(role).stop('SIGKILL');
  pair.launch('dns-proxy');
  await pair.ready('dns-proxy');
  t.equal(await hashOf('dns-proxy'), hash);
  t.strictSame([...await rcodes(pair, CLIENT_B, 'www.a.test', 5)], [RCODE.refused]);
  pair.members.delete('agent');
});

t.test('an agent with broken manifests and nothing stored takes the policy of its peer', async (t) => {
  const { pair } = await startBench(t, answerAll);
  const { hash } = (await pair.status('agent')).policy;
  await pair.member('agent').stop();
  rmSync(join(pair.folder, 'agent'), { recursive: true });
  pair.writeManifest('broken.yaml', 'kind: [');
  const child = pair.launch('agent');
  await pair.ready('agent');
  t.equal((await pair.status('agent')).policy.hash, hash);
  t.match(child.output, /the peer's policy is in force until the manifests say better/);
  t.strictSame([...await rcodes(pair, CLIENT_A, 'www.a.test', 40)], [RCODE.noError], 'both answer');
  t.strictSame([...await rcodes(pair, CLIENT_B, 'www.a.test', 20)], [RCODE.refused]);
  const { revision } = (await pair.status('dns-proxy')).policy;
  pair.writeManifest('broken.yaml', '# mended\n');
  pair.writeManifest('policy-b.json', dnsPolicy('policy-b', { app: 'b' }, ['*.a.test'], ['*.a.test']));
  await until('the mended policy on both', DEADLINE_MS, async () => {
    const [a, b] = await Promise.all(ROLES.map((role) => pair.status(role)));
    return a.policy.hash !== hash && a.policy.hash === b.policy.hash && Number(b.policy.revision) > Number(revision) ? true : null;
  });
  t.match(child.output, /the manifests are good again/);
});

/** The agent is down, its disk has the policy before the last one, and its manifests are broken. Returns the last one's hash. */
async function forgetLastPolicy(pair: Pair): Promise<string> {
  const { hash: first } = (await pair.status('agent')).policy;
  const [state, copy] = [join(pair.folder, 'agent'), join(pair.folder, 'older')];
  cpSync(state, copy, { recursive: true });
  pair.writeManifest('policy-b.json', dnsPolicy('policy-b', { app: 'b' }, ['*.a.test'], ['*.a.test']));
  const last = await until('another policy on both', DEADLINE_MS, async () => {
    const [a, b] = await Promise.all(ROLES.map(async (role) => (await pair.status(role)).policy.hash));
    return a !== first && a === b ? a : null;
  });
  await pair.member('agent').stop('SIGKILL');
  rmSync(state, { recursive: true });
  cpSync(copy, state, { recursive: true });
  pair.writeManifest('broken.yaml', 'kind: [');
  return last;
}

t.test('an agent whose disk has an older policy, and whose manifests are broken, takes the newer one of its peer', async (t) => {
  const { pair } = await startBench(t, answerAll);
  const last = await forgetLastPolicy(pair);
  const { revision } = (await pair.status('dns-proxy')).policy;
  pair.launch('agent');
  await pair.ready('agent');
  await pair.inTouch();
  for (const role of ROLES) t.match((await pair.status(role)).policy, { hash: last, revision }, role);
  t.strictSame([...await rcodes(pair, CLIENT_B, 'www.a.test', 40)], [RCODE.noError]);
});

t.test('the newer of two stored policies is enforced when both start with broken manifests', async (t) => {
  const { pair } = await startBench(t, answerAll);
  const last = await forgetLastPolicy(pair);
  await pair.member('dns-proxy').stop('SIGKILL');
  for (const role of ROLES) pair.launch(role);
  await Promise.all(ROLES.map((role) => pair.ready(role)));
  await pair.inTouch();
  for (const role of ROLES) t.equal((await pair.status(role)).policy.hash, last, role);
});
