/** One member is killed, or restarted, under load: the other answers what it owed, and the load does not notice. */
import t from 'tap';
import { ownAddress } from '../harness/address.js';
import { baseManifests, CLIENT_A, dnsPolicy } from '../harness/manifests.js';
import { generate, startNative } from '../harness/native.js';
import { formatServer, Pair, ROLES } from '../harness/pair.js';
import type { Role } from '../harness/pair.js';
import { DEADLINE_MS, until } from '../harness/until.js';

/** A kill proves something only while answers are outstanding. */
const UPSTREAM_DELAY_MS = 5;
const RATE = 4_000;
const SECONDS = 3;
const FAULT_AFTER_QUERIES = 4_000;

const upstream = await startNative('upstream', ['--listen', `${ownAddress}:0`, '--delay-ms', String(UPSTREAM_DELAY_MS)]);
t.teardown(() => upstream.child.stop());
const pair = await Pair.start({
  upstreams: [{ address: ownAddress, port: upstream.port }],
  manifests: { ...baseManifests(ownAddress), 'policy-a.json': dnsPolicy('policy-a', { app: 'a' }, ['*.bench.test'], ['*.bench.test']) },
});
t.teardown(() => pair.stop());

function peerOf(role: Role): Role {
  return role === 'agent' ? 'dns-proxy' : 'agent';
}

/** Load from 200 ports; `fault` comes once both members have had their share of it. */
async function underLoad(role: Role, fault: () => Promise<void>) {
  const before = await pair.metric(role, 'queries');
  const load = generate([
    '--server', formatServer(pair.server), '--bind', CLIENT_A, '--clients', '200', '--window', '4000',
    '--rate', String(RATE), '--seconds', String(SECONDS),
  ]);
  await until('queries', DEADLINE_MS, async () => ((await pair.metric(role, 'queries')) - before > FAULT_AFTER_QUERIES / 2 ? true : null));
  await fault();
  return load;
}

for (const role of ROLES) {
  t.test(`${role} is killed: nothing is lost, nothing is answered twice, its peer took over`, async (t) => {
    await pair.redundant();
    const takenBefore = await pair.metric(peerOf(role), 'taken');
    const load = await underLoad(role, async () => {
      pair.member(role).process.kill('SIGKILL');
      await pair.member(role).exited;
    });
    const taken = (await pair.metric(peerOf(role), 'taken')) - takenBefore;
    t.comment(`${String(load.sent)} sent, ${String(taken)} taken over, worst ${String(load.maxUs)} µs`);
    t.same({ lost: load.lost, wrong: load.wrong, twice: load.unexpected }, { lost: 0, wrong: 0, twice: 0 });
    t.ok(taken > 0, 'there was something to take over');
    t.equal(await pair.metric(peerOf(role), 'adopted'), 1);
    pair.launch(role);
    await pair.ready(role);
    await pair.redundant();
    t.equal(await pair.metric(peerOf(role), 'adopted'), 0, 'the sockets went back');
  });

  t.test(`${role} is restarted by SIGTERM: nothing is lost`, async (t) => {
    await pair.redundant();
    const load = await underLoad(role, async () => {
      pair.member(role).process.kill('SIGTERM');
      t.same(await pair.member(role).exited, { code: 0, signal: null });
      pair.launch(role);
      await pair.ready(role);
    });
    t.same({ lost: load.lost, wrong: load.wrong, twice: load.unexpected }, { lost: 0, wrong: 0, twice: 0 });
  });
}

t.test('both are restarted by SIGTERM at once: the second waits for the first, and nothing is lost', async (t) => {
  await pair.redundant();
  const load = await underLoad('agent', async () => {
    for (const role of ROLES) pair.member(role).process.kill('SIGTERM');
    const restarts = ROLES.map(async (role) => {
      t.same(await pair.member(role).exited, { code: 0, signal: null });
      pair.launch(role);
      await pair.ready(role);
    });
    await Promise.all(restarts);
  });
  t.comment(`${String(load.sent)} sent, worst ${String(load.maxUs)} µs`);
  t.same({ lost: load.lost, wrong: load.wrong, twice: load.unexpected }, { lost: 0, wrong: 0, twice: 0 });
  await pair.redundant();
});
