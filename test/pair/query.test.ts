import t from 'tap';
import { TcpClient, UdpClient } from '../harness/clients.js';
import { CLIENT_A, CLIENT_B, STRANGER } from '../harness/manifests.js';
import { addressA, buildAnswer, buildQuery, EDE_BLOCKED, RCODE, readMessage, TYPE } from '../harness/wire.js';
import { startBench } from './start.js';

const TEXT_BYTES = 200;

const { pair, upstream } = await startBench(t, ({ query, question, protocol }) => {
  const first = question.name.split('.')[0].toLowerCase();
  if (first === 'missing') return buildAnswer(query, [], { rcode: RCODE.nxDomain });
  if (first === 'big' && protocol === 'udp') return buildAnswer(query, [], { truncated: true });
  if (first === 'big') return buildAnswer(query, Array.from({ length: 20 }, () => ({ type: TYPE.TXT, data: Buffer.concat([Buffer.from([TEXT_BYTES]), Buffer.alloc(TEXT_BYTES, 'x')]) })));
  return buildAnswer(query, [{ type: TYPE.CNAME, data: Buffer.from('\u0005alias\u0001a\u0004test\u0000', 'latin1') }, { ...addressA('192.0.2.7'), name: 'alias.a.test' }]);
});

async function askUdp(from: string, query: Buffer): Promise<Buffer> {
  const client = await UdpClient.open(from, pair.server);
  try {
    return await client.ask(query);
  } finally {
    client.close();
  }
}

async function askTcp(from: string, query: Buffer): Promise<Buffer> {
  const client = await TcpClient.open(from, pair.server);
  try {
    return await client.ask(query);
  } finally {
    client.close();
  }
}

const ways = [['UDP', askUdp], ['TCP', askTcp]] as const;

for (const [protocol, ask] of ways) {
  t.test(`an allowed name is answered with the upstream's bytes, but for the ID, over ${protocol}`, async (t) => {
    for (const [client, name] of [[CLIENT_A, 'www.a.test'], [CLIENT_B, 'www.b.test'], [CLIENT_A, 'MiXeD.a.TEST'], [CLIENT_A, 'missing.a.test']] as const) {
      const query = buildQuery({ name, type: TYPE.A });
      const answer = await ask(client, query);
      t.equal(answer.readUInt16BE(0), query.readUInt16BE(0), `${name}: the client's ID`);
      t.same(answer.subarray(2), upstream.sent.get(`${name}/${String(TYPE.A)}`)!.subarray(2), `${name}: the upstream's bytes`);
    }
  });

  t.test(`a name that the client's policy does not allow is refused over ${protocol}`, async (t) => {
    for (const [client, name] of [[CLIENT_A, 'www.b.test'], [CLIENT_B, 'www.a.test'], [CLIENT_A, 'a.test'], [CLIENT_A, 'x.y.a.test']] as const) {
      const before = upstream.asked.length;
      const query = buildQuery({ name, type: TYPE.A });
      const answer = readMessage(await ask(client, query));
      t.match(answer, { id: query.readUInt16BE(0), response: true, rcode: RCODE.refused, answerCount: 0, hasEdns: false, question: { name, type: TYPE.A } });
      const withEdns = readMessage(await ask(client, buildQuery({ name, type: TYPE.A }, { ednsSize: 1232 })));
      t.match(withEdns, { rcode: RCODE.refused, extendedErrors: [EDE_BLOCKED] }, `${name}: says that policy blocked it`);
      t.equal(upstream.asked.length, before, 'and the upstream is not asked');
    }
  });

  t.test(`a stranger may ask nothing over ${protocol}`, async (t) => {
    for (const name of ['www.a.test', 'www.b.test', 'www.both.test']) {
      t.equal(readMessage(await ask(STRANGER, buildQuery({ name, type: TYPE.A }))).rcode, RCODE.refused, name);
    }
  });
}

t.test('one name may be allowed to several clients', async (t) => {
  for (const client of [CLIENT_A, CLIENT_B]) {
    t.equal(readMessage(await askUdp(client, buildQuery({ name: 'www.both.test', type: TYPE.A }))).rcode, RCODE.noError, client);
  }
});

t.test('an answer cut short sends the client to TCP, where it is whole', async (t) => {
  const short = readMessage(await askUdp(CLIENT_A, buildQuery({ name: 'big.a.test', type: TYPE.TXT }, { ednsSize: 1232 })));
  t.match(short, { truncated: true, answerCount: 0 });
  const whole = await askTcp(CLIENT_A, buildQuery({ name: 'big.a.test', type: TYPE.TXT }));
  t.match(readMessage(whole), { truncated: false, answerCount: 20 });
  t.same(whole.subarray(2), upstream.sent.get(`big.a.test/${String(TYPE.TXT)}`)!.subarray(2));
});

t.test('a query that is not well-formed gets FORMERR, and one with an unknown operation NOTIMP', async (t) => {
  const twice = buildQuery({ name: 'www.a.test', type: TYPE.A });
  twice.writeUInt16BE(2, 4);
  t.equal(readMessage(await askUdp(CLIENT_A, twice)).rcode, RCODE.formErr, 'two questions announced, one there');
  const none = buildQuery({ name: 'www.a.test', type: TYPE.A }).subarray(0, 12);
  none.writeUInt16BE(0, 4);
  t.equal(readMessage(await askUdp(CLIENT_A, none)).rcode, RCODE.formErr, 'no question');
  const update = buildQuery({ name: 'www.a.test', type: TYPE.A });
  update[2] |= 5 << 3;
  t.equal(readMessage(await askUdp(CLIENT_A, update)).rcode, RCODE.notImp, 'UPDATE');
});

t.test('both daemons answer when many clients ask', async (t) => {
  const CLIENTS = 200;
  const [before, takenBefore] = [await pair.counters('queries'), await pair.counters('taken')];
  const clients = await Promise.all(Array.from({ length: CLIENTS }, (_, index) => UdpClient.open(index % 2 === 0 ? CLIENT_A : CLIENT_B, pair.server)));
  const rcodes = await Promise.all(clients.map(async (client, index) =>
    readMessage(await client.ask(buildQuery({ name: index % 2 === 0 ? 'www.a.test' : 'www.b.test', type: TYPE.A }))).rcode));
  t.ok(rcodes.every((rcode) => rcode === RCODE.noError), 'every client has its answer');
  t.strictSame(clients.flatMap((client) => client.unexpected), [], 'and only one');
  for (const client of clients) client.close();
  const [after, takenAfter] = [await pair.counters('queries'), await pair.counters('taken')];
  // On a busy machine a member that is late is taken for hung: its query then counts at both, once as taken.
  const taken = takenAfter[0] + takenAfter[1] - takenBefore[0] - takenBefore[1];
  const [agent, proxy] = [after[0] - before[0], after[1] - before[1]];
  t.comment(`of ${String(CLIENTS)} queries the agent answered ${String(agent)}, dns-proxy ${String(proxy)}`);
  t.equal(agent + proxy - taken, CLIENTS, 'each query was counted once');
  t.ok(agent > 0 && proxy > 0, 'both had a share');
});

t.test('the metrics of both count queries', async (t) => {
  for (const role of ['agent', 'dns-proxy'] as const) {
    const { status, body } = await pair.http(role, '/metrics');
    t.equal(status, 200);
    t.match(body, /^tandem_\w*queries\w*(\{[^}]*\})? [1-9]\d*$/m, role);
  }
});

t.test('upstream questions leave from many source ports with IDs of their own', async (t) => {
  const ASKED = 300;
  const first = upstream.asked.length;
  const client = await UdpClient.open(CLIENT_A, pair.server);
  const queries = Array.from({ length: ASKED }, (_, index) => buildQuery({ name: `n${String(index)}.a.test`, type: TYPE.A }));
  for (const query of queries) await client.ask(query);
  client.close();
  const asked = upstream.asked.slice(first);
  // On a busy machine a question may be asked a second time.
  t.ok(asked.length >= ASKED);
  const ports = new Set(asked.map(({ fromPort }) => fromPort)).size;
  const clientIds = new Map(queries.map((query) => [query.toString('hex', 12), query.readUInt16BE(0)]));
  const kept = asked.filter(({ query }) => query.readUInt16BE(0) === clientIds.get(query.toString('hex', 12))).length;
  t.comment(`${String(ports)} source ports, ${String(kept)} IDs equal to the client's by chance`);
  t.ok(ports >= 40, 'most of 64 ports of one member were used');
  t.ok(kept < 5, "IDs are not the client's");
});
