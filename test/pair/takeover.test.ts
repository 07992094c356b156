/** One member is killed, or restarted, under load: the other answers what it owed, and the load does not notice. */
import t from 'tap';
import type { Load } from '../harness/native.js';
import { peerOf, ROLES } from '../harness/pair.js';
import type { Role } from '../harness/pair.js';
import { kill, loadFor, nothingLost, restartBySigterm, startOwing, underLoad } from '../harness/under-load.js';

const SECONDS = 3;
/** Of one member. */
const FAULT_AFTER_QUERIES = 2_000;

const pair = await startOwing(t);

/** `fault` comes once both members have had their share of the load. */
function during(role: Role, fault: () => Promise<void>): Promise<Load> {
  return underLoad(() => loadFor(SECONDS, pair), { pair, role, metric: 'queries', growth: FAULT_AFTER_QUERIES }, fault);
}

for (const role of ROLES) {
  t.test(`${role} is killed: nothing is lost, nothing is answered twice, its peer took over`, async (t) => {
    await pair.redundant();
    const takenBefore = await pair.metric(peerOf(role), 'taken');
    const load = await during(role, () => kill(pair, role));
    const taken = (await pair.metric(peerOf(role), 'taken')) - takenBefore;
    t.comment(`${String(load.sent)} sent, ${String(taken)} taken over, worst ${String(load.maxUs)} µs`);
    await nothingLost(t, pair, load);
    t.ok(taken > 0, 'there was something to take over');
    t.equal(await pair.metric(peerOf(role), 'adopted'), 1);
    pair.launch(role);
    await pair.ready(role);
    await pair.redundant();
    t.equal(await pair.metric(peerOf(role), 'adopted'), 0, 'the sockets went back');
  });

  t.test(`${role} is restarted by SIGTERM: nothing is lost`, async (t) => {
    await pair.redundant();
    const load = await during(role, () => restartBySigterm(t, pair, role));
    await nothingLost(t, pair, load);
  });
}

t.test('both are restarted by SIGTERM at once: the second waits for the first, and nothing is lost', async (t) => {
  await pair.redundant();
  const load = await during('agent', async () => {
    await Promise.all(ROLES.map((role) => restartBySigterm(t, pair, role)));
  });
  t.comment(`${String(load.sent)} sent, worst ${String(load.maxUs)} µs`);
  await nothingLost(t, pair, load);
  await pair.redundant();
});
