/** One member is killed, or leaves, while clients have TCP connections with it: they go on with the other. */
import t from 'tap';
import { ownAddress } from '../harness/address.js';
import { TcpClient } from '../harness/clients.js';
import { baseManifests, CLIENT_A, dnsPolicy } from '../harness/manifests.js';
import { startNative } from '../harness/native.js';
import { Pair, ROLES } from '../harness/pair.js';
import type { Role } from '../harness/pair.js';
import { tcpLoad } from '../harness/tcp-load.js';
import { DEADLINE_MS, until } from '../harness/until.js';
import { buildQuery, RCODE, readMessage, TYPE } from '../harness/wire.js';

const UPSTREAM_DELAY_MS = 5;
const RATE = 400;
const SECONDS = 3;
const FAULT_AFTER_QUERIES = 500;

const upstream = await startNative('upstream', ['--listen', `${ownAddress}:0`, '--delay-ms', String(UPSTREAM_DELAY_MS)]);
t.teardown(() => upstream.child.stop());
const pair = await Pair.start({
  upstreams: [{ address: ownAddress, port: upstream.port }],
  manifests: { ...baseManifests(ownAddress), 'policy-a.json': dnsPolicy('policy-a', { app: 'a' }, ['*.bench.test'], ['*.bench.test']) },
  // All are of one client address: where the machine stalls for a moment, they pile up.
  flags: ['--tcp-connections-per-client', '1024'],
});
t.teardown(() => pair.stop());

async function underLoad(role: Role, fault: () => Promise<void>) {
  const before = await pair.metric(role, 'tcp_queries');
  const load = tcpLoad({ server: pair.server, from: CLIENT_A, connectionsPerSecond: RATE, seconds: SECONDS, suffix: 'bench.test' });
  await until('queries', DEADLINE_MS, async () => ((await pair.metric(role, 'tcp_queries')) - before > FAULT_AFTER_QUERIES / 2 ? true : null));
  await fault();
  return load;
}

for (const role of ROLES) {
  const peer = role === 'agent' ? 'dns-proxy' : 'agent';

  t.test(`${role} is killed: its connections go on, no query of theirs is lost or answered twice`, async (t) => {
    await pair.redundant();
    const takenBefore = await pair.metric(peer, 'connections_taken');
    const load = await underLoad(role, async () => {
      pair.member(role).process.kill('SIGKILL');
      await pair.member(role).exited;
    });
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
    const load = await underLoad(role, async () => {
      pair.member(role).process.kill('SIGTERM');
      t.same(await pair.member(role).exited, { code: 0, signal: null });
      pair.launch(role);
      await pair.ready(role);
    });
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
    pair.member(role).process.kill('SIGKILL');
    await pair.member(role).exited;
    await askAll(`after-${role}.bench.test`);
    pair.launch(role);
    await pair.ready(role);
    await pair.redundant();
    await askAll(`back-${role}.bench.test`);
  }
});
