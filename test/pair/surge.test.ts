/** A second member of a role starts while the first is alive, as in a surge: it takes over, and the load does not notice. */
import t, { type Test } from 'tap';
import { ownAddress } from '../harness/address.js';
import { baseManifests, CLIENT_A, dnsPolicy } from '../harness/manifests.js';
import { generate, startNative } from '../harness/native.js';
import { formatServer, Pair, ROLES } from '../harness/pair.js';
import type { Role } from '../harness/pair.js';
import { DEADLINE_MS, until, within } from '../harness/until.js';

const UPSTREAM_DELAY_MS = 5;
const RATE = 4_000;
const SECONDS = 4;

const upstream = await startNative('upstream', ['--listen', `${ownAddress}:0`, '--delay-ms', String(UPSTREAM_DELAY_MS)]);
t.teardown(() => upstream.child.stop());

async function pairOf(roles: readonly Role[]): Promise<Pair> {
  const pair = await Pair.start({
    upstreams: [{ address: ownAddress, port: upstream.port }],
    manifests: { ...baseManifests(ownAddress), 'policy-a.json': dnsPolicy('policy-a', { app: 'a' }, ['*.bench.test'], ['*.bench.test']) },
    roles,
  });
  t.teardown(() => pair.stop());
  return pair;
}

async function succeeded(t: Test, pair: Pair, role: Role): Promise<void> {
  const former = pair.member(role);
  const load = generate([
    '--server', formatServer(pair.server), '--bind', CLIENT_A, '--clients', '200', '--window', '4000',
    '--rate', String(RATE), '--seconds', String(SECONDS),
  ]);
  await until('queries', DEADLINE_MS, async () => ((await pair.status(role)).counters.queries > RATE / 4 ? true : null));
  const successor = pair.launch(role, [], { sameHttp: true });
  await until('the successor', DEADLINE_MS, async () => {
    // While the socket is handed over, a request may find nobody for a moment.
    const status = await pair.status(role).catch(() => null);
    return status?.pid === successor.pid && status.readiness.ready ? true : null;
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}\nformer: ${former.output.slice(-3_000)}\nsuccessor: ${successor.output}`);
  });
  const { lost, wrong, unexpected } = await load;
  t.same({ lost, wrong, twice: unexpected }, { lost: 0, wrong: 0, twice: 0 });
  if (former.exit !== null) t.comment(former.output.slice(-2_000));
  t.equal(former.exit, null, 'the former one is not gone: whoever watches over it would start it again');
  former.process.kill('SIGTERM');
  t.same(await within('its end', DEADLINE_MS, former.exited), { code: 0, signal: null });
  t.equal((await pair.status(role)).pid, successor.pid);
}

const pair = await pairOf(ROLES);
for (const role of ROLES) {
  t.test(`a second ${role} takes the first one's place, with its HTTP address: nothing is lost`, async (t) => {
    t.setTimeout(DEADLINE_MS * 3);
    await succeeded(t, pair, role);
    await pair.inTouch();
  });
}

t.test('so does a second agent that has no peer', async (t) => {
  await succeeded(t, await pairOf(['agent']), 'agent');
});
