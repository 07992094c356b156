/** The source of policy is cut off: what labels gave to pods of other nodes lapses by `--stale-source-limit`, and only by that. */
import t from 'tap';
import { CLIENT_A } from '../harness/manifests.js';
import { ROLES } from '../harness/pair.js';
import { DEADLINE_MS, until } from '../harness/until.js';
import { addressA, buildAnswer, RCODE } from '../harness/wire.js';
import { rcodes } from './rcodes.js';
import { startBench } from './start.js';

/** Twice as long as a restart takes. */
const LIMIT_SECONDS = 10;
/** The DNS server is a pod of another node, and may be asked by its label. */
const answerAll = ({ query }: { query: Buffer }): Buffer => buildAnswer(query, [addressA('192.0.2.7')]);

t.test('with a limit they lapse while the source is bad, and are back when it is good again', async (t) => {
  const { pair } = await startBench(t, answerAll, { flags: ['--stale-source-limit', '1'] });
  const { hash } = (await pair.status('agent')).policy;
  pair.writeManifest('broken.yaml', 'kind: [');
  const lapsed = await until('another policy on both', DEADLINE_MS, async () => {
    const [a, b] = await Promise.all(ROLES.map(async (role) => (await pair.status(role)).policy.hash));
    return a !== hash && a === b ? a : null;
  });
  t.not(lapsed, hash);
  t.strictSame([...await rcodes(pair, CLIENT_A, 'www.a.test', 40)], [RCODE.refused], 'by both members');
  pair.writeManifest('broken.yaml', '# mended\n');
  await until('the policy of before on both', DEADLINE_MS, async () => {
    const hashes = await Promise.all(ROLES.map(async (role) => (await pair.status(role)).policy.hash));
    return hashes.every((one) => one === hash) ? true : null;
  });
  t.strictSame([...await rcodes(pair, CLIENT_A, 'www.a.test', 20)], [RCODE.noError]);
});

t.test('dns-proxy has them lapse while the agent is away, and asks a returned agent', async (t) => {
  const { pair } = await startBench(t, answerAll, { flags: ['--stale-source-limit', '1'] });
  const { hash } = (await pair.status('dns-proxy')).policy;
  await pair.member('agent').stop('SIGKILL');
  await until('another policy', DEADLINE_MS, async () => ((await pair.status('dns-proxy')).policy.hash === hash ? null : true));
  t.strictSame([...await rcodes(pair, CLIENT_A, 'www.a.test', 20)], [RCODE.refused]);
  pair.launch('agent');
  await pair.ready('agent');
  await until('the policy of before on both', DEADLINE_MS, async () => {
    const hashes = await Promise.all(ROLES.map(async (role) => (await pair.status(role)).policy.hash));
    return hashes.every((one) => one === hash) ? true : null;
  });
  t.strictSame([...await rcodes(pair, CLIENT_A, 'www.a.test', 20)], [RCODE.noError]);
});

t.test('restarts of either while the source is bad neither begin the limit anew nor undo the lapse', async (t) => {
  const { pair } = await startBench(t, answerAll, { flags: ['--stale-source-limit', String(LIMIT_SECONDS)] });
  const { hash } = (await pair.status('agent')).policy;
  const brokenAtMs = performance.now();
  const sinceBroken = (): number => performance.now() - brokenAtMs;
  pair.writeManifest('broken.yaml', 'kind: [');
  await until('the complaint', DEADLINE_MS, () => Promise.resolve(pair.member('agent').output.includes('the policy before them stays') ? true : null));
  await until('half the limit', DEADLINE_MS, () => Promise.resolve(sinceBroken() > LIMIT_SECONDS * 500 ? true : null));
  await pair.member('agent').stop('SIGKILL');
  const killedAtMs = performance.now();
  pair.launch('agent');
  await pair.ready('agent');
  await pair.inTouch();
  await pair.member('agent').stop('SIGKILL');
  pair.members.delete('agent');
  // Else the restart took longer than the limit.
  const isEarly = sinceBroken() < LIMIT_SECONDS * 1000;
  await until('the lapse', DEADLINE_MS, async () => ((await pair.status('dns-proxy')).policy.hash === hash ? null : true));
  t.ok(sinceBroken() >= LIMIT_SECONDS * 1000, 'not before the limit');
  if (isEarly) t.ok(performance.now() - killedAtMs < LIMIT_SECONDS * 1000, 'counted neither from the restart nor from the end of the agent');
  t.strictSame([...await rcodes(pair, CLIENT_A, 'www.a.test', 20)], [RCODE.refused]);
  // Its disk has the policy of before.
  const agent = pair.launch('agent');
  await pair.ready('agent');
  await pair.inTouch();
  if (isEarly) t.match(agent.output, /away for too long/);
  t.strictSame([...await rcodes(pair, CLIENT_A, 'www.a.test', 40)], [RCODE.refused], 'by both members');
  for (const role of ROLES) t.not((await pair.status(role)).policy.hash, hash, role);
  pair.writeManifest('broken.yaml', '# mended\n');
  await until('the policy of before on both', DEADLINE_MS, async () => {
    const hashes = await Promise.all(ROLES.map(async (role) => (await pair.status(role)).policy.hash));
    return hashes.every((one) => one === hash) ? true : null;
  });
  t.strictSame([...await rcodes(pair, CLIENT_A, 'www.a.test', 20)], [RCODE.noError]);
});

t.test('without one they live on', async (t) => {
  const { pair } = await startBench(t, answerAll);
  const { hash } = (await pair.status('dns-proxy')).policy;
  pair.writeManifest('broken.yaml', 'kind: [');
  await until('the complaint', DEADLINE_MS, () => Promise.resolve(pair.member('agent').output.includes('the policy before them stays') ? true : null));
  await pair.member('agent').stop('SIGKILL');
  t.strictSame([...await rcodes(pair, CLIENT_A, 'www.a.test', 20)], [RCODE.noError]);
  t.equal((await pair.status('dns-proxy')).policy.hash, hash);
  pair.members.delete('agent');
});
