import t from 'tap';
import { ownAddress, ownPort } from '../harness/address.js';
import { TcpClient, UdpClient } from '../harness/clients.js';
import { baseManifests, CLIENT_A } from '../harness/manifests.js';
import { Upstream } from '../harness/upstream.js';
import { addressA, buildAnswer, buildQuery, RCODE, readMessage, TYPE } from '../harness/wire.js';
import { startBench } from './start.js';

/** Two tries of a second, and then an answer: never silence. */
const ANSWER_MS_MAX = 2_500;
/** For a machine that is busy with other tests. */
const MEASURING_SLACK_MS = 250;

t.test('an upstream that is silent leads to SERVFAIL with a reason in bounded time', async (t) => {
  const { pair, upstream } = await startBench(t, () => null);
  const udp = await UdpClient.open(CLIENT_A, pair.server);
  const tcp = await TcpClient.open(CLIENT_A, pair.server);
  const query = (): Buffer => buildQuery({ name: 'silent.test', type: TYPE.A }, { ednsSize: 1232 });
  const started = performance.now();
  const timed = async (answer: Promise<Buffer>): Promise<{ ms: number; answer: Buffer }> => ({ answer: await answer, ms: performance.now() - started });
  const answers = await Promise.all([timed(udp.ask(query())), timed(tcp.ask(query()))]);
  udp.close();
  tcp.close();
  for (const [index, protocol] of ['UDP', 'TCP'].entries()) {
    const { answer, ms } = answers[index];
    t.comment(`SERVFAIL over ${protocol} after ${ms.toFixed(0)} ms`);
    const message = readMessage(answer);
    t.equal(message.rcode, RCODE.servFail, protocol);
    t.ok(message.extendedErrors.length > 0, 'an extended error says why');
    t.ok(ms <= ANSWER_MS_MAX + MEASURING_SLACK_MS, `within ${String(ANSWER_MS_MAX)} ms`);
  }
  t.ok(upstream.asked.filter(({ protocol }) => protocol === 'udp').length >= 2, 'the UDP question was asked twice');
});

t.test('the second try goes to the other upstream', async (t) => {
  const other = await Upstream.start(ownAddress, ownPort(), ({ query }) => buildAnswer(query, [addressA('192.0.2.9')]));
  t.teardown(() => {
    other.close();
  });
  const silent = await Upstream.start(ownAddress, ownPort(), () => null);
  t.teardown(() => {
    silent.close();
  });
  const { pair } = await startBench(t, () => null, { upstreams: [silent, other], manifests: baseManifests(ownAddress) });
  const client = await UdpClient.open(CLIENT_A, pair.server);
  const answer = await client.ask(buildQuery({ name: 'www.a.test', type: TYPE.A }));
  client.close();
  t.match(readMessage(answer), { rcode: RCODE.noError, answerCount: 1 });
  t.same(answer.subarray(2), other.sent.get(`www.a.test/${String(TYPE.A)}`)!.subarray(2));
});

t.test("answers that do not fit the question are not passed on, and the true one still is", async (t) => {
  const { pair } = await startBench(t, ({ query }) => {
    if (lies.length === 0) return buildAnswer(query, [addressA('192.0.2.7')]);
    return lies.shift()!(query);
  });
  const otherName = (query: Buffer): Buffer => {
    const forged = Buffer.from(buildAnswer(query, [addressA('198.51.100.66')]));
    forged[13] ^= 1; // a letter of the question
    return forged;
  };
  const otherId = (query: Buffer): Buffer => {
    const forged = Buffer.from(buildAnswer(query, [addressA('198.51.100.66')]));
    forged[0] ^= 0x55;
    return forged;
  };
  const stub = (query: Buffer): Buffer => query.subarray(0, 11);
  const lies = [otherName];
  const client = await UdpClient.open(CLIENT_A, pair.server);
  for (const lie of [otherName, otherId, stub]) {
    lies.splice(0, lies.length, lie);
    const answer = await client.ask(buildQuery({ name: 'www.a.test', type: TYPE.A }));
    t.equal(answer.subarray(-4).join('.'), '192.0.2.7', 'the second try brought the truth');
  }
  client.close();
});
