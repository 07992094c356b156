import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import t from 'tap';
import { framed, TcpClient } from '../harness/clients.js';
import { CLIENT_A, CLIENT_B } from '../harness/manifests.js';
import { slowly } from '../harness/upstream.js';
import { DEADLINE_MS, until, within } from '../harness/until.js';
import { addressA, buildAnswer, buildQuery, RCODE, readMessage, TYPE } from '../harness/wire.js';
import { startBench } from './start.js';

const SLOW_ANSWER_MS = 300;
const IDLE_SECONDS = 2;

const { pair } = await startBench(t, async ({ query, question }) => {
  const answer = buildAnswer(query, [addressA('192.0.2.7')]);
  return question.name.startsWith('slow') ? await slowly(answer, SLOW_ANSWER_MS) : answer;
}, { flags: ['--tcp-idle-timeout', `${String(IDLE_SECONDS)}s`] });

function question(name: string): Buffer {
  return buildQuery({ name, type: TYPE.A });
}

t.test('many queries in one write are all answered, and a refusal among them', async (t) => {
  const client = await TcpClient.open(CLIENT_A, pair.server);
  const names = Array.from({ length: 50 }, (_, index) => (index % 10 === 9 ? `n${String(index)}.b.test` : `n${String(index)}.a.test`));
  const answers = await client.askAll(names.map(question));
  client.close();
  t.strictSame(answers.map((answer) => readMessage(answer).rcode), names.map((name) => (name.endsWith('.b.test') ? RCODE.refused : RCODE.noError)));
  t.strictSame(answers.map((answer) => readMessage(answer).question?.name), names, 'each query has the answer to its own question');
});

t.test('a fast answer does not wait for a slow one before it', async (t) => {
  const client = await TcpClient.open(CLIENT_A, pair.server);
  const queries = [question('slow.a.test'), question('fast.a.test')];
  await client.askAll(queries);
  client.close();
  t.strictSame(client.order, [queries[1].readUInt16BE(0), queries[0].readUInt16BE(0)]);
});

t.test('a query that arrives byte by byte is answered', async (t) => {
  const client = await TcpClient.open(CLIENT_B, pair.server);
  const bytes = framed(question('www.b.test'));
  for (const byte of bytes.subarray(0, -1)) await within('write', 1_000, new Promise((resolve) => client.socket.write(Buffer.from([byte]), resolve)));
  const answered = within('answer', 5_000, once(client.socket, 'data'));
  client.socket.write(bytes.subarray(-1));
  await answered;
  t.equal(client.order.length, 1);
  client.close();
});

t.test('a client that ends its half of the connection still gets its answer', async (t) => {
  const client = await TcpClient.open(CLIENT_A, pair.server);
  const answer = client.ask(question('slow.a.test'));
  client.socket.end();
  t.equal(readMessage(await answer).rcode, RCODE.noError);
});

t.test('a connection without a whole query is closed after the idle time', async (t) => {
  const started = performance.now();
  const silent = await TcpClient.open(CLIENT_A, pair.server);
  const partial = await TcpClient.open(CLIENT_A, pair.server);
  partial.socket.write(framed(question('www.a.test')).subarray(0, 9));
  await within('both closed', IDLE_SECONDS * 1_000 + 3_000, Promise.all([silent.closed, partial.closed]));
  const seconds = (performance.now() - started) / 1_000;
  t.comment(`closed after ${seconds.toFixed(1)} s`);
  t.ok(seconds >= IDLE_SECONDS - 0.1, 'not before');
});

t.test('a frame that cannot hold a header ends the connection, and only that one', async (t) => {
  const good = await TcpClient.open(CLIENT_A, pair.server);
  const bad = await TcpClient.open(CLIENT_A, pair.server);
  bad.socket.write(Buffer.from([0, 3, 1, 2, 3]));
  await within('closed', 5_000, bad.closed);
  t.equal(readMessage(await good.ask(question('www.a.test'))).rcode, RCODE.noError);
  good.close();
});

t.test('connections that are gone leave nothing behind', async (t) => {
  const CONNECTIONS = 100;
  const KEPT_MAX = 20; // connections to the upstream may live on
  const openFiles = (): number => [...pair.members.values()].reduce((sum, { pid }) => sum + readdirSync(`/proc/${String(pid)}/fd`).length, 0);
  // On a busy machine a member that is late is taken for hung: its query then counts at both, once as taken.
  const queries = async (): Promise<number> => sumOf(await pair.counters('tcp_queries')) - sumOf(await pair.counters('taken'));
  const [queriesBefore, filesBefore] = [await queries(), openFiles()];
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => TcpClient.open(CLIENT_A, pair.server)));
  await Promise.all(clients.map((client) => client.ask(question('www.a.test'))));
  t.equal(await queries() - queriesBefore, CONNECTIONS, 'each was counted');
  for (const client of clients) client.close();
  await until('file descriptors given back', DEADLINE_MS, () => (openFiles() <= filesBefore + KEPT_MAX ? true : null));
});

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
