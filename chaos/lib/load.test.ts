/** The instrument itself: servers that do what no member may, and what the load says about them. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import t from 'tap';
import { ownAddress, ownPort } from '#harness/address.js';
import { Upstream } from '#harness/upstream.js';
import { addressA, buildAnswer, RCODE, TYPE } from '#harness/wire.js';
import type { Answer } from '#harness/wire.js';
import { Load } from './load.js';
import type { Protocol } from './drill.js';

const RIGHT: Readonly<Record<number, Answer>> = { [TYPE.A]: addressA('192.0.2.1'), [TYPE.AAAA]: { type: TYPE.AAAA, data: Buffer.from('20010db8000000000000000000000001', 'hex') } };
const NAMES = 5;
const SECONDS = 1;
/** A fifth of all is for each name; the last round may be short. */
const SHARE_LEAST = 15;

function plan(protocol: Protocol, port: number) {
  return { protocol, server: `${ownAddress}:${String(port)}`, bind: '127.0.1.1', rate: 100, seconds: SECONDS, names: NAMES, seed: 1 };
}

for (const protocol of ['udp', 'tcp'] as const) {
  t.test(`over ${protocol} what is lost, wrong, failed or refused is counted as such`, async (t) => {
    const upstream = await Upstream.start(ownAddress, ownPort(), ({ question, query }) => {
      const right = buildAnswer(query, [RIGHT[question.type]]);
      if (question.name.startsWith('h1.')) return buildAnswer(query, [question.type === TYPE.A ? addressA('192.0.2.2') : { ...RIGHT[TYPE.AAAA], data: Buffer.alloc(16) }]);
      if (question.name.startsWith('h2.')) return buildAnswer(query, [], { rcode: RCODE.servFail });
      if (question.name.startsWith('h3.')) return buildAnswer(query, [], { rcode: RCODE.refused });
      return question.name.startsWith('h4.') ? null : right;
    });
    t.teardown(() => {
      upstream.close();
    });
    const result = await (await Load.start(plan(protocol, upstream.port))).finished();
    for (const figure of ['lost', 'wrong', 'failed', 'refused'] as const) t.ok(result[figure] >= SHARE_LEAST, `${figure}: ${String(result[figure])} of ${String(result.sent)}`);
    t.equal(result.answered + result.lost, result.sent);
    t.equal(result.twice + result.unexpected, 0);
    t.ok(result.lostShown.some((one) => one.name.startsWith('h4.') && one.why === 'no answer'));
    t.ok(result.lostShown.some((one) => one.name.startsWith('h1.') && one.why === 'answered with another address'));
    t.equal(result.bins.reduce((sum, bin) => sum + bin[0], 0), result.sent, 'no query is missing in the plot');
  });
}

t.test('a second answer, and one to nothing that was asked, are counted', async (t) => {
  const server = createSocket('udp4').bind(0, ownAddress);
  t.teardown(() => server.close());
  await once(server, 'listening');
  server.on('message', (query, from) => {
    const type = query.readUInt16BE(query.length - 4);
    const answer = buildAnswer(query, [RIGHT[type]]);
    const stray = Buffer.from(answer);
    stray.writeUInt16BE((answer.readUInt16BE(0) + 1_000) & 0xffff);
    for (const bytes of [answer, answer, stray]) server.send(bytes, from.port, from.address);
  });
  const result = await (await Load.start(plan('udp', server.address().port))).finished();
  t.equal(result.answered, result.sent);
  t.equal(result.twice, result.sent);
  t.equal(result.unexpected, result.sent);
});

t.test('queries of a connection that ends are lost', async (t) => {
  let wasAsked: () => void = () => undefined;
  const asked = new Promise<void>((resolve) => {
    wasAsked = resolve;
  });
  const upstream = await Upstream.start(ownAddress, ownPort(), () => {
    wasAsked();
    return null;
  });
  const load = await Load.start({ ...plan('tcp', upstream.port), seconds: 5 });
  await asked;
  upstream.close();
  const result = await load.stop();
  t.equal(result.lost, result.sent);
  t.ok(result.lostShown.some((one) => one.why === 'closed' || one.why === 'Connection reset by peer'), JSON.stringify(result.lostShown));
});
