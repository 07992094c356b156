/** A second member of a role starts while the first is alive, as in a surge: it takes over, and the load does not notice. */
import t, { type Test } from 'tap';
import { ROLES } from '../harness/pair.js';
import type { Pair, Role } from '../harness/pair.js';
import { loadFor, nothingLost, replaced, startOwing, underLoad } from '../harness/under-load.js';
import { DEADLINE_MS, within } from '../harness/until.js';

const SECONDS = 4;
/** Of the member that is succeeded. */
const AFTER_QUERIES = 1_000;

async function succeeded(t: Test, pair: Pair, role: Role): Promise<void> {
  const former = pair.member(role);
  const load = await underLoad(() => loadFor(SECONDS, pair), { pair, role, metric: 'queries', growth: AFTER_QUERIES }, () => replaced(pair, role));
  await nothingLost(t, pair, load);
  if (former.exit !== null) t.comment(former.output.slice(-2_000));
  t.equal(former.exit, null, 'the former one is not gone: whoever watches over it would start it again');
  former.process.kill('SIGTERM');
  t.same(await within('its end', DEADLINE_MS, former.exited), { code: 0, signal: null });
  t.equal((await pair.status(role)).pid, pair.member(role).pid);
}

const pair = await startOwing(t);
for (const role of ROLES) {
  t.test(`a second ${role} takes the first one's place, with its HTTP address: nothing is lost`, async (t) => {
    t.setTimeout(DEADLINE_MS * 3);
    await succeeded(t, pair, role);
    await pair.inTouch();
  });
}

t.test('so does a second agent that has no peer', async (t) => {
  await succeeded(t, await startOwing(t, { roles: ['agent'] }), 'agent');
});

t.test('a predecessor whose successor is gone ends, to be started again', async (t) => {
  t.setTimeout(DEADLINE_MS * 3);
  const pair = await startOwing(t, { roles: ['agent'] });
  const former = pair.member('agent');
  await replaced(pair, 'agent');
  t.equal(former.exit, null);
  pair.member('agent').process.kill('SIGKILL');
  t.same(await within('its end', DEADLINE_MS, former.exited), { code: 69, signal: null }, 'also where only what failed is started again');
  pair.launch('agent', [], { sameHttp: true });
  await pair.ready('agent');
});
