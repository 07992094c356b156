import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ownAddress, ownPort } from '../harness/address.js';
import { run } from '../harness/child.js';
import { CLIENT_A, CLIENT_B } from '../harness/manifests.js';
import { launcherOf, Pair, ROLES } from '../harness/pair.js';
import { DEADLINE_MS, until, within } from '../harness/until.js';
import { addressA, buildAnswer, RCODE } from '../harness/wire.js';
import { rcodes } from './rcodes.js';
import { startBench } from './start.js';

const START_DEADLINE_MS = 20_000;
const answerAll = ({ query }: { query: Buffer }): Buffer => buildAnswer(query, [addressA('192.0.2.7')]);

t.test('SIGTERM ends each daemon with exit code 0, and the other goes on', async (t) => {
  const { pair } = await startBench(t, answerAll);
  for (const role of ROLES) {
    t.same(await pair.member(role).stop('SIGTERM'), { code: 0, signal: null }, role);
    t.strictSame([...await rcodes(pair, CLIENT_A, 'www.a.test', 20)], [RCODE.noError], 'the other answers everyone');
    pair.launch(role);
    await pair.ready(role);
    await pair.inTouch();
  }
});

t.test('dns-proxy enforces its last good policy after a restart without the agent', async (t) => {
  const { pair } = await startBench(t, answerAll);
  await pair.member('agent').stop();
  await pair.member('dns-proxy').stop();
  pair.launch('dns-proxy');
  await pair.ready('dns-proxy');
  t.strictSame([...await rcodes(pair, CLIENT_A, 'www.a.test', 5)], [RCODE.noError]);
  t.strictSame([...await rcodes(pair, CLIENT_B, 'www.a.test', 5)], [RCODE.refused]);
});

t.test('without any policy snapshot dns-proxy is not ready', async (t) => {
  const pair = await Pair.start({ upstreams: [{ address: ownAddress, port: ownPort() }], manifests: {}, roles: [] });
  t.teardown(() => pair.stop());
  const child = pair.launch('dns-proxy');
  const answer = await until('an answer of /readyz', START_DEADLINE_MS, () => (child.exit === null ? pair.http('dns-proxy', '/readyz') : null));
  t.equal(answer.status, 503, answer.body);
  t.equal((await pair.http('dns-proxy', '/healthz')).status, 200);
});

t.test('after the agent comes back both work on one policy again', async (t) => {
  const { pair } = await startBench(t, answerAll);
  const { hash } = (await pair.status('agent')).policy;
  await pair.member('agent').stop('SIGKILL');
  await until('dns-proxy has noticed', DEADLINE_MS, async () => ((await pair.status('dns-proxy')).peer.connected ? null : true));
  t.strictSame([...await rcodes(pair, CLIENT_A, 'www.a.test', 20)], [RCODE.noError], 'dns-proxy answers everyone');
  pair.launch('agent');
  await pair.ready('agent');
  await pair.inTouch();
  t.equal((await pair.status('dns-proxy')).policy.hash, hash, 'the same content has the same hash');
});

t.test('what a daemon cannot start with is said in one line, with an exit code of its own', async (t) => {
  const pair = await Pair.start({ upstreams: [], manifests: {}, roles: [] });
  t.teardown(() => pair.stop());
  const base = ['--run-dir', pair.runDir, '--state-dir', join(pair.folder, 'state'), '--upstream', `${ownAddress}:53`, '--manifests', pair.manifestsDir, '--http-listen', `${ownAddress}:${String(ownPort())}`];
  writeFileSync(join(pair.folder, 'bad.yaml'), 'listen: [127.0.0.1:10053\nslots: many\n');
  const cases: [number, RegExp, string[]][] = [
    [64, /--frobnicate/, ['--frobnicate']],
    [64, /--slots/, ['--slots', '3']],
    [64, /--listen/, ['--listen', '127.0.0.1:70000']],
    [65, /bad\.yaml/, ['--config', join(pair.folder, 'bad.yaml')]],
    [69, /192\.0\.2\.1/, ['--listen', '192.0.2.1:10053']],
  ];
  for (const [code, says, flags] of cases) {
    const result = await run(launcherOf('agent'), [...base, ...flags], START_DEADLINE_MS);
    t.equal(result.code, code, `${flags.join(' ')}: ${result.output}`);
    t.match(result.output, says);
    t.notMatch(result.output, /\n\s+at .*\.js/, 'no stack');
  }
});

t.test('a second member of the same role does not push aside a first one that gives nothing away', async (t) => {
  const { pair } = await startBench(t, answerAll);
  const first = pair.member('agent');
  first.process.kill('SIGSTOP');
  t.teardown(() => first.process.kill('SIGCONT'));
  const second = pair.launch('agent');
  const exit = await within('the end of the second agent', START_DEADLINE_MS, second.exited);
  t.equal(exit.code, 69, second.output);
  t.match(second.output, pair.runDir, 'the message names the run-dir');
  first.process.kill('SIGCONT');
  t.equal(first.exit, null, 'the first one is well');
  pair.members.set('agent', first);
});
