/** One member is killed, or leaves, while clients have TCP connections with it: they go on with the other. */
import t from 'tap';
import { TcpClient } from '../harness/clients.js';
import { CLIENT_A } from '../harness/manifests.js';
import { peerOf, ROLES } from '../harness/pair.js';
import type { Role } from '../harness/pair.js';
import { tcpLoad } from '../harness/tcp-load.js';
import type { TcpLoad } from '../harness/tcp-load.js';
import { kill, restartBySigterm, startOwing, underLoad } from '../harness/under-load.js';
import { buildQuery, RCODE, readMessage, TYPE } from '../harness/wire.js';

const RATE = 400;
const SECONDS = 3;
/** Of one member. */
const FAULT_AFTER_QUERIES = 250;

const pair = await startOwing(t, {
  // All are of one client address: where the machine stalls for a moment, they pile up.
  flags: ['--tcp-connections-per-client', '1024'],
});

function during(role: Role, fault: () => Promise<void>): Promise<TcpLoad> {
  const load = () => tcpLoad({ server: pair.server, from: CLIENT_A, connectionsPerSecond: RATE, seconds: SECONDS, suffix: 'bench.test' });
  return underLoad(load, { pair, role, metric: 'tcp_queries', growth: FAULT_AFTER_QUERIES }, fault);
}

for (const role of ROLES) {
  const peer = peerOf(role);

  t.test(`${role} is killed: its connections go on, no query of theirs is lost or answered twice`, async (t) => {
    await pair.redundant();
    // Of those of the load there may be none just then.
    const idle = await Promise.all(Array.from({ length: 16 }, () => TcpClient.open(CLIENT_A, pair.server)));
    t.teardown(() => idle.forEach((client) => client.close()));
    const takenBefore = await pair.metric(peer, 'connections_taken');
    const load = await during(role, () => kill(pair, role));
    const taken = (await pair.metric(peer, 'connections_taken')) - takenBefore;
    t.comment(`${String(load.sent)} sent, ${String(taken)} connections taken, worst ${load.worstMs.toFixed(0)} ms`);
    t.match(load, { lost: 0, failed: 0, wrong: 0, twice: 0 });
    t.same(load.faults, {});
    t.ok(taken > 0, 'there were connections to take');
    pair.launch(role);
    await pair.ready(role);
    await pair.redundant();
  });

  t.test(`${role} is restarted by SIGTERM: its connections go on`, async (t) => {
    await pair.redundant();
    const load = await during(role, () => restartBySigterm(t, pair, role));
    t.comment(`${String(load.sent)} sent, worst ${load.worstMs.toFixed(0)} ms`);
    t.match(load, { lost: 0, failed: 0, wrong: 0, twice: 0 });
    t.same(load.faults, {});
  });
}

t.test('a connection that is idle outlives both of its members, one after the other', async (t) => {
  await pair.redundant();
  const clients = await Promise.all(Array.from({ length: 16 }, () => TcpClient.open(CLIENT_A, pair.server)));
  t.teardown(() => clients.forEach((client) => client.close()));
  const askAll = async (name: string): Promise<void> => {
    for (const client of clients) t.equal(readMessage(await client.ask(buildQuery({ name, type: TYPE.A }))).rcode, RCODE.noError);
  };
  await askAll('first.bench.test');
  for (const role of ROLES) {
    await kill(pair, role);
    await askAll(`after-${role}.bench.test`);
    pair.launch(role);
    await pair.ready(role);
    await pair.redundant();
    await askAll(`back-${role}.bench.test`);
  }
});
