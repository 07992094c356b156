/** dns-proxy beside a Cilium agent: policy from it, mappings to it, and what holds while it is away. */
import { fqdnPb } from '@tandem/proto';
import t from 'tap';
import { CLIENT_A, CLIENT_B, STRANGER } from '../harness/manifests.js';
import { DEADLINE_MS, until } from '../harness/until.js';
import { RCODE } from '../harness/wire.js';
import { rcodes } from '../pair/rcodes.js';
import { acknowledgements, ADDRESS, counted, startStage, stateOf, told } from './stage.js';

const { NO_ERROR, FORMAT_ERROR } = fqdnPb.ResponseCode;

t.test('policy of the Cilium agent is enforced as it is said, and each state is acknowledged by its number', async (t) => {
  const stage = await startStage(t);
  const { pair, upstream } = stage;
  const model = await stage.startAgent(stateOf(upstream, ['*.a.test'], ['*.b.test'], 'one'));
  await stage.launch();
  await acknowledgements(model, 1);
  t.strictSame(model.acknowledged, [{ response: NO_ERROR, requestId: 'one' }]);
  t.strictSame([...await rcodes(pair, CLIENT_A, 'www.a.test', 5)], [RCODE.noError]);
  t.strictSame([...await rcodes(pair, CLIENT_A, 'www.b.test', 5)], [RCODE.refused]);
  t.strictSame([...await rcodes(pair, CLIENT_B, 'www.b.test', 5)], [RCODE.noError]);
  t.strictSame([...await rcodes(pair, STRANGER, 'www.a.test', 5)], [RCODE.refused], 'an endpoint that the state does not name');
  model.say(stateOf(upstream, ['*.a.test', '*.b.test'], [], 'two'));
  await acknowledgements(model, 2);
  t.strictSame([...await rcodes(pair, CLIENT_A, 'www.b.test', 5)], [RCODE.noError]);
  t.strictSame([...await rcodes(pair, CLIENT_B, 'www.b.test', 5)], [RCODE.refused], 'without names it may ask nothing');
  model.say({ ...stateOf(upstream, ['*.a.test']), identityToEndpointMapping: [] });
  await acknowledgements(model, 3);
  t.strictSame([...await rcodes(pair, CLIENT_A, 'www.a.test', 5)], [RCODE.refused], 'rules of an endpoint that has vanished');
  t.strictSame([await counted(pair, 'policy_states', 'taken'), await pair.metric('dns-proxy', 'cilium_connected')], [3, 1]);
});

t.test('a state that cannot be read is refused, shown, and leaves what is enforced as it was', async (t) => {
  const stage = await startStage(t);
  const { pair, upstream } = stage;
  const model = await stage.startAgent(stateOf(upstream, ['*.a.test']));
  await stage.launch();
  await acknowledgements(model, 1);
  const { hash } = (await pair.status('dns-proxy')).policy;
  // A disk that is slow for a moment is a problem, too, and not this test's.
  const shown = async (): Promise<readonly [string | null, readonly string[]]> => {
    const { policy } = await pair.status('dns-proxy');
    return [policy.hash, policy.problems.filter((problem) => problem.includes('policy state'))];
  };
  const odd = { ...stateOf(upstream, ['*.b.test'], [], 'odd'), identityToPrefixMapping: [{ identity: 5, prefix: [Buffer.from([1, 2, 3])] }] };
  model.say(odd);
  await acknowledgements(model, 2);
  t.strictSame(model.acknowledged[1], { response: FORMAT_ERROR, requestId: 'odd' });
  t.match(await shown(), [hash, [/^error: the policy state is refused: identity_to_prefix_mapping\[0\]\.prefix has 3 bytes/]]);
  for (const hostile of [Buffer.from([0xff, 0xff, 0xff]), Buffer.from('0a7f00', 'hex'), Buffer.alloc(70_001, 0x0a)]) {
    const before = model.acknowledged.length;
    model.say(hostile);
    await acknowledgements(model, before + 1);
    t.equal(model.acknowledged.at(-1)?.response, FORMAT_ERROR);
    t.match(await shown(), [hash, [/bytes cannot be read/]]);
  }
  t.strictSame([...await rcodes(pair, CLIENT_A, 'www.a.test', 5)], [RCODE.noError]);
  t.strictSame([...await rcodes(pair, CLIENT_A, 'www.b.test', 5)], [RCODE.refused]);
  t.equal(await counted(pair, 'policy_states', 'refused'), 4);
  model.say(stateOf(upstream, ['*.b.test']));
  await acknowledgements(model, 6);
  t.strictSame((await shown())[1], []);
  t.strictSame([...await rcodes(pair, CLIENT_A, 'www.b.test', 5)], [RCODE.noError]);
  t.equal(model.proxies, 1, 'over the one stream');
});

t.test('a mapping comes to the agent as it reads it', async (t) => {
  const stage = await startStage(t);
  const model = await stage.startAgent(stateOf(stage.upstream, ['*.a.test']));
  await stage.launch();
  await acknowledgements(model, 1);
  await rcodes(stage.pair, CLIENT_A, 'WWW.a.test', 1);
  const mapping = await told(model, 'www.a.test.');
  t.match(mapping, {
    sourceIdentity: 1001, responseCode: 0, metricsData: { serverAddr: '0.0.0.0:53', allowed: true, dnsResponseData: { isResponse: true, qtypes: [1], answerTypes: [1] } },
  });
  t.strictSame([mapping.sourceIp.toString(), mapping.recordIp.map(String)], [CLIENT_A, [ADDRESS]], 'text, not bytes');
  t.ok(mapping.ttl > 0 && mapping.ttl <= 300, `its time to live: ${String(mapping.ttl)}`);
  await until('nothing waits', DEADLINE_MS, async () => ((await stage.pair.metric('dns-proxy', 'cilium_mappings_waiting')) === 0 ? true : null));
  t.equal(await counted(stage.pair, 'mappings', 'acknowledged'), 1);
});

t.test('mappings of an endpoint that a later state adds are told then; a refused state tells of none', async (t) => {
  const stage = await startStage(t);
  const { pair, upstream } = stage;
  const full = stateOf(upstream, ['*.a.test'], ['*.a.test']);
  const partial = { ...full, identityToEndpointMapping: full.identityToEndpointMapping!.slice(0, 1) };
  const first = await stage.startAgent(full);
  await stage.launch();
  await acknowledgements(first, 1);
  for (const from of [CLIENT_A, CLIENT_B]) await rcodes(pair, from, 'www.a.test', 1);
  await until('both are told', DEADLINE_MS, () => (first.mappings.length === 2 ? true : null));
  stage.stopAgent();
  const second = await stage.startAgent(Buffer.from([0xff]));
  await acknowledgements(second, 1);
  second.say(partial);
  await told(second, 'www.a.test.');
  const sources = (): string[] => second.mappings.map(({ sourceIp }) => sourceIp.toString());
  t.strictSame(sources(), [CLIENT_A]);
  second.say(full);
  await until('the other is told, too', DEADLINE_MS, () => (sources().length >= 2 ? true : null));
  t.strictSame(sources(), [CLIENT_A, CLIENT_B]);
});

t.test('while the agent is away names are answered; what they taught is told when it is back, after a restart, too', async (t) => {
  const stage = await startStage(t);
  const { pair, upstream } = stage;
  const first = await stage.startAgent(stateOf(upstream, ['*.a.test']));
  await stage.launch();
  await acknowledgements(first, 1);
  await rcodes(pair, CLIENT_A, 'before.a.test', 1);
  await told(first, 'before.a.test.');
  stage.stopAgent();
  await until('the agent is missed', DEADLINE_MS, async () => ((await pair.metric('dns-proxy', 'cilium_connected')) === 0 ? true : null));
  t.strictSame([...await rcodes(pair, CLIENT_A, 'away.a.test', 1)], [RCODE.noError]);
  t.strictSame([...await rcodes(pair, CLIENT_A, 'away.b.test', 1)], [RCODE.refused]);
  t.equal(await pair.metric('dns-proxy', 'cilium_mappings_waiting'), 2);
  const second = await stage.startAgent(stateOf(upstream, ['*.a.test']));
  await told(second, 'away.a.test.');
  await told(second, 'before.a.test.');
  stage.stopAgent();
  await rcodes(pair, CLIENT_A, 'later.a.test', 1);
  await until('it is on disk', DEADLINE_MS, async () => ((await pair.metric('dns-proxy', 'state_waiting_changes')) === 0 ? true : null));
  await pair.member('dns-proxy').stop('SIGKILL');
  await stage.launch();
  t.strictSame([...await rcodes(pair, CLIENT_A, 'restarted.a.test', 5)], [RCODE.noError], 'the stored policy');
  t.strictSame([...await rcodes(pair, CLIENT_A, 'restarted.b.test', 5)], [RCODE.refused]);
  t.match(pair.member('dns-proxy').output, /the agent is away: the stored policy is enforced/);
  const third = await stage.startAgent(stateOf(upstream, ['*.a.test']));
  for (const name of ['before', 'away', 'later', 'restarted']) await told(third, `${name}.a.test.`);
  await until('all is acknowledged', DEADLINE_MS, async () => ((await pair.metric('dns-proxy', 'cilium_mappings_waiting')) === 0 ? true : null));
});

t.test('an agent that hangs, or refuses, holds up no answer; what it did not take is told again', async (t) => {
  const stage = await startStage(t);
  const { pair, upstream } = stage;
  const model = await stage.startAgent(stateOf(upstream, ['*.a.test']));
  await stage.launch();
  await acknowledgements(model, 1);
  model.behaviour = 'hang';
  for (let i = 0; i < 40; i++) t.strictSame([...await rcodes(pair, CLIENT_A, `n${String(i)}.a.test`, 1)], [RCODE.noError]);
  t.equal(await counted(pair, 'mappings', 'acknowledged'), 0);
  model.behaviour = 'take';
  for (let i = 0; i < 40; i++) await told(model, `n${String(i)}.a.test.`);
  model.behaviour = 'refuse';
  await rcodes(pair, CLIENT_A, 'refused.a.test', 1);
  await until('it is given up', DEADLINE_MS, async () => ((await counted(pair, 'mappings', 'refused')) === 1 ? true : null));
  t.match(pair.member('dns-proxy').output, /endpoint not found.*a mapping was not taken by the Cilium agent/);
});
